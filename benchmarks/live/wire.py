"""What goes over a receiver's connection: the client's half of RFC 6455, and what peers add to it.

Clients must mask what they send; the key is four zeros here, which leaves a text as it is.
"""

import base64
import hashlib
import json
import re
from typing import Protocol

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A  # with the bit of a last fragment
_SEQ = re.compile(rb'"seq":(\d+)')
_KEY = base64.b64encode(bytes(16))
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
ACCEPT = base64.b64encode(hashlib.sha1(_KEY + _MAGIC, usedforsecurity=False).digest())
_SHORT, _LONG = 126, 127  # values of the length's byte after which a longer one follows
_HEARTBEAT = b'{"type":"heartbeat"'
_ERROR = b'{"type":"error"'


class UnexpectedFrameError(Exception):
    """A server sent what it must not send in a run; the message is what."""


class Ear(Protocol):
    """A receiver, as its dialect sees it."""

    rest: bytes

    def say(self, frame: bytes) -> None:
        """Send a frame."""

    def count(self, text: bytes, seq: int) -> None:
        """Take a count."""

    def join(self) -> None:
        """Take it that whatever is sent from now on will be heard."""


def request(path: str, port: int) -> bytes:
    """Return a handshake."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {_KEY.decode()}\r\n\r\n"
    ).encode()


def is_accepted(head: bytes) -> bool:
    """Whether the answer's head takes the handshake."""
    return head.startswith(b"HTTP/1.1 101 ") and ACCEPT in head


def masked(first: int, payload: bytes) -> bytes:
    """Return a client's frame."""
    if len(payload) < _SHORT:
        return bytes((first, 0x80 | len(payload), 0, 0, 0, 0)) + payload
    return bytes((first, 0x80 | _SHORT)) + len(payload).to_bytes(2, "big") + bytes(4) + payload


def split(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return the whole frames of what has come, (first byte, payload) each, and the rest."""
    found = []
    at, size = 0, len(data)
    while size - at >= 2:  # noqa: PLR2004 - the shortest frame
        length, begin = data[at + 1], at + 2
        if length == _SHORT:
            length, begin = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        elif length == _LONG:
            length, begin = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
        end = begin + length
        if end > size:
            break
        found.append((data[at], data[begin:end]))
        at = end
    return found, data[at:]


class Plain:
    """A peer that sends bare texts."""

    def opened(self, ear: Ear) -> None:
        """Begin, once the handshake is taken."""
        ear.join()

    def heard(self, ear: Ear, payload: bytes) -> None:
        """Take a frame."""
        found = _SEQ.search(payload)
        if found is not None and not payload.startswith(_HEARTBEAT):
            ear.count(payload, int(found[1]))

    def go(self, job: str) -> bytes:
        """Return the frame that lets the peer send counts, as the job (JSON) says."""
        return masked(TEXT, job.encode())


class Ours(Plain):
    """The service: whoever has the snapshot has joined."""

    def opened(self, ear: Ear) -> None:
        """Wait for the snapshot."""

    def heard(self, ear: Ear, payload: bytes) -> None:
        """Take a frame."""
        if payload.startswith(_ERROR):
            raise UnexpectedFrameError(payload.decode())
        super().heard(ear, payload)
        ear.join()


class SocketIO(Plain):
    """Engine.IO's open, ping and message, and in messages Socket.IO's connect and event."""

    def opened(self, ear: Ear) -> None:
        """Wait for the server's open."""

    def heard(self, ear: Ear, payload: bytes) -> None:
        """Take a packet."""
        if payload.startswith(b"42"):
            super().heard(ear, payload[payload.index(b"{") : -1])
        elif payload.startswith(b"40"):
            ear.join()
        elif payload.startswith(b"0"):
            ear.say(masked(TEXT, b"40"))
        elif payload == b"2":
            ear.say(masked(TEXT, b"3"))

    def go(self, job: str) -> bytes:
        """Return the event."""
        return masked(TEXT, f'42["go",{job}]'.encode())


class Nats(Plain):
    """NATS's lines inside of frames, whose bounds mean nothing."""

    def opened(self, ear: Ear) -> None:
        """Subscribe; the answer to a ping says that it is done."""
        said = json.dumps({"verbose": False, "pedantic": False, "headers": False})
        ear.say(masked(BINARY, f"CONNECT {said}\r\nSUB {SUBJECT} 1\r\nPING\r\n".encode()))

    def heard(self, ear: Ear, payload: bytes) -> None:
        """Take what the stream goes on with."""
        data = ear.rest + payload if ear.rest else payload
        while (end := data.find(b"\r\n")) >= 0:
            line, size = data[:end], 0
            if line.startswith(b"MSG"):
                size = int(line.rpartition(b" ")[2]) + 2
                if len(data) < end + 2 + size:
                    break
                super().heard(ear, data[end + 2 : end + size])
            elif line.startswith(b"PONG"):
                ear.join()
            elif line.startswith(b"PING"):
                ear.say(masked(BINARY, b"PONG\r\n"))
            data = data[end + 2 + size :]
        ear.rest = data


SUBJECT = "poll"  # that NATS is asked for
DIALECTS: dict[str, Plain] = {
    "plain": Plain(),
    "ours": Ours(),
    "socketio": SocketIO(),
    "nats": Nats(),
}
