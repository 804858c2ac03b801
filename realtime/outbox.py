"""What waits to be sent to one socket: for each poll the newest frame alone."""

import asyncio
import uuid
from collections import deque
from collections.abc import Callable
from typing import Protocol

from realtime.frames import Frame
from realtime.lines import Line, Way
from realtime.uvicorn_protocol import Follower

HEARTBEAT_SECONDS = 25.0  # of silence
STUCK_SECONDS = 30.0  # without a reader taking anything


class Owner(Protocol):
    """The socket that an outbox is of."""

    def heartbeat(self) -> Frame:
        """Return what is said after a long silence."""

    def stuck(self) -> None:
        """Take it that the reader has taken nothing for half a minute."""

    def held_up(self) -> None:
        """Take it that `way` leads nowhere for now."""

    def flowing(self) -> None:
        """Take it that it does again."""

    def spoke_at(self) -> float:
        """Return when something was last written by `way`."""


class Outbox:
    """One frame in flight and, for each poll, one waiting: the newest."""

    __slots__ = (
        *("_empty", "_ended", "_full", "_full_since", "_line", "_loop", "_newest", "_owner"),
        *("_replies", "_spoke_at", "_timer"),
    )

    def __init__(self, owner: Owner, line: Callable[[Follower], Line]) -> None:
        self._owner = owner
        self._newest: dict[uuid.UUID, Frame] = {}
        self._replies: deque[Frame] | None = None  # most sockets never have one
        self._full = False  # the client's side takes no further frame for now
        self._full_since = 0.0
        self._ended = False  # nor will it ever again
        self._loop = asyncio.get_running_loop()
        self._spoke_at = self._loop.time()
        self._empty: asyncio.Event | None = None  # somebody waits for all to be sent
        self._line = line(self)
        # One timer a socket, however many frames there are: it looks at what happened meanwhile.
        self._timer = self._loop.call_later(min(HEARTBEAT_SECONDS, STUCK_SECONDS), self._look)

    @property
    def way(self) -> Way | None:
        """The way that ready-made frames may be written by; None where one must wait."""
        return None if self._full else self._line.direct

    def post(self, poll_id: uuid.UUID, frame: Frame) -> None:
        """Send a poll's next frame, or have it wait in the place of one that was not sent yet."""
        if self._full:
            self._newest[poll_id] = frame
        else:
            self._spoke_at = self._loop.time()
            self._line.write(frame)

    def reply(self, frame: Frame) -> None:
        """Send a frame that must arrive: an answer or an error. Clients are bounded in asking."""
        if self._ended:
            return
        if self._replies is None:
            self._replies = deque()
        self._replies.append(frame)
        self._send_waiting()

    def has_begun(self, poll_id: uuid.UUID) -> bool:
        """Whether no frame that begins this poll's is still waiting to be sent."""
        if not self._full:
            return True
        waiting = self._newest.get(poll_id)
        return waiting is None or not waiting.begins

    def forget(self, poll_id: uuid.UUID) -> None:
        """Drop a poll's waiting frame: its reader may no longer see it."""
        self._newest.pop(poll_id, None)

    async def drain(self) -> None:
        """Wait until all is sent, or never will be: a stuck reader is given up meanwhile."""
        if not self._all_sent():
            if self._empty is None:
                self._empty = asyncio.Event()
            await self._empty.wait()

    def close(self) -> None:
        """Send nothing more."""
        self._timer.cancel()
        self.ended()
        self._line.close()

    def abort(self) -> None:
        """Drop the connection, where the server lets us."""
        self._line.abort()

    def _all_sent(self) -> bool:
        return self._ended or not (self._full or self._newest or self._replies)

    # -- what the line says ------------------------------------------------------------------

    def paced(self, *, full: bool) -> None:
        """Take it that no further frame is taken for now, or that the next one is."""
        if self._ended:
            return
        self._full = full
        if full:
            self._full_since = self._loop.time()
            self._owner.held_up()
        else:
            self._send_waiting()
            if not self._full:
                self._owner.flowing()

    def ended(self) -> None:
        """Take it that nothing more can be sent; whoever waits for it to be has waited enough."""
        self._full = self._ended = True
        self._newest.clear()
        self._replies = None
        self._owner.held_up()
        self._wake()

    def _wake(self) -> None:
        if self._empty is not None and self._all_sent():
            self._empty.set()
            self._empty = None

    def _send_waiting(self) -> None:
        while not self._full:
            if self._newest:
                frame = self._newest.pop(next(iter(self._newest)))
            elif self._replies:
                frame = self._replies.popleft()
            else:
                break
            self._spoke_at = self._loop.time()
            self._line.write(frame)
        self._wake()

    def _look(self) -> None:
        if self._ended:
            return
        now = self._loop.time()
        if self._full:
            wait = self._full_since + STUCK_SECONDS - now
            if wait <= 0:
                self._owner.stuck()
                return
        else:
            spoke_at = max(self._spoke_at, self._owner.spoke_at())
            wait = spoke_at + HEARTBEAT_SECONDS - now
            if wait <= 0:
                self.reply(self._owner.heartbeat())
                wait = HEARTBEAT_SECONDS
            wait = min(wait, STUCK_SECONDS)  # for that may begin the moment after
        self._timer = self._loop.call_later(wait, self._look)
