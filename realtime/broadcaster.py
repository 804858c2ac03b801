"""From a commit to a frame: once a tick, the dirty polls are read and told of.

The own hub hears first; then the channel layer, within 200 ms or not at all. A vote never waits
for either. A poll that nobody in this process watches is not read here: the other processes are
told that it moved, all such polls of a tick in one message, and whoever watches one reads it.
"""

import asyncio
import logging
import threading
import uuid
from collections.abc import Iterable
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings

from polls.domain.results import read_counts
from realtime.frames import Update
from realtime.hub import Hub
from realtime.threads import in_thread

logger = logging.getLogger(__name__)

PUBLISH_SECONDS = 0.2
RENEW_SECONDS = 15.0  # at least, from one connection to the next
_FLUSH_SECONDS = 2.0


# The group of all processes, and what they tell each other there: that somebody's token is revoked,
# and which polls have moved that the teller does not watch.
_PROCESSES = "processes"
_REVOKED = "revoked"
_MOVED = "moved"
_MOVED_AT_ONCE = 1000  # polls in a message


def group_name(poll_id: uuid.UUID) -> str:
    """Return the group of the channel layer that carries a poll's updates."""
    return f"poll.{poll_id.hex}"


class _Health:
    """Whether something works, told in the log when that changes."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._works = True

    def failed(self, error: Exception) -> None:
        """Note that it has failed."""
        if self._works:
            logger.warning("The channel layer (Redis) no longer %s: %r", self._what, error)
        self._works = False

    def worked(self) -> None:
        """Note that it has worked."""
        if not self._works:
            logger.warning("The channel layer (Redis) %s again.", self._what)
        self._works = True


class Broadcaster:
    """Turns marks from any thread into frames on one event loop."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._dirty: set[uuid.UUID] = set()
        self._heard: set[uuid.UUID] = set()  # that have moved elsewhere; others know already
        self._mutex = threading.Lock()
        self._marked = asyncio.Event()
        self._unpublished: dict[uuid.UUID, Update] = {}
        self._moved: set[uuid.UUID] = set()  # and are read by whoever watches them
        self._publishable = asyncio.Event()
        self._tick = settings.TICK_MS / 1000
        self._layer: Any = get_channel_layer()

    def mark(self, poll_id: uuid.UUID) -> None:
        """Note that a poll has changed. Quick, and safe from any thread."""
        with self._mutex:
            first = not self._dirty
            self._dirty.add(poll_id)
        if first:
            self._loop.call_soon_threadsafe(self._marked.set)

    def hear(self, poll_ids: Iterable[uuid.UUID]) -> None:
        """Take it from another process that polls have moved."""
        heard = self._hub.watched.keys() & set(poll_ids)
        if heard:
            self._heard |= heard
            self._marked.set()

    def revoke(self) -> None:
        """Let every process ask anew who may see what. Quick, and safe from any thread."""
        self._loop.call_soon_threadsafe(self._hub.revoked.set)
        if settings.REDIS_URLS:
            asyncio.run_coroutine_threadsafe(self._tell_of_revocation(), self._loop)

    async def _tell_of_revocation(self) -> None:
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                await self._layer.group_send(_PROCESSES, {"type": _REVOKED})
        except Exception as error:  # noqa: BLE001 - the others ask anew each minute
            logger.warning("A revocation was not passed on: %r", error)

    async def run(self) -> None:
        """Read and tell of dirty polls, at most once a tick."""
        while True:
            await self._marked.wait()
            self._marked.clear()
            with self._mutex:
                dirty, self._dirty = self._dirty, set()
            heard, self._heard = self._heard, set()
            started = self._loop.time()
            watched = (dirty | heard) & self._hub.watched.keys()
            try:
                counts = await in_thread(read_counts, watched) if watched else {}
            except Exception:
                logger.exception("Counts could not be read; trying again.")
                for poll_id in dirty:
                    self.mark(poll_id)
                self._heard |= heard
                await asyncio.sleep(1)
                continue
            updates = [Update.of(count) for count in counts.values()]
            for update in updates:
                self._hub.hear(update)
            if settings.REDIS_URLS:  # else there is nobody to hear of it
                own = [update for update in updates if update.poll_id in dirty]
                self._unpublished |= {update.poll_id: update for update in own}
                self._moved |= dirty - watched
                self._publishable.set()
            await asyncio.sleep(max(0.0, started + self._tick - self._loop.time()))

    async def publish(self) -> None:
        """Pass updates on to the other processes; what they miss, they find by comparing."""
        health = _Health("takes frames")
        while True:
            await self._publishable.wait()
            self._publishable.clear()
            updates, self._unpublished = self._unpublished, {}
            moved, self._moved = [poll_id.hex for poll_id in self._moved], set()
            try:
                async with asyncio.timeout(PUBLISH_SECONDS):
                    for start in range(0, len(moved), _MOVED_AT_ONCE):
                        some = moved[start : start + _MOVED_AT_ONCE]
                        await self._layer.group_send(_PROCESSES, {"type": _MOVED, "polls": some})
                    for update in updates.values():
                        await self._layer.group_send(
                            group_name(update.poll_id), update.to_message()
                        )
            except Exception as error:  # noqa: BLE001 - whatever ails it, votes and frames go on
                health.failed(error)
            else:
                health.worked()


