"""Dashboards of a soak run: real sockets that come and go, and remember what each one shows."""

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Self

from benchmarks.live import wire

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing says so by RST
_GOODBYE = wire.masked(wire.CLOSE, (1000).to_bytes(2, "big"))
_CALL_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Count:
    """One poll's count, as a frame or `results/` has it."""

    seq: int
    ballots: int
    votes: dict[str, int]  # by option

    @classmethod
    def of(cls, said: dict[str, Any]) -> Self:
        """Take it from a frame, or from the body of `results/`."""
        votes = {option["id"]: option["votes"] for option in said["options"]}
        return cls(said["seq"], said["ballots"], votes)


@dataclass
class Seat:
    """What a dashboard asks for."""

    polls: list[str]
    many: bool = False  # all of them by one socket on /ws/
    deaf: bool = False  # it never reads
    held: dict[str, Count] = field(default_factory=dict)  # what it has from before: `since`

    @property
    def path(self) -> str:
        """Where it connects."""
        if self.many:
            return "/ws/"
        since = f"?since={self.held[self.polls[0]].seq}" if self.held else ""
        return f"/ws/polls/{self.polls[0]}/{since}"

    @property
    def hello(self) -> bytes:
        """What it says first, where it says anything."""
        asked = [
            {"poll": poll, **({"since": self.held[poll].seq} if poll in self.held else {})}
            for poll in self.polls
        ]
        said = {"type": "subscribe", "polls": asked}
        return wire.masked(wire.TEXT, json.dumps(said).encode()) if self.many else b""


class Dashboard(asyncio.Protocol):
    """One socket. Written by the audience's loop, and read by the main thread."""

    def __init__(self, seat: Seat, port: int) -> None:
        self.seat = seat
        self._port = port
        self._transport: Any = None
        self._rest = b""
        self._open = False
        self.counts = dict(seat.held)
        self.told: set[str] = set()  # polls of which this socket has said where they stand
        self.finals: dict[str, float] = {}  # when a poll's closed frame came
        self.errors: dict[str, float] = {}  # when it was told that a poll cannot be seen
        self.ended = 0.0
        self.close_code = 0
        self.frames = 0
        self.wrong: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Shake hands."""
        self._transport = transport
        self._transport.write(wire.request(self.seat.path, self._port))
        if self.seat.deaf:
            self._transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Take frames, after the answer to the handshake."""
        data = self._rest + data
        if not self._open:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            if not wire.is_accepted(head):
                self.wrong.append(f"the handshake was answered {head[:100]!r}")
                self._transport.abort()
                return
            self._open = True
            self._transport.write(self.seat.hello)
        found, self._rest = wire.split(data)
        for first, payload in found:
            if first == wire.TEXT:
                self.frames += 1
                self._take(json.loads(payload))
            elif first == wire.PING:
                self._transport.write(wire.masked(wire.PONG, payload))
            elif first == wire.CLOSE:
                self.close_code = int.from_bytes(payload[:2], "big")
                self._transport.write(wire.masked(wire.CLOSE, payload))

    def _take(self, frame: dict[str, Any]) -> None:
        kind, poll = frame["type"], frame.get("poll", "")
        if kind in {"snapshot", "tally", "closed"}:
            count, held = Count.of(frame), self.counts.get(poll)
            if held is not None and count.seq < held.seq:
                self.wrong.append(f"{kind} went back from seq {held.seq} to {count.seq}")
            if kind == "tally" and poll not in self.told:
                self.wrong.append("a tally came before the snapshot")
            self.counts[poll] = count
            self.told.add(poll)
            if kind == "closed":
                self.finals[poll] = time.monotonic()
        elif kind == "hello":
            self.told.add(poll)
            if poll not in self.counts or self.counts[poll].seq != frame["seq"]:
                self.wrong.append(f"hello of seq {frame['seq']} to {self.counts.get(poll)}")
        elif kind == "error":
            self.errors[poll] = time.monotonic()
            if frame["code"] != "not_found":
                self.wrong.append(f"an error: {frame}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Note when it ended."""
        del exc
        self.ended = time.monotonic()

    def shows(self, poll: str, truth: Count) -> bool:
        """Whether this socket has told of this very count."""
        return poll in self.told and self.counts[poll] == truth

    def leave(self, *, politely: bool) -> None:
        """Say goodbye and wait for the other end, or reset the connection."""
        if politely and not self.seat.deaf:
            self._transport.write(_GOODBYE)
            return
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()


class Audience:
    """All dashboards, on a loop in a thread of their own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="audience", daemon=True)

    def __enter__(self) -> Self:
        """Open the loop."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it; what is still connected ends with it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - what the work returns
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_SECONDS)

    def join(self, seats: list[Seat]) -> list[Dashboard]:
        """Connect dashboards; what they are told comes when it comes."""

        async def connect() -> list[Dashboard]:
            return list(await asyncio.gather(*(self._connect(seat) for seat in seats)))

        found: list[Dashboard] = self._call(connect())
        return found

    async def _connect(self, seat: Seat) -> Dashboard:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)  # noqa: FBT003 - its own signature
        if seat.deaf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the least the system has
        await self._loop.sock_connect(sock, ("127.0.0.1", self._port))
        dashboard = Dashboard(seat, self._port)
        await self._loop.create_connection(lambda: dashboard, sock=sock)
        return dashboard

    def leave(self, politely: list[Dashboard], rudely: list[Dashboard]) -> None:
        """Let some say goodbye, and reset the others."""

        async def leave() -> None:
            for dashboard in politely + rudely:
                if not dashboard.ended:
                    dashboard.leave(politely=dashboard in politely)

        self._call(leave())
