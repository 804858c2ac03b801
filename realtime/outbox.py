"""What waits to be sent to one socket: for each poll the newest frame alone."""

import asyncio
import uuid
from collections import deque
from collections.abc import Awaitable, Callable

HEARTBEAT_SECONDS = 25.0  # of silence
STUCK_SECONDS = 30.0  # without a reader taking anything


class StuckReaderError(Exception):
    """The client has taken nothing for half a minute."""


class Outbox:
    """One frame in flight and, for each poll, one waiting: the newest.

    `send` writes one text frame and returns once the transport has room again. `heartbeat`
    returns the frame for when there was nothing to say.
    """

    def __init__(
        self, send: Callable[[str], Awaitable[None]], heartbeat: Callable[[], str]
    ) -> None:
        self._send = send
        self._heartbeat = heartbeat
        self._replies: deque[str] = deque()
        self._newest: dict[uuid.UUID, str] = {}
        self._beginnings: set[uuid.UUID] = set()  # of those the ones that begin a poll's frames
        self._waiting = asyncio.Event()

    def reply(self, frame: str) -> None:
        """Queue a frame that must arrive: an answer or an error. Clients are bounded in asking."""
        self._replies.append(frame)
        self._waiting.set()

    def post(self, poll_id: uuid.UUID, frame: str) -> None:
        """Let this be the poll's next frame, in the place of one that was not sent yet."""
        self._newest[poll_id] = frame
        self._beginnings.discard(poll_id)
        self._waiting.set()

    def begin(self, poll_id: uuid.UUID, frame: str) -> None:
        """Post what the client takes for a beginning, whatever it has: a snapshot or a hello."""
        self.post(poll_id, frame)
        self._beginnings.add(poll_id)

    def has_begun(self, poll_id: uuid.UUID) -> bool:
        """Whether no beginning of this poll is still waiting to be sent."""
        return poll_id not in self._beginnings

    def forget(self, poll_id: uuid.UUID) -> None:
        """Drop a poll's waiting frame: its reader may no longer see it."""
        self._newest.pop(poll_id, None)
        self._beginnings.discard(poll_id)

    async def run(self) -> None:
        """Send until cancelled; raises StuckReaderError where the reader is gone for good."""
        while True:
            frame = await self._next()
            try:
                async with asyncio.timeout(STUCK_SECONDS):
                    await self._send(frame)
            except TimeoutError:
                raise StuckReaderError from None

    async def drain(self) -> None:
        """Send what is waiting and nothing more."""
        while self._replies or self._newest:
            async with asyncio.timeout(STUCK_SECONDS):
                await self._send(self._take())

    async def _next(self) -> str:
        if not self._replies and not self._newest:
            self._waiting.clear()
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await self._waiting.wait()
            except TimeoutError:
                return self._heartbeat()
        return self._take()

    def _take(self) -> str:
        if self._newest:
            poll_id = next(iter(self._newest))
            self._beginnings.discard(poll_id)
            return self._newest.pop(poll_id)
        return self._replies.popleft()
