"""Requests as bytes on a socket: what no HTTP library would send."""

import json
import socket
from http.client import HTTPResponse
from typing import Any

from tests.live import Server

PATIENCE = 30.0  # seconds


class Answer:
    """A response as it came over the wire."""

    def __init__(self, response: HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()


def head(method: str, target: str | bytes, *headers: str | bytes) -> bytes:
    """Return a request up to the end of its headers."""
    lines = [b"%s %s HTTP/1.1" % (method.encode(), _bytes(target)), b"Host: 127.0.0.1"]
    lines += [_bytes(header) for header in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)


def receive(wire: socket.socket, method: str = "GET") -> Answer:
    response = HTTPResponse(wire, method=method)
    response.begin()
    return Answer(response)


def ask(server: Server, sent: bytes, method: str = "GET") -> Answer:
    """Send bytes on a new connection and return the first answer."""
    with connect(server) as wire:
        wire.sendall(sent)
        return receive(wire, method)


def assert_refused(answer: Answer, expected: dict[str, Any]) -> None:
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "no-store" in answer.headers["Cache-Control"]
    assert (answer.status, json.loads(answer.body)) == (expected["status"], expected)
