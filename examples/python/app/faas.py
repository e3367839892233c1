"""Requests of a program that is captured where it waits for them: SCGI on standard input."""

import os
import random
import sys


class Request:
    """A request: the variables of CGI, names and values as they came, and the body."""

    def __init__(self, variables, body):
        self.variables = variables
        self.body = body

    @property
    def path(self):
        return self.variables.get(b"PATH_INFO", b"").decode()


def _read(count):
    """That many bytes of standard input, which is not buffered: no byte of a request is in the image."""
    data = bytearray()
    while len(data) < count:
        piece = os.read(0, count - len(data))
        if not piece:
            raise EOFError("the request is not complete")
        data += piece
    return bytes(data)


def accept():
    """Waits for the next request. The answer to the one before is complete then."""
    sys.stdout.flush()
    # One read takes the record, unless it is long.
    data = os.read(0, 65536)
    if not data:
        raise SystemExit
    length, _, rest = data.partition(b":")
    length = int(length)
    if len(rest) < length + 1:
        rest += _read(length + 1 - len(rest))
    fields = rest[:length].split(b"\0")
    variables = dict(zip(fields[::2], fields[1::2]))
    body = rest[length + 1 :]
    missing = int(variables[b"CONTENT_LENGTH"]) - len(body)
    if missing > 0:
        body += _read(missing)
    # What was seeded before the capture would be the same for every request. A number spares its digest.
    random.seed(int.from_bytes(os.urandom(16), "little"))
    return Request(variables, body)


def answer(body, kind="text/plain", status=200):
    """Writes the answer."""
    head = f"Status: {status}\r\nContent-Type: {kind}\r\n\r\n"
    os.write(1, head.encode() + (body if isinstance(body, bytes) else body.encode()))
