"""From a commit to a frame: once a tick, the dirty polls are told of.

What a flush has left of the counts is told as it is; after any other change they are read. The own
hub hears first; then the channel layer, within 200 ms or not at all. A vote never waits for either.
Of polls that nobody in this process watches the other processes are told that they moved, all of a
tick in one message, and whoever watches one reads it.
"""

import asyncio
import contextlib
import logging
import threading
import uuid
from collections.abc import Iterable
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings

from polls.domain.ballot_paper import last_count
from polls.domain.results import Count, read_counts
from realtime.frames import Update
from realtime.hub import Hub
from realtime.threads import in_thread

logger = logging.getLogger(__name__)

PUBLISH_SECONDS = 0.2
RENEW_SECONDS = 15.0  # at least, from one connection to the next
_FLUSH_SECONDS = 2.0


# The group of all processes, and what they tell each other there: that they are there, that
# somebody's token is revoked, and which polls have moved that the teller does not watch.
_PROCESSES = "processes"
_HERE = "here"
_REVOKED = "revoked"
_MOVED = "moved"
_MOVED_AT_ONCE = 1000  # polls in a message
HERE_SECONDS = 5.0  # between two times that a process says it is there
_ALONE_SECONDS = 3 * HERE_SECONDS  # without a word of another process


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
        self._changed: set[uuid.UUID] = set()  # of those the ones that not only votes have moved
        self._heard: set[uuid.UUID] = set()  # that have moved elsewhere; others know already
        self._mutex = threading.Lock()
        self._marked = asyncio.Event()
        self._unpublished: dict[uuid.UUID, Update] = {}
        self._moved: set[uuid.UUID] = set()  # and are read by whoever watches them
        self._self_at = self._others_at = -_ALONE_SECONDS  # when they were last heard of
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


def _counts_of_flushes(polls: set[uuid.UUID]) -> dict[uuid.UUID, Count]:
    found = {poll_id: last_count(poll_id) for poll_id in polls}
    return {poll_id: count for poll_id, count in found.items() if count is not None}


class Membership:
    """The one subscription that a process has per watched poll."""

    def __init__(self, hub: Hub, broadcaster: Broadcaster) -> None:
        self._hub = hub
        self._broadcaster = broadcaster
        self._layer: Any = get_channel_layer()
        # A name of our own: the one that new_channel() makes is lost when Redis is down.
        self._channel = f"specific.hub.{uuid.uuid4().hex}!hub"
        self._joined: set[uuid.UUID] = set()
        self._greeting = asyncio.Event()  # somebody must be told at once that this process is there
        self._is_new = True  # and nobody has been told yet

    async def tell(self) -> None:
        """Say now and then that this process is there, so that others tell it what moves.

        Whoever is new is answered at once.
        """
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HERE_SECONDS):
                    await self._greeting.wait()
            self._greeting.clear()
            said = {"type": _HERE, "channel": self._channel, "new": self._is_new}
            with contextlib.suppress(Exception):  # subscribing and publishing say what ails it
                async with asyncio.timeout(PUBLISH_SECONDS):
                    await self._layer.group_send(_PROCESSES, said)
                self._is_new = False
                if self._broadcaster.is_deaf:
                    self._hub.deaf.set()

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
            except Exception as error:  # noqa: BLE001 - comparing goes on without it
                health.failed(error)
                await asyncio.sleep(1)
                continue
            health.worked()
            try:
                self._take(message)
            except Exception:
                # Of another version of this service, say, while the old one is still there.
                logger.exception("What another process said was not understood.")

    def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == _HERE:
            another = message["channel"] != self._channel
            self._broadcaster.meet(another=another)
            if another and message["new"]:
                self._greeting.set()
        elif message["type"] == _REVOKED:
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
                    hears_processes = self._is_new = True
                    self._greeting.set()
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
