"""The way to one client: ready-made frames where the server takes them, else ASGI's `send`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from realtime.frames import Frame
from realtime.uvicorn_protocol import FRAMES, Follower, FramesExtension

Send = Callable[[Any], Awaitable[None]]
Way = Callable[[bytes], None]  # takes frames of RFC 6455, made once for everybody


class Line(Protocol):
    """Takes one frame after another.

    It tells its follower when no further frame must be written for now, which may be before `write`
    returns, when the next may be, and when none may be any more.
    """

    @property
    def direct(self) -> Way | None:
        """The way to write ready-made frames; None where it takes none."""

    def write(self, frame: Frame) -> None:
        """Send a frame."""

    def close(self) -> None:
        """Send nothing more."""

    def abort(self) -> None:
        """Drop the connection, where the server can."""


class DirectLine:
    """Writes to the transport of a server that offers the extension (Uvicorn)."""

    __slots__ = ("_abort", "direct")

    def __init__(self, offered: FramesExtension, follower: Follower) -> None:
        self.direct: Way = offered["write"]
        self._abort = offered["abort"]
        offered["follow"](follower)

    def write(self, frame: Frame) -> None:
        """Send a frame, without a task, a copy or an encoding of its own."""
        self.direct(frame.wire)

    def close(self) -> None:
        """Do nothing: the transport is the server's."""

    def abort(self) -> None:
        """Drop the connection."""
        self._abort()


class SendLine:
    """Awaits `send` in a task of its own (Daphne, and any other ASGI server)."""

    direct: Way | None = None

    def __init__(self, send: Send, follower: Follower) -> None:
        self._send = send
        self._follower = follower
        self._frame: Frame | None = None
        self._given = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def write(self, frame: Frame) -> None:
        """Have a frame sent; the next may come once the server has taken it."""
        self._frame = frame
        self._follower.paced(full=True)
        self._given.set()

    async def _run(self) -> None:
        while True:
            await self._given.wait()
            self._given.clear()
            if self._frame is not None:
                try:
                    await self._send(self._frame.message)
                except (OSError, RuntimeError):
                    # The client or its connection has gone; the disconnect event follows.
                    self._follower.ended()
                    return
            self._follower.paced(full=False)

    def close(self) -> None:
        """End the task."""
        self._task.cancel()

    def abort(self) -> None:
        """Do nothing: ASGI has no word for it."""


def line_to(scope: dict[str, Any], send: Send, follower: Follower) -> Line:
    """Return the best way to a client that the server offers."""
    offered = scope.get("extensions", {}).get(FRAMES)
    return SendLine(send, follower) if offered is None else DirectLine(offered, follower)
