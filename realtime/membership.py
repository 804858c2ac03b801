"""A process's place among the others: it hears of what it watches, and is known to be there."""

import asyncio
import contextlib
import logging
import uuid
from typing import Any

from channels.layers import get_channel_layer

from realtime.broadcaster import HERE_SECONDS, Broadcaster
from realtime.frames import Update
from realtime.hub import Hub
from realtime.layer import (
    AUDIENCE,
    HERE,
    MOVED,
    PROCESSES,
    PUBLISH_SECONDS,
    REVOKED,
    SHOWN,
    Health,
    all_of,
    group_name,
)

logger = logging.getLogger(__name__)

_PROBE = "probe"  # said to itself
_PROBE_SECONDS = 1.0
RENEW_SECONDS = 15.0  # at least, from one connection to the next
_FLUSH_SECONDS = 2.0
_SUBSCRIBE_SECONDS = 5.0  # for all that has come to be watched since the last time


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
            said = {"type": HERE, "channel": self._channel, "new": self._is_new}
            with contextlib.suppress(Exception):  # subscribing and publishing say what ails it
                async with asyncio.timeout(PUBLISH_SECONDS):
                    await self._layer.group_send(PROCESSES, said)
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
                await self._until_heard()
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

    async def _until_heard(self) -> None:
        """Wait until the Redis that carries its own name takes a message.

        Until then the connections to others are better than new ones, which would wait for it.
        """
        while True:
            try:
                async with asyncio.timeout(PUBLISH_SECONDS):
                    await self._layer.send(self._channel, {"type": _PROBE})
            except Exception:  # noqa: BLE001 - publishing says what ails it
                await asyncio.sleep(_PROBE_SECONDS)
            else:
                return

    async def _receive(self) -> None:
        """Hand on what other processes publish."""
        health = Health("gives frames")
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
        if message["type"] == HERE:
            another = message["channel"] != self._channel
            self._broadcaster.meet(another=another)
            if another and message["new"]:
                self._greeting.set()
        elif message["type"] == REVOKED:
            self._hub.revoked.set()
        elif message["type"] == AUDIENCE:
            self._hub.audiences.changed(uuid.UUID(poll_id) for poll_id in message["polls"])
        elif message["type"] == MOVED:
            self._broadcaster.hear(uuid.UUID(poll_id) for poll_id in message["polls"])
        elif message["type"] == SHOWN:
            self._hub.shows.read(uuid.UUID(event_id) for event_id in message["events"])
        elif message["type"] != _PROBE:
            self._hub.hear(Update.from_message(message))

    async def _follow(self) -> None:
        """Keep the subscriptions to what is watched, without anybody waiting for it."""
        health = Health("takes subscriptions")
        hears_processes = False
        self._hub.changed.set()
        while True:
            await self._hub.changed.wait()
            self._hub.changed.clear()
            try:
                if not hears_processes:
                    await self._layer.group_add(PROCESSES, self._channel)
                    hears_processes = self._is_new = True
                    self._greeting.set()
                    # What was said before went past this process: whose token was revoked, say.
                    self._hub.revoked.set()
                watched = self._hub.watched.keys()
                changes = [self._join(poll_id) for poll_id in watched - self._joined]
                changes += [self._leave(poll_id) for poll_id in self._joined - watched]
                await all_of(changes, _SUBSCRIBE_SECONDS)
            except Exception as error:  # noqa: BLE001 - the same
                health.failed(error)
                self._hub.changed.set()
                await asyncio.sleep(1)
            else:
                health.worked()

    async def _join(self, poll_id: uuid.UUID) -> None:
        await self._layer.group_add(group_name(poll_id), self._channel)
        self._joined.add(poll_id)

    async def _leave(self, poll_id: uuid.UUID) -> None:
        await self._layer.group_discard(group_name(poll_id), self._channel)
        self._joined.discard(poll_id)
