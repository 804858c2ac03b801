"""What the processes of one service say to each other, over the channel layer (Redis)."""

import asyncio
import logging
import uuid
from collections.abc import Coroutine, Iterable

logger = logging.getLogger(__name__)

PUBLISH_SECONDS = 0.2

# The group of all processes, and what they tell each other there: that they are there, that
# somebody's token is revoked, of which polls somebody may see more or less, which polls have moved
# that the teller does not watch, and which events show something else.
PROCESSES = "processes"
HERE = "here"
REVOKED = "revoked"
AUDIENCE = "audience"
MOVED = "moved"
SHOWN = "shown"


def group_name(poll_id: uuid.UUID) -> str:
    """Return the group of the channel layer that carries a poll's updates."""
    return f"poll.{poll_id.hex}"


async def all_of(calls: Iterable[Coroutine[object, object, None]], seconds: float) -> None:
    """Make many calls of the channel layer beside each other; raises the first error of any.

    It may be spread over several Redis, of which a dead one must not hold up the others.
    """
    async with asyncio.timeout(seconds):
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome


class Health:
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
