"""From a commit to a frame: once a tick, the dirty polls are told of.

What a flush has left of the counts is told as it is; after any other change they are read. The own
hub hears first; then the channel layer, within 200 ms or not at all. A vote never waits for either.
Of polls that nobody in this process watches the other processes are told that they moved, all of a
tick in one message, and whoever watches one reads it.
"""

import asyncio
import logging
import threading
import uuid
from collections.abc import Coroutine, Iterable
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings

from polls.domain.ballot_paper import last_count
from polls.domain.results import Count, read_counts
from realtime.audience import Paced
from realtime.frames import Update
from realtime.hub import Hub
from realtime.layer import (
    AUDIENCE,
    MOVED,
    PROCESSES,
    PUBLISH_SECONDS,
    REVOKED,
    SHOWN,
    Health,
    all_of,
    group_name,
)
from realtime.threads import in_thread

logger = logging.getLogger(__name__)

HERE_SECONDS = 5.0  # between two times that a process says it is there
_ALONE_SECONDS = 3 * HERE_SECONDS  # without a word of another process
_MOVED_AT_ONCE = 1000  # polls in a message
_RETRY_SECONDS = 1.0  # what must be heard and was not


class Broadcaster:
    """Turns marks from any thread into frames on one event loop."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._dirty: set[uuid.UUID] = set()
        self._changed: set[uuid.UUID] = set()  # of those the ones that not only votes have moved
        self._heard: set[uuid.UUID] = set()  # that have moved elsewhere; others know already
        self._mutex = threading.Lock()
        self._marked = asyncio.Event()
        self._unpublished: dict[uuid.UUID, Update] = {}
        self._moved: set[uuid.UUID] = set()  # and are read by whoever watches them
        self._self_at = self._others_at = -_ALONE_SECONDS  # when they were last heard of
        self._shown: set[uuid.UUID] = set()  # events, of which the others have not been told
        self._revoked = False  # somebody's token, and the others have not been told
        self._audiences: set[uuid.UUID] = set()  # of which somebody may see more or less
        self._unsaid: set[uuid.UUID] = set()  # of those what the others have not been told
        self._say_paced = Paced(self._say_audience)
        self._publishable = asyncio.Event()
        self._tick = settings.TICK_MS / 1000
        self._layer: Any = get_channel_layer()

    def mark(self, poll_id: uuid.UUID, *, voted: bool = False) -> None:
        """Note that a poll has changed, or only its votes. Quick, and safe from any thread."""
        with self._mutex:
            first = not self._dirty
            self._dirty.add(poll_id)
            if not voted:
                self._changed.add(poll_id)
        if first:
            self._loop.call_soon_threadsafe(self._marked.set)

    def hear(self, poll_ids: Iterable[uuid.UUID]) -> None:
        """Take it from another process that polls have moved."""
        heard = self._hub.watched.keys() & set(poll_ids)
        if heard:
            self._heard |= heard
            self._marked.set()

    def meet(self, *, another: bool) -> None:
        """Take it that a process is there, which may be this one: then it hears what is said."""
        if another:
            self._others_at = self._loop.time()
        else:
            self._self_at = self._loop.time()

    @property
    def is_deaf(self) -> bool:
        """Whether it does not hear itself."""
        return self._loop.time() - self._self_at >= _ALONE_SECONDS

    @property
    def is_alone(self) -> bool:
        """Whether nobody would hear it but itself."""
        return not self.is_deaf and self._loop.time() - self._others_at >= _ALONE_SECONDS

    def revoke(self) -> None:
        """Let every process ask anew who may see what. Quick, and safe from any thread."""
        self._loop.call_soon_threadsafe(self._revoke)

    def _revoke(self) -> None:
        self._hub.revoked.set()
        self._revoked = True
        self._publishable.set()

    def mark_audience(self, poll_id: uuid.UUID) -> None:
        """Note that somebody may see more or less of a poll. Quick, and safe from any thread."""
        with self._mutex:
            first = not self._audiences
            self._audiences.add(poll_id)
        if first:
            self._loop.call_soon_threadsafe(self._tell_audiences)

    def _tell_audiences(self) -> None:
        with self._mutex:
            polls, self._audiences = self._audiences, set()
        self._hub.audiences.changed(polls)
        if settings.REDIS_URLS and not self.is_alone:
            for poll_id in polls:
                self._say_paced(poll_id)

    def _say_audience(self, poll_id: uuid.UUID) -> None:
        self._unsaid.add(poll_id)
        self._publishable.set()

    def mark_event(self, event_id: uuid.UUID) -> None:
        """Note that an event shows something else. Quick, and safe from any thread."""
        self._loop.call_soon_threadsafe(self._mark_event, event_id)

    def _mark_event(self, event_id: uuid.UUID) -> None:
        self._hub.shows.read([event_id])
        if settings.REDIS_URLS and not self.is_alone:
            self._shown.add(event_id)
            self._publishable.set()

    async def run(self) -> None:
        """Tell of dirty polls, at most once a tick."""
        while True:
            await self._marked.wait()
            self._marked.clear()
            with self._mutex:
                dirty, self._dirty = self._dirty, set()
                changed, self._changed = self._changed, set()
            heard, self._heard = self._heard, set()
            started = self._loop.time()
            try:
                await self._tell(dirty, changed, heard)
            except Exception:
                # Whatever it is, it must not be the end of all frames.
                logger.exception("Counts could not be told of; trying again.")
                for poll_id in dirty:
                    self.mark(poll_id)
                self._heard |= heard
                await asyncio.sleep(1)
                continue
            await asyncio.sleep(max(0.0, started + self._tick - self._loop.time()))

    async def _tell(
        self, dirty: set[uuid.UUID], changed: set[uuid.UUID], heard: set[uuid.UUID]
    ) -> None:
        """Tell the hub of polls that have moved, and the other processes of those of our own."""
        watched = (dirty | heard) & self._hub.watched.keys()
        counts = _counts_of_flushes(watched - changed - heard)
        if unknown := watched - counts.keys():
            counts |= await in_thread(read_counts, unknown)
        updates = [Update.of(count) for count in counts.values()]
        for update in updates:
            self._hub.hear(update)
        if settings.REDIS_URLS and not self.is_alone:
            own = [update for update in updates if update.poll_id in dirty]
            self._unpublished |= {update.poll_id: update for update in own}
            self._moved |= dirty - watched
            self._publishable.set()

    async def publish(self) -> None:
        """Pass updates on to the other processes; what they miss, they find by comparing."""
        health = Health("takes frames")
        while True:
            await self._publishable.wait()
            self._publishable.clear()
            revoked, self._revoked = self._revoked, False
            unsaid, self._unsaid = self._unsaid, set()
            try:
                await all_of(self._messages(unsaid, revoked=revoked), PUBLISH_SECONDS)
            except Exception as error:  # noqa: BLE001 - whatever ails it, votes and frames go on
                health.failed(error)
                if revoked or unsaid:
                    # Nobody finds all of this by comparing; it is asked for each minute otherwise.
                    self._revoked |= revoked
                    if len(self._unsaid) < _MOVED_AT_ONCE:
                        self._unsaid |= unsaid
                    self._loop.call_later(_RETRY_SECONDS, self._publishable.set)
            else:
                health.worked()

    def _messages(
        self, unsaid: set[uuid.UUID], *, revoked: bool
    ) -> list[Coroutine[object, object, None]]:
        """Return the sending of all that is to be said, and take it as said."""
        moved, self._moved = [poll_id.hex for poll_id in self._moved], set()
        shown, self._shown = [event_id.hex for event_id in self._shown], set()
        updates, self._unpublished = self._unpublished, {}
        said: list[tuple[str, dict[str, Any]]] = []
        if revoked:
            said.append((PROCESSES, {"type": REVOKED}))
        if shown:
            said.append((PROCESSES, {"type": SHOWN, "events": shown}))
        for kind, polls in ((AUDIENCE, [poll_id.hex for poll_id in unsaid]), (MOVED, moved)):
            for start in range(0, len(polls), _MOVED_AT_ONCE):
                some = polls[start : start + _MOVED_AT_ONCE]
                said.append((PROCESSES, {"type": kind, "polls": some}))
        said += [(group_name(update.poll_id), update.to_message()) for update in updates.values()]
        return [self._layer.group_send(group, message) for group, message in said]


def _counts_of_flushes(polls: set[uuid.UUID]) -> dict[uuid.UUID, Count]:
    found = {poll_id: last_count(poll_id) for poll_id in polls}
    return {poll_id: count for poll_id, count in found.items() if count is not None}
