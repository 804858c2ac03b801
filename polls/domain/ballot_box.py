"""The ballot box: votes that arrive while a flush is on its way form the next ones.

Alone, a vote waits for nobody; under load the batch grows by itself. The box is a plain thread
with its own connection, one per process, started by the first vote.
"""

import logging
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from django.db import DatabaseError, InterfaceError, connection

from polls import events
from polls.domain import deadline
from polls.domain.ballot_paper import papers
from polls.domain.database import Failure, failure_of
from polls.domain.flush import flush
from polls.domain.outcomes import Counted, Outcome
from polls.domain.replies import Reply
from polls.domain.statements import Action, Cast, Statements, statements
from polls.errors import Code, Refusal

logger = logging.getLogger(__name__)

QUEUE_LIMIT = 10_000  # votes
QUEUE_SECONDS = 2.0  # how old the oldest waiting vote may be
BATCH_LIMIT = 500  # votes in one transaction
_ATTEMPTS = 3  # for a deadlock, a serialisation failure or a lock time-out
_LEAST_SECONDS = 0.5  # what a vote must have left of its time to be taken into a flush
_MARGIN_SECONDS = 0.2  # in which the outcome of a flush reaches those who wait for it


class OutcomeUnknownError(Exception):
    """The connection was lost while COMMIT was on its way."""


@dataclass(slots=True)
class _Waiting:
    cast: Cast
    reply: Reply[Outcome]
    since: float
    until: float  # when whoever submitted it gives up


def write_batch(casts: Sequence[Cast]) -> list[Outcome]:
    """Flush a batch in one transaction on this thread's connection and commit it.

    Raises Django's database errors where nothing was committed, and OutcomeUnknownError where
    that cannot be known.
    """
    with connection.cursor() as cursor:
        words = statements(cursor)
        try:
            words.begin()
            # SQLite's statements go past Django's cursor, which translates errors by itself.
            with connection.wrap_database_errors:
                outcomes = flush(words, casts)
        except BaseException:
            _abandon(words)
            raise
        try:
            words.commit()
        except (DatabaseError, InterfaceError) as error:
            _abandon(words)
            # A conflict or a row that was refused: rolled back. A server that says nothing may
            # have committed, and SQLite's log may hold the commit whose sync has failed.
            if failure_of(error) in {Failure.AGAIN, Failure.ROW}:
                raise
            raise OutcomeUnknownError from error
    return outcomes


def _abandon(words: Statements) -> None:
    """Roll back, or drop the connection where even that fails."""
    try:
        words.rollback()
    except (DatabaseError, InterfaceError):
        connection.close()


