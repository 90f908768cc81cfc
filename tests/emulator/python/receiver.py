"""A webhook receiver that keeps what it gets, and small things the checks share."""

import json
import os
import queue
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import ProxyHandler, Request, build_opener

URL = os.environ["EMULATOR_URL"]
# No check waits longer; only one that fails comes near it.
LIMIT = 60
# What the emulator is started with (tests/it/emulator.rs).
LATENCY_SCALE = 0.1


class Receiver:
    def __init__(self, port=0):
        self.calls = queue.Queue()
        calls = self.calls

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                calls.put((dict(self.headers), body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}/hook"

    def next(self):
        """Headers in lower case, and the body byte for byte."""
        headers, body = self.calls.get(timeout=LIMIT)
        return {name.lower(): value for name, value in headers.items()}, body


def stretch(provider, factor):
    """How much longer than usual its jobs take that are made from now on."""
    faults = json.dumps({"latency_scale": LATENCY_SCALE * factor}).encode()
    kind = {"content-type": "application/json"}
    request = Request(f"{URL}/admin/faults/{provider}", faults, kind, method="PUT")
    build_opener(ProxyHandler({})).open(request, timeout=LIMIT).close()


def until(what, ask):
    """Asks until there is an answer."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"waited in vain until {what}")


def raises(kind, act):
    """What an act raises; anything else, and nothing, is a failure."""
    try:
        act()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def is_png(data):
    return data[:8] == b"\x89PNG\r\n\x1a\n"


def is_mp4(data):
    return data[4:8] == b"ftyp"
