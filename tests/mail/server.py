"""A mail server for tests. Prints its port, and then each mail that it takes as a line of JSON.

It wants to be signed in to. Whoever's name begins with `refused` does not exist, and mail for
whoever's name begins with `later` is put off once.
"""

import asyncio
import json
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Handler:
    def __init__(self):
        self.put_off = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused"):
            return "550 no such mailbox"
        if address.startswith("later") and address not in self.put_off:
            self.put_off.add(address)
            return "451 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = message_from_bytes(envelope.content, policy=policy.default)
        mail = {
            "to": envelope.rcpt_tos,
            "from": str(message["from"]),
            "subject": str(message["subject"]),
            "id": str(message["message-id"]),
            "body": message.get_content(),
        }
        print(json.dumps(mail), flush=True)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    known = LoginPassword(b"sea", b"secret")
    return AuthResult(success=data == known)


async def main():
    handler = Handler()

    def connection():
        return SMTP(
            handler, authenticator=authenticate, auth_required=True, auth_require_tls=False
        )

    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