class BallotBox:
    """A bounded queue of votes and the thread that flushes them.

    `write` is what flushes a batch; tests of failures put another in its place.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Cast]], list[Outcome]] = write_batch,
        *,
        queue_limit: int = QUEUE_LIMIT,
        batch_limit: int = BATCH_LIMIT,
    ) -> None:
        self._write = write
        self._queue_limit = queue_limit
        self._batch_limit = batch_limit
        self._queue: deque[_Waiting] = deque()
        self._answered = 0  # votes of the batch before, if the box has not been idle since
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = False

    def submit(self, cast: Cast) -> "Future[Outcome]":
        """Queue a vote. Its future holds the outcome once that is committed.

        Raises `overloaded` at once where the vote could not be answered in time.
        """
        future: Future[Outcome] = Future()
        self.submit_for(cast, future, deadline.end())
        return future

    def submit_for(self, cast: Cast, reply: Reply[Outcome], until: float) -> None:
        """Queue a vote whose outcome goes to `reply`, by this time of `time.monotonic()`.

        Raises `overloaded` as `submit` does.
        """
        waiting = _Waiting(cast, reply, time.monotonic(), until)
        with self._changed:
            if self._closing:
                raise Refusal(Code.UNAVAILABLE, "The service is being restarted.")
            late = self._queue and waiting.since - self._queue[0].since > QUEUE_SECONDS
            if late or len(self._queue) >= self._queue_limit:
                raise Refusal(Code.OVERLOADED)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="ballot-box", daemon=True)
                thread.start()  # which fails where the system has no thread left
                self._thread = thread
            self._queue.append(waiting)
            self._changed.notify()

    def close(self) -> None:
        """Flush what is queued, refuse what comes later, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            while batch := self._next_batch():
                self._settle(batch)
        finally:
            connection.close()

    def _next_batch(self) -> list[_Waiting]:
        """Wait for votes and take them out; empty when the box is closed and drained."""
        with self._changed:
            if not self._queue:
                self._answered = 0
            while not self._queue and not self._closing:
                self._changed.wait()
            # Half of those who wait and of those who were just answered and may vote again. To
            # take all who wait would end with everybody in one batch, and then the database
            # stands still while their answers are written, and the event loop during the flush.
            half = (len(self._queue) + self._answered + 1) // 2
            number = min(len(self._queue), half, self._batch_limit)
            taken = [self._queue.popleft() for _ in range(number)]
            self._answered = number
        # Whoever gave up waiting has cancelled and been told `overloaded`: not to be counted.
        batch = [waiting for waiting in taken if waiting.reply.set_running_or_notify_cancel()]
        # Nor is who would not hear of it, or one late vote would hurry the whole flush.
        soon = time.monotonic() + _LEAST_SECONDS
        _refuse([waiting for waiting in batch if waiting.until <= soon], Code.OVERLOADED)
        batch = [waiting for waiting in batch if waiting.until > soon]
        return batch or (self._next_batch() if taken else [])

    def _settle(self, batch: Sequence[_Waiting]) -> None:
        """Flush a batch and answer each of its votes, whatever happens."""
        first = min(waiting.until for waiting in batch)
        try:
            with deadline.until(min(first - _MARGIN_SECONDS, deadline.now_plus())):
                outcomes = self._flush_with_retries([waiting.cast for waiting in batch])
        except OutcomeUnknownError:
            logger.exception("The outcome of %d votes is unknown.", len(batch))
            _refuse(batch, Code.OUTCOME_UNKNOWN)
        except (DatabaseError, InterfaceError) as error:
            self._settle_failure(batch, error)
        except Exception as error:
            logger.exception("A flush of %d votes failed.", len(batch))
            for waiting in batch:
                waiting.reply.set_exception(error)
        else:
            for waiting, outcome in zip(batch, outcomes, strict=True):
                waiting.reply.set_result(outcome)
            counted = {
                waiting.cast.poll: (waiting.cast.revision, outcome.tallied)
                for waiting, outcome in zip(batch, outcomes, strict=True)
                if isinstance(outcome, Counted)
            }
            withdrawn = {
                waiting.cast.poll
                for waiting, outcome in zip(batch, outcomes, strict=True)
                if waiting.cast.action is Action.WITHDRAW and isinstance(outcome, Counted)
            }
            for poll, (revision, tallied) in counted.items():
                poll_id = uuid.UUID(poll)
                papers.note(poll_id, revision, tallied)
                if poll in withdrawn:  # somebody may see results no longer
                    events.publish(poll_id, events.Event.AUDIENCE)
                events.publish(poll_id, events.Event.VOTED)

    def _settle_failure(self, batch: Sequence[_Waiting], error: Exception) -> None:
        """Nothing was committed: find the bad row by halving, or refuse the batch by name."""
        failure = failure_of(error)
        if failure is Failure.ROW and len(batch) > 1:
            middle = len(batch) // 2
            self._settle(batch[:middle])
            self._settle(batch[middle:])
            return
        logger.error("A flush of %d votes failed (%s): %s", len(batch), failure.name, error)
        if failure is Failure.ROW:
            batch[0].reply.set_exception(error)
        else:
            _refuse(batch, Code.OVERLOADED if failure is Failure.AGAIN else Code.UNAVAILABLE)

    def _flush_with_retries(self, casts: Sequence[Cast]) -> list[Outcome]:
        """Try again where the same batch may succeed: conflicts thrice, a lost connection once."""
        attempts, lost = 0, False
        while True:
            attempts += 1
            try:
                return self._write(casts)
            except (DatabaseError, InterfaceError) as error:
                if isinstance(error.__cause__, deadline.DeadlineExceededError):
                    raise
                failure = failure_of(error)
                if failure is Failure.LOST and not lost:
                    lost = True
                elif failure is not Failure.AGAIN or attempts >= _ATTEMPTS:
                    raise


def _refuse(batch: Sequence[_Waiting], code: Code) -> None:
    for waiting in batch:
        waiting.reply.set_result(code)


@dataclass(slots=True)
class _Process:
    """The own box of a process."""

    box: BallotBox | None = None
    mutex: threading.Lock = field(default_factory=threading.Lock)


_process = _Process()


def _forget_box() -> None:
    """Let a forked child, which has no box thread, start its own with its first vote."""
    _process.box = None
    _process.mutex = threading.Lock()


os.register_at_fork(after_in_child=_forget_box)


def ballot_box() -> BallotBox:
    """Return this process's ballot box."""
    with _process.mutex:
        if _process.box is None:
            _process.box = BallotBox()
        return _process.box


def close_ballot_box() -> None:
    """Drain this process's box; the next vote would open another."""
    with _process.mutex:
        box, _process.box = _process.box, None
    if box is not None:
        box.close()
