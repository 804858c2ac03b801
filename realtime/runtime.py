"""What runs beside the requests of a server process, started by the first of them.

After a fork and on a server without lifespan events (Daphne) there is no other moment.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from django.conf import settings

from polls.domain.ballot_box import close_ballot_box
from polls.domain.sweep import Sweep
from polls.events import Event
from realtime.broadcaster import Broadcaster
from realtime.hub import REAUTHORISE_SECONDS, RECONCILE_SECONDS, Hub
from realtime.membership import Membership
from realtime.reception import Reception

logger = logging.getLogger(__name__)


class Runtime:
    """A process's hub, reception, broadcaster and sweep."""

    def __init__(self) -> None:
        self.sockets = 0
        self.hub: Hub
        self.reception: Reception
        self._broadcaster: Broadcaster | None = None
        self._sweep: Sweep | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin, on the running event loop; does nothing the second time."""
        if self._broadcaster is not None:
            return
        self.hub = Hub()
        self.reception = Reception()
        self._broadcaster = Broadcaster(self.hub)
        for work in (
            self._broadcaster.run(),
            self.reception.run(),
            self.hub.shows.run(),
            self.hub.reauthorise_revoked(),
            _repeat(RECONCILE_SECONDS, self.hub.reconcile),
            _repeat(REAUTHORISE_SECONDS, self.hub.reauthorise_all),
        ):
            self._run(work)
        if settings.REDIS_URLS:  # there may be other processes
            self._run(self._broadcaster.publish())
            membership = Membership(self.hub, self._broadcaster)
            self._run(membership.run())
            self._run(membership.tell())
        self._sweep = Sweep()
        self._sweep.start()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    async def stop(self) -> None:
        """Drain the ballot box and end what runs beside the requests."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, close_ballot_box)
        if self._sweep is not None:
            await loop.run_in_executor(None, self._sweep.stop)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._broadcaster = self._sweep = None
        self._tasks.clear()

    def hear(self, poll_id: uuid.UUID | None, event: Event) -> None:
        """Take an event of the domain, from any thread (the sink of polls.events)."""
        if self._broadcaster is None:
            return
        if poll_id is None:
            self._broadcaster.revoke()
            return
        if event is Event.AGENDA:
            self._broadcaster.mark_event(poll_id)
            return
        if event is Event.AUDIENCE:
            self._broadcaster.mark_audience(poll_id)
            return
        self._broadcaster.mark(poll_id, voted=event is Event.VOTED)
        if event is Event.CLOSED and self._sweep is not None:
            self._sweep.wake()


async def _repeat(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do something every so many seconds, whatever it raises."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception:
            logger.exception("The comparison with the database failed; trying again.")


runtime = Runtime()
