"""What waits to be sent to one socket: for each poll the newest frame alone."""

import asyncio
import uuid
from collections import deque
from collections.abc import Callable

from realtime.frames import Frame
from realtime.lines import Line
from realtime.uvicorn_protocol import Paced

HEARTBEAT_SECONDS = 25.0  # of silence
STUCK_SECONDS = 30.0  # without a reader taking anything


class Outbox:
    """One frame in flight and, for each poll, one waiting: the newest.

    `heartbeat` returns the frame for when there was nothing to say; `stuck` is called where the
    reader has taken nothing for half a minute.
    """

    def __init__(
        self,
        line: Callable[[Paced], Line],
        *,
        heartbeat: Callable[[], Frame],
        stuck: Callable[[], None],
    ) -> None:
        self._heartbeat = heartbeat
        self._stuck = stuck
        self._newest: dict[uuid.UUID, Frame] = {}
        self._replies: deque[Frame] | None = None  # most sockets never have one
        self._full_since: float | None = None  # the client's side takes no further frame
        self._loop = asyncio.get_running_loop()
        self._spoke_at = self._loop.time()
        self._empty: asyncio.Event | None = None  # somebody waits for all to be sent
        self._line = line(self._paced)
        # One timer a socket, however many frames there are: it looks at what happened meanwhile.
        self._timer = self._loop.call_later(min(HEARTBEAT_SECONDS, STUCK_SECONDS), self._look)

    def post(self, poll_id: uuid.UUID, frame: Frame) -> None:
        """Send a poll's next frame, or have it wait in the place of one that was not sent yet."""
        if self._full_since is None:
            self._spoke_at = self._loop.time()
            self._line.write(frame)
        else:
            self._newest[poll_id] = frame

    def reply(self, frame: Frame) -> None:
        """Send a frame that must arrive: an answer or an error. Clients are bounded in asking."""
        if self._replies is None:
            self._replies = deque()
        self._replies.append(frame)
        self._send_waiting()

    def has_begun(self, poll_id: uuid.UUID) -> bool:
        """Whether no frame that begins this poll's is still waiting to be sent."""
        waiting = self._newest.get(poll_id)
        return waiting is None or not waiting.begins

    def forget(self, poll_id: uuid.UUID) -> None:
        """Drop a poll's waiting frame: its reader may no longer see it."""
        self._newest.pop(poll_id, None)

    async def drain(self) -> None:
        """Wait until all is sent; raises TimeoutError where the reader does not take it."""
        if not self._all_sent():
            self._empty = asyncio.Event()
            async with asyncio.timeout(STUCK_SECONDS):
                await self._empty.wait()

    def close(self) -> None:
        """Send nothing more."""
        self._timer.cancel()
        self._newest.clear()
        self._replies = None
        self._full_since = self._loop.time()  # nobody will say otherwise
        self._line.close()

    def abort(self) -> None:
        """Drop the connection, where the server lets us."""
        self._line.abort()

    def _all_sent(self) -> bool:
        return self._full_since is None and not self._newest and not self._replies

    def _paced(self, *, full: bool) -> None:
        self._full_since = self._loop.time() if full else None
        if not full:
            self._send_waiting()

    def _send_waiting(self) -> None:
        while self._full_since is None:
            if self._newest:
                frame = self._newest.pop(next(iter(self._newest)))
            elif self._replies:
                frame = self._replies.popleft()
            else:
                break
            self._spoke_at = self._loop.time()
            self._line.write(frame)
        if self._empty is not None and self._all_sent():
            self._empty.set()

    def _look(self) -> None:
        now = self._loop.time()
        if self._full_since is not None:
            wait = self._full_since + STUCK_SECONDS - now
            if wait <= 0:
                self._stuck()
                return
        else:
            wait = self._spoke_at + HEARTBEAT_SECONDS - now
            if wait <= 0:
                self.reply(self._heartbeat())
                wait = HEARTBEAT_SECONDS
            wait = min(wait, STUCK_SECONDS)  # for that may begin the moment after
        self._timer = self._loop.call_later(wait, self._look)
