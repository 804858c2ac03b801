"""What events show: who in this process watches which, and what they were last told.

There is one reading at a time, for all events that anybody asks of meanwhile, and at most one a
tick: for those who join, for what has changed here or elsewhere, and every few seconds for all that
are watched. So a message that is lost costs no more than that, and no answer is older than the one
before.
"""

import asyncio
import logging
import uuid
from collections.abc import Iterable
from typing import Protocol

from django.conf import settings

from polls.domain.now_showing import Showing, read_showings
from realtime import frames
from realtime.frames import Frame
from realtime.threads import in_thread

logger = logging.getLogger(__name__)

_AT_ONCE = 200  # sockets that are told before anything else gets its turn
_RETRY_SECONDS = 1.0


class Watcher(Protocol):
    """A socket that follows an event."""

    def show(self, showing: Showing, frame: Frame) -> None:
        """Take what the event shows now, in the frame that says so."""

    def gone(self) -> None:
        """Take it that there is no such event, or no longer."""

    def unavailable(self) -> None:
        """Take it that it cannot be read, and that nothing has been shown yet."""


class _Watched:
    """An event that somebody in this process watches."""

    def __init__(self) -> None:
        self.told: dict[Watcher, Frame | None] = {}
        self.showing: Showing | None = None
        self.frame: Frame | None = None  # the same for everybody

    def take(self, showing: Showing) -> Frame:
        """Return the frame for what was just read, a new one where it has changed."""
        if self.frame is None or showing != self.showing:
            self.showing, self.frame = showing, frames.event(showing)
        return self.frame


class Shows:
    """All events that this process watches. Lives on one event loop and is not thread-safe."""

    def __init__(self) -> None:
        self.watched: dict[uuid.UUID, _Watched] = {}
        self._wanted: set[uuid.UUID] = set()
        self._asked = asyncio.Event()
        self._tick = settings.TICK_MS / 1000

    def join(self, event_id: uuid.UUID, watcher: Watcher) -> None:
        """Let a watcher hear of an event, by a reading that begins after this."""
        self.watched.setdefault(event_id, _Watched()).told[watcher] = None
        self.read([event_id])

    def leave(self, event_id: uuid.UUID, watcher: Watcher) -> None:
        """Let a watcher hear no more; the last one ends the watching."""
        watched = self.watched.get(event_id)
        if watched is not None:
            watched.told.pop(watcher, None)
            if not watched.told:
                del self.watched[event_id]

    def read(self, event_ids: Iterable[uuid.UUID]) -> None:
        """Have those of these events that are watched read, and told of where they differ."""
        wanted = self.watched.keys() & set(event_ids)
        if wanted:
            self._wanted |= wanted
            self._asked.set()

    def compare(self) -> None:
        """Have all that are watched compared with the database, by one query."""
        self.read(self.watched)

    async def run(self) -> None:
        """Read what is asked for, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._asked.wait()
            self._asked.clear()
            wanted, self._wanted = self._wanted, set()
            started = loop.time()
            try:
                found = await in_thread(read_showings, wanted)
                for event_id in wanted:
                    await self._tell(event_id, found.get(event_id))
            except Exception:
                # Whatever it is, it must not be the end of all frames.
                logger.exception("What events show could not be told; trying again.")
                self._refuse_the_new(wanted)
                self.read(wanted)
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                await asyncio.sleep(max(0.0, started + self._tick - loop.time()))

    async def _tell(self, event_id: uuid.UUID, showing: Showing | None) -> None:
        watched = self.watched.get(event_id)
        if watched is None:
            return
        frame = None if showing is None else watched.take(showing)
        for number, watcher in enumerate(list(watched.told), 1):
            if watcher not in watched.told:
                continue  # it left while others were told
            if showing is None or frame is None:
                watcher.gone()
            elif watched.told[watcher] is not frame:
                watched.told[watcher] = frame
                watcher.show(showing, frame)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def _refuse_the_new(self, event_ids: Iterable[uuid.UUID]) -> None:
        for event_id in event_ids:
            watched = self.watched.get(event_id)
            for watcher, told in list(watched.told.items()) if watched else []:
                if told is None:
                    watcher.unavailable()
