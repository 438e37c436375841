"""A mail server for tests, of Debian's python3-aiosmtpd: keeps each mail it takes as a JSON file, read by Python's own
mail parser. Prints its port; ends when its standard input does, so that no test leaves it behind.

usage: smtp.py FOLDER [CERTIFICATE KEY]   with a certificate it insists on STARTTLS and on beta / secret
Recipients decide what it answers: later-N@… is put off N times, refused@… does not exist.
"""
import asyncio
import email
import email.policy
import json
import logging
import os
import ssl
import sys
import time

from aiosmtpd.smtp import SMTP, AuthResult


class Keeper:
    def __init__(self, folder):
        self.folder, self.count, self.put_off = folder, 0, {}

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        name = address.split("@")[0]
        if name == "refused":
            return "550 5.1.1 no such mailbox"
        if name.startswith("later-"):
            seen = self.put_off.get(name, 0)
            if seen < int(name.removeprefix("later-")):
                self.put_off[name] = seen + 1
                return "451 4.7.1 greylisted, come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        kept = {
            "at": time.time(),
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": {name: str(value) for name, value in mail.items()},
            "text": mail.get_body(("plain",)).get_content(),
            "html": mail.get_body(("html",)).get_content(),
            "encrypted": session.ssl is not None,
            "attachments": [
                {
                    "name": part.get_filename(),
                    "kind": part.get_content_type(),
                    "method": part.get_param("method"),
                    "text": part.get_payload(decode=True).decode(),
                }
                for part in mail.iter_attachments()
            ],
        }
        path = os.path.join(self.folder, f"{self.count:06}.json")
        self.count += 1
        with open(path + ".partial", "w", encoding="utf-8") as file:
            json.dump(kept, file)
        os.rename(path + ".partial", path)
        return "250 taken"


def authenticate(_server, _session, _envelope, _mechanism, data):
    # handled=False: the answer is left to the server.
    return AuthResult(success=(data.login, data.password) == (b"beta", b"secret"), handled=False)


async def main(folder, certificate=None, key=None):
    options = {}
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificate, key)
        options = {
            "tls_context": tls,
            "require_starttls": True,
            "authenticator": authenticate,
            "auth_required": True,
        }
    keeper, loop = Keeper(folder), asyncio.get_running_loop()
    port = int(os.environ.get("SMTP_PORT", "0"))
    server = await loop.create_server(
        lambda: SMTP(keeper, hostname="localhost", loop=loop, **options), "127.0.0.1", port
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


# Tests make clients turn away in the middle of a handshake; that is not worth a traceback.
logging.disable()
asyncio.run(main(*sys.argv[1:]))
