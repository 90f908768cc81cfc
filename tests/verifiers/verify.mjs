// Checks deliveries with the official library of Standard Webhooks: one JSON document a line on
// standard input, `{ secret, headers, body }`, and `ok` or why not for each on standard output.

import { createInterface } from "node:readline";
import { Webhook } from "standardwebhooks";

for await (const line of createInterface({ input: process.stdin })) {
  const { secret, headers, body } = JSON.parse(line);
  try {
    new Webhook(secret).verify(body, headers);
    console.log("ok");
  } catch (error) {
    console.log(String(error.message));
  }
}
