"""The sockets of the receivers, one by one and in groups, and what they count."""

import contextlib
import socket
import struct
import time
from collections import deque
from typing import Any

from benchmarks.live import wire

PORTS_AN_ADDRESS = 5_000  # of the 28,000 that a client's address has by default
_READ_BYTES = 32_768
_IP_BIND_ADDRESS_NO_PORT = 24
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing says so by RST, and leaves no TIME_WAIT
_MSS = 1_460  # as over a network: that of the loopback gives a sender megabytes of buffer
_NONE = socket.socket()  # of those that have not connected yet

Reply = dict[str, Any]


class Ear:
    """One WebSocket of a group."""

    __slots__ = (
        *("_sock", "arrivals", "at", "began", "bytes", "frames", "group", "handle", "head"),
        *("joined", "last", "number", "open", "rest", "seq", "tries"),
    )

    def __init__(self, group: "Group", number: int) -> None:
        self.group = group
        self.number = number
        self.seq = self.frames = self.bytes = self.tries = 0
        self.at = 0.0  # when the last count came
        self.last = b""  # what it was
        self.arrivals: list[tuple[float, int]] = []
        self._sock = _NONE
        self.handle = -1  # of its socket, as the system knows it
        self.began = 0.0
        self.open = self.joined = False
        self.head = self.rest = b""  # what has come of a frame, and of a dialect's own unit

    def connect(self) -> int:
        """Begin to connect, and return the handle; what was counted stays."""
        self.began = time.perf_counter()
        self.open = self.joined = False
        self.head = self.rest = b""
        self._sock = sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        if address := self.number // PORTS_AN_ADDRESS:
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((f"127.0.0.{1 + address}", 0))
        if self.group.deaf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the least the system has
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _MSS)
        sock.connect_ex(("127.0.0.1", self.group.port))
        self.handle = sock.fileno()
        return self.handle

    def receive(self) -> bytes | None:
        """Return what has come: None where nothing has, nothing where the connection has ended."""
        try:
            return self._sock.recv(_READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def say(self, frame: bytes) -> None:
        """Send a frame, which is so short that it always fits."""
        with contextlib.suppress(OSError):  # the loop is told of it, too
            self._sock.send(frame)

    def close(self) -> None:
        """Reset the connection."""
        self._sock.close()
        self.handle = -1

    def count(self, text: bytes, seq: int) -> None:
        """Take a count."""
        group = self.group
        self.at, self.seq, self.last = group.now, seq, text
        self.frames += 1
        self.bytes += len(text)
        group.ended = self.at
        if not group.began:
            group.began = self.at
        if group.records:
            self.arrivals.append((self.at, seq))

    def join(self) -> None:
        """Take it that whatever is sent from now on will be heard."""
        if not self.joined:
            self.joined = True
            self.tries = 0
            self.group.joined(self)


class Group:
    """Sockets that are spoken of together."""

    def __init__(self, command: dict[str, Any]) -> None:
        self.port: int = command["port"]
        self.dialect = wire.DIALECTS[command["dialect"]]
        self.at_once: int = command["at_once"]  # handshakes on their way
        self.deaf: bool = command["deaf"]  # they never read, and have next to no buffer
        self.request = wire.request(command["path"], self.port)
        self.ears = [Ear(self, number) for number in range(command["count"])]
        self.due = deque(self.ears)  # those that are to connect
        self.took: list[float] = []  # seconds from connecting to having joined
        self.on_their_way = self.lost = 0
        self.returns = self.records = False
        self.now = self.marked = time.perf_counter()
        self.began = self.ended = 0.0  # when the first and the last count came since the mark

    def joined(self, ear: Ear) -> None:
        """Note that one has joined."""
        self.on_their_way -= 1
        self.took.append(time.perf_counter() - ear.began)

    def mark(self, *, records: bool) -> None:
        """Count from now on."""
        self.records, self.marked = records, time.perf_counter()
        self.began = self.ended = 0.0
        for ear in self.ears:
            ear.frames = ear.bytes = 0
            ear.arrivals.clear()

    def report(self) -> Reply:
        """Return what came since the mark."""
        frames = [ear.frames for ear in self.ears]
        return {
            "lost": self.lost,
            "frames": sum(frames),
            "least": min(frames),
            "most": max(frames),
            "bytes": sum(ear.bytes for ear in self.ears),
            "seconds": self.ended - self.began,
            "lasts": sorted({ear.last.decode() for ear in self.ears})[:5],
        }