class Membership:
    """The one subscription that a process has per watched poll."""

    def __init__(self, hub: Hub, broadcaster: Broadcaster) -> None:
        self._hub = hub
        self._broadcaster = broadcaster
        self._layer: Any = get_channel_layer()
        # A name of our own: the one that new_channel() makes is lost when Redis is down.
        self._channel = f"specific.hub.{uuid.uuid4().hex}!hub"
        self._joined: set[uuid.UUID] = set()

    async def run(self) -> None:
        """Keep it up, by a new connection where nothing comes over the one there is.

        A link may be dead though both ends take it for whole: a proxy's, say, that lost Redis.
        """
        while True:
            work = [asyncio.create_task(self._receive()), asyncio.create_task(self._follow())]
            try:
                await asyncio.sleep(RENEW_SECONDS)
                self._hub.deaf.clear()
                await self._hub.deaf.wait()
            finally:
                for task in work:
                    task.cancel()
                await asyncio.gather(*work, return_exceptions=True)
            logger.warning("Other processes are not heard: connecting to the channel layer anew.")
            self._joined.clear()
            try:
                async with asyncio.timeout(_FLUSH_SECONDS):
                    await self._layer.flush()
            except Exception as error:  # noqa: BLE001 - it is tried again before long
                logger.warning("The channel layer (Redis) could not be left: %r", error)

    async def _receive(self) -> None:
        """Hand on what other processes publish."""
        health = _Health("gives frames")
        while True:
            try:
                message = await self._layer.receive(self._channel)
                self._take(message)
            except Exception as error:  # noqa: BLE001 - comparing goes on without it
                health.failed(error)
                await asyncio.sleep(1)
            else:
                health.worked()

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == _REVOKED:
            self._hub.revoked.set()
        elif message["type"] == _MOVED:
            self._broadcaster.hear(uuid.UUID(poll_id) for poll_id in message["polls"])
        else:
            self._hub.hear(Update.from_message(message))

    async def _follow(self) -> None:
        """Keep the subscriptions to what is watched, without anybody waiting for it."""
        health = _Health("takes subscriptions")
        hears_processes = False
        self._hub.changed.set()
        while True:
            await self._hub.changed.wait()
            self._hub.changed.clear()
            try:
                if not hears_processes:
                    await self._layer.group_add(_PROCESSES, self._channel)
                    hears_processes = True
                for poll_id in self._hub.watched.keys() - self._joined:
                    await self._layer.group_add(group_name(poll_id), self._channel)
                    self._joined.add(poll_id)
                for poll_id in self._joined - self._hub.watched.keys():
                    await self._layer.group_discard(group_name(poll_id), self._channel)
                    self._joined.discard(poll_id)
            except Exception as error:  # noqa: BLE001 - the same
                health.failed(error)
                self._hub.changed.set()
                await asyncio.sleep(1)
            else:
                health.worked()
