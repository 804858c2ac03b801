"""A crowd of raw HTTP clients that send bytes, log every answer, and send again after a failure.

Each line of the log is one try: poll, voter, key, option, status, code, receipt, when it was sent
and how many milliseconds its answer took. Status 0 is a connection that ended without an answer.
"""

import asyncio
import contextlib
import json
import random
import threading
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import uvloop

CONNECTIONS = 96
HUNG_SECONDS = 20  # without an answer by then a connection counts as lost
_STOP_SECONDS = 10
_TRIES = 200
_UNAVAILABLE = 503
_random = random.Random()  # noqa: S311 - how long to wait before the next try
_NOTHING = b"-"


class SoakError(Exception):
    """A part could not be held; the message says why."""


@dataclass(slots=True)
class Shot:
    """One request, with what the log says of it."""

    label: bytes  # poll, voter, key and option
    request: bytes
    then: "Callable[[int, bytes], Shot | None] | None" = None  # what follows its last answer
    tries: int = 0


class Connection(asyncio.Protocol):
    """A kept-alive connection with one request on its way at most."""

    def __init__(self, crowd: "Crowd") -> None:
        self._crowd = crowd
        self._buffer = b""
        self._transport: Any = None
        self.shot: Shot | None = None
        self.began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with whatever waits."""
        self._transport = transport
        self._crowd.lines.add(self)
        self._crowd.next(self)

    def send(self, shot: Shot) -> None:
        """Send a request."""
        self.shot = shot
        self.began = time.monotonic()
        self._transport.write(shot.request)

    def data_received(self, data: bytes) -> None:
        """Collect an answer; when it is whole, note it and go on."""
        self._buffer = data = self._buffer + data if self._buffer else data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return
        head = data[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(data) < end + 4 + length:
            return
        self._buffer = b""
        shot, self.shot = self.shot, None
        if shot is None:
            raise SoakError("The service answered what nobody had asked.")
        took = time.monotonic() - self.began
        body = data[end + 4 : end + 4 + length]
        self._crowd.answered(shot, int(head[9:12]), body, self.began, took)
        if b"\r\nconnection: close" in head:
            self._transport.close()
        else:
            self._crowd.next(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the crowd, which connects again."""
        del exc
        shot, self.shot = self.shot, None
        self._crowd.lost(self, shot)

    def end(self) -> None:
        """Close it at once."""
        self._transport.abort()


class Crowd(threading.Thread):
    """Many clients in a thread of their own: the main thread starts and kills servers meanwhile.

    It may not start any: what it started would be told to end when this thread ends.
    """

    def __init__(
        self, port: int, shots: Iterator[Shot], log: Path, *, connections: int = CONNECTIONS
    ) -> None:
        super().__init__(name="crowd", daemon=True)
        self._port = port
        self._shots: Iterator[Shot] | None = shots
        self._path = log
        self._log: BinaryIO
        self._connections = connections
        self._loop = uvloop.new_event_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._again: deque[Shot] = deque()
        self._idle: list[Connection] = []
        self._open = 0  # shots that have no last answer yet
        self._connecting: set[asyncio.Task[None]] = set()
        self.lines: set[Connection] = set()
        self.settled = 0  # shots that have had their last answer
        self.statuses: Counter[int] = Counter()
        self.given_up = 0
        self.took = array("d")
        self.fault: BaseException | None = None

    # -- the thread --------------------------------------------------------------------------

    def run(self) -> None:
        """Send all shots, then end."""
        try:
            with (
                asyncio.Runner(loop_factory=lambda: self._loop) as runner,
                self._path.open("ab", buffering=1 << 20) as self._log,
            ):
                runner.run(self._send_all())
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            self.fault = error

    def stop(self) -> None:
        """Send nothing more, and wait for the end. Called by another thread."""
        with contextlib.suppress(RuntimeError):  # its loop has ended already
            self._loop.call_soon_threadsafe(self._finish)
        self.join(_STOP_SECONDS)

    def _finish(self) -> None:
        if not self._done.done():
            self._done.set_result(None)

    async def _send_all(self) -> None:
        self._loop.set_exception_handler(self._failed)
        for _ in range(self._connections):
            self._connect()
        watching = self._loop.create_task(self._end_hung())
        try:
            await self._done
        finally:
            self._connections = 0
            for task in (watching, *self._connecting):
                task.cancel()
            for line in list(self.lines):
                line.end()

    def _failed(self, _: object, context: dict[str, Any]) -> None:
        if not self._done.done():
            self._done.set_exception(context.get("exception") or SoakError(context["message"]))

    async def _end_hung(self) -> None:
        while True:
            await asyncio.sleep(1)
            late = time.monotonic() - HUNG_SECONDS
            for line in [line for line in self.lines if line.shot and line.began < late]:
                line.end()

    def _connect(self) -> None:
        task = self._loop.create_task(self._connect_until_it_works())
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect_until_it_works(self) -> None:
        while True:
            try:
                await self._loop.create_connection(
                    lambda: Connection(self), "127.0.0.1", self._port
                )
            except OSError:
                await asyncio.sleep(_random.uniform(0.1, 0.3))
            else:
                return

    # -- what goes out -----------------------------------------------------------------------

    def next(self, line: Connection) -> None:
        """Send the next request by this connection, or let it wait for one."""
        if self._again:
            line.send(self._again.popleft())
            return
        shot = next(self._shots, None) if self._shots is not None else None
        if shot is not None:
            self._open += 1
            line.send(shot)
            return
        self._shots = None
        self._idle.append(line)
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._shots is None and not self._open:
            self._finish()

    def _offer(self, shot: Shot) -> None:
        if self._idle:
            self._idle.pop().send(shot)
        else:
            self._again.append(shot)

    def _try_again(self, shot: Shot) -> None:
        shot.tries += 1
        if shot.tries >= _TRIES:
            self.given_up += 1
            self._settle()
        else:
            self._loop.call_later(_random.uniform(0.3, 1.0), self._offer, shot)

    def _settle(self) -> None:
        self.settled += 1
        self._open -= 1
        self._end_if_done()

    # -- what comes back ---------------------------------------------------------------------

    def answered(self, shot: Shot, status: int, body: bytes, began: float, took: float) -> None:
        """Log an answer; a 503 is sent again, as its text says."""
        code = receipt = _NOTHING
        if status >= 400:  # noqa: PLR2004 - HTTP
            code = str(json.loads(body).get("code")).encode()
        else:
            at = body.find(b'"receipt":"')
            receipt = body[at + 11 : at + 43] if at >= 0 else _NOTHING
        self._note(shot, status, code, receipt, began, took)
        self.took.append(took)
        if status == _UNAVAILABLE:
            self._try_again(shot)
            return
        following = shot.then(status, body) if shot.then is not None else None
        if following is not None:
            self._open += 1
            self._again.appendleft(following)
        self._settle()

    def lost(self, line: Connection, shot: Shot | None) -> None:
        """Log a connection that ended, and open another."""
        self.lines.discard(line)
        if line in self._idle:
            self._idle.remove(line)
        if shot is not None:
            now = time.monotonic()
            self._note(shot, 0, b"lost", _NOTHING, line.began, now - line.began)
            self._try_again(shot)
        if self._connections:
            self._connect()

    def _note(  # noqa: PLR0913, PLR0917 - the columns of a line
        self, shot: Shot, status: int, code: bytes, receipt: bytes, began: float, took: float
    ) -> None:
        self.statuses[status] += 1
        self._log.write(
            b"%b %d %b %b %.3f %.1f\n" % (shot.label, status, code, receipt, began, took * 1000)
        )
