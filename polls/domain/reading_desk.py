"""Reading desks: coroutines that ask for what the database holds share the readings of one thread.

A reading serves whoever has asked before it began, so that it reflects every vote that was
acknowledged before they asked. Alone, nobody waits for another; under load, one statement serves
all who came while the last was on its way.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import DatabaseError, InterfaceError, connection

from polls.domain import deadline
from polls.domain.database import Failure, failure_of
from polls.domain.replies import Reply
from polls.errors import Code

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)  # what is asked about: a poll, by its id, say
T = TypeVar("T")

# What a request must have left of its time, or one that is late would hurry the whole reading.
_LEAST_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Asked(Generic[K, T]):
    about: K
    reply: Reply[T | Code | None]
    until: float


class ReadingDesk(Generic[K, T]):
    """A thread with a connection of its own, started by the first who asks.

    `read` returns what is asked about, leaving out that of which there is nothing.
    """

    def __init__(self, read: Callable[[set[K]], Mapping[K, T]]) -> None:
        self._read = read
        self._asked: deque[_Asked[K, T]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def ask(self, about: K, reply: Reply[T | Code | None], until: float) -> None:
        """Ask about something, by this time of `time.monotonic()`.

        The answer is None where the reading leaves it out, or `unavailable`.
        """
        with self._changed:
            if self._closing:
                reply.set_result(Code.UNAVAILABLE)
                return
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="reading-desk", daemon=True)
                thread.start()
                self._thread = thread
            self._asked.append(_Asked(about, reply, until))
            self._changed.notify()

    def close(self) -> None:
        """Answer who has asked, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            while asked := self._next():
                soon = time.monotonic() + _LEAST_SECONDS
                standing = [one for one in asked if one.reply.set_running_or_notify_cancel()]
                for one in standing:
                    if one.until <= soon:
                        one.reply.set_result(Code.UNAVAILABLE)
                self._answer([one for one in standing if one.until > soon])
        finally:
            connection.close()

    def _next(self) -> list[_Asked[K, T]]:
        with self._changed:
            while not self._asked and not self._closing:
                self._changed.wait()
            asked = list(self._asked)
            self._asked.clear()
        return asked

    def _answer(self, asked: list[_Asked[K, T]]) -> None:
        if not asked:
            return
        found: Mapping[K, T] | Code
        try:
            with deadline.until(min(one.until for one in asked)):
                found = self._read_twice({one.about for one in asked})
        except (DatabaseError, InterfaceError) as error:
            logger.warning("What %d requests ask for cannot be read: %s", len(asked), error)
            connection.close()
            found = Code.UNAVAILABLE
        except Exception as error:
            logger.exception("What %d requests ask for cannot be read.", len(asked))
            for one in asked:
                one.reply.set_exception(error)
            return
        for one in asked:
            one.reply.set_result(found if isinstance(found, Code) else found.get(one.about))

    def _read_twice(self, asked: set[K]) -> Mapping[K, T]:
        """Read, and once more where only the connection was lost."""
        try:
            return self._read(asked)
        except (DatabaseError, InterfaceError) as error:
            late = isinstance(error.__cause__, deadline.DeadlineExceededError)
            if late or failure_of(error) is not Failure.LOST:
                raise
            connection.close()
            return self._read(asked)
