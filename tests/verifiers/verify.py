"""Checks deliveries with the official library of Standard Webhooks, as verify.mjs does."""

import json
import sys

from standardwebhooks.webhooks import Webhook

for line in sys.stdin:
    given = json.loads(line)
    try:
        Webhook(given["secret"]).verify(given["body"], given["headers"])
        print("ok")
    except Exception as error:  # whatever it is, it is the answer
        print(error)
