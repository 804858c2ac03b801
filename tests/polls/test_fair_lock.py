"""The SQLite backend's lock: writers are served in the order in which they came.

The lock is a piece of Python around a file, so these tests run the same on both stacks, each on a
file of its own.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from django.db import OperationalError
from django.db.utils import ConnectionHandler
from pytest_django.plugin import DjangoDbBlocker

from polls.domain.ballot_box import write_batch
from polls.domain.outcomes import Outcome
from polls.domain.polls import edit_poll
from polls.domain.statements import Cast
from polls_project.sqlite.base import FairLock, _lock_of
from tests.cast import Person
from tests.polls.ballots import casts_of, new_paper
from tests.polls.stacks import on_sqlite_alone
from tests.polls.threads import PATIENCE, beside, boxes, outcomes, together, wait_until

# -- the lock alone ---------------------------------------------------------------------------


def test_free_lock_is_taken_at_once_and_by_one_alone() -> None:
    lock = FairLock()
    assert lock.acquire(0)
    assert not lock.acquire(0)
    lock.release()
    assert lock.acquire(0)


def test_waiters_are_served_in_the_order_in_which_they_came() -> None:
    lock = FairLock()
    assert lock.acquire(0)
    served: list[int] = []

    def wait(place: int) -> None:
        assert lock.acquire(PATIENCE)
        served.append(place)
        lock.release()

    threads = [threading.Thread(target=wait, args=(place,)) for place in range(20)]
    for place, thread in enumerate(threads):
        thread.start()
        wait_until(lambda: len(lock._waiters) == place + 1)  # noqa: B023 - asked before the next
    lock.release()
    for thread in threads:
        thread.join(PATIENCE)
    assert served == list(range(20))
    assert lock.acquire(0)


def test_waiter_that_gives_up_leaves_no_trace() -> None:
    lock = FairLock()
    assert lock.acquire(0)
    assert together(5, lambda _: lock.acquire(0.05)) == [False] * 5
    assert not lock._waiters
    lock.release()
    assert lock.acquire(0)


def test_lock_is_never_lost_between_a_release_and_a_time_out() -> None:
    """A hundred waiters give up about when they are served: each either has it or has not."""
    lock = FairLock()
    held = threading.Semaphore(1)  # what the lock guards: two at once would be seen

    def work(place: int) -> int:
        served = 0
        for turn in range(25):
            if lock.acquire(0.0005 * ((place + turn) % 4)):
                assert held.acquire(blocking=False)
                time.sleep(0.0005)
                held.release()
                lock.release()
                served += 1
        return served

    assert sum(together(20, work)) > 25
    assert lock.acquire(0)


# -- connections ------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Path]:
    """A database file with one table, beside the suite's own database."""
    file = tmp_path / "fair.sqlite3"
    with sqlite3.connect(file) as plain:
        plain.execute("PRAGMA journal_mode=WAL")
        plain.execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
    plain.close()
    with django_db_blocker.unblock():
        yield file


def _handler(path: Path, engine: str = "polls_project.sqlite") -> ConnectionHandler:
    return ConnectionHandler(
        {
            "default": {
                "ENGINE": engine,
                "NAME": str(path),
                "OPTIONS": {"timeout": 2, "transaction_mode": "IMMEDIATE"},
            }
        }
    )


@pytest.fixture
def files(path: Path) -> Iterator[ConnectionHandler]:
    """Connections to the file; every thread gets its own."""
    handler = _handler(path)
    yield handler
    handler.close_all()


def _write(files: ConnectionHandler, text: str = "x") -> None:
    """Write in autocommit."""
    with files["default"].cursor() as cursor:
        cursor.execute("INSERT INTO note (text) VALUES (%s)", [text])


def _is_free(path: Path) -> bool:
    lock = _lock_of(str(path))
    free = lock.acquire(0)
    if free:
        lock.release()
    return free


def _begin(files: ConnectionHandler) -> None:
    files["default"].set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)


def _commit(files: ConnectionHandler) -> None:
    files["default"].commit()


def _rollback(files: ConnectionHandler) -> None:
    files["default"].rollback()


def _close(files: ConnectionHandler) -> None:
    files["default"].close()


@pytest.mark.parametrize("end", [_commit, _rollback, _close])
def test_lock_is_held_from_begin_to_the_end_of_the_transaction(
    files: ConnectionHandler, path: Path, end: Callable[[ConnectionHandler], None]
) -> None:
    _begin(files)
    _write(files)
    assert not _is_free(path)
    end(files)
    assert _is_free(path)


def test_lock_is_given_back_where_begin_fails(files: ConnectionHandler, path: Path) -> None:
    """Another process holds the file: only SQLite's own lock can say so."""
    _write(files)
    files["default"].cursor().execute("PRAGMA busy_timeout=0")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError, match="locked"):
        _begin(files)
    assert _is_free(path)
    other.execute("ROLLBACK")
    other.close()
    _begin(files)
    _commit(files)
    assert _is_free(path)


def test_write_outside_a_transaction_takes_its_turn(files: ConnectionHandler, path: Path) -> None:
    lock = _lock_of(str(path))
    assert lock.acquire(0)

    def write() -> None:
        try:
            _write(files)
        finally:
            files.close_all()

    with beside(write) as written:
        wait_until(lambda: len(lock._waiters) == 1)
        assert not written.done()
        lock.release()
        written.result(PATIENCE)
    assert _is_free(path)


def test_failing_write_outside_a_transaction_gives_the_lock_back(
    files: ConnectionHandler, path: Path
) -> None:
    with pytest.raises(Exception, match="no such table"):
        files["default"].cursor().execute("INSERT INTO nowhere VALUES (1)")
    assert _is_free(path)


def test_readers_do_not_wait_for_the_writer(files: ConnectionHandler, path: Path) -> None:
    lock = _lock_of(str(path))
    assert lock.acquire(0)
    with files["default"].cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM note")
        assert cursor.fetchone() == (0,)
    lock.release()


def test_writer_that_waits_too_long_is_told_that_the_database_is_locked(
    files: ConnectionHandler, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polls_project.sqlite.base._PATIENCE", 0.2)
    lock = _lock_of(str(path))
    assert lock.acquire(0)
    with pytest.raises(OperationalError, match="database is locked"):
        _write(files)
    assert not lock._waiters
    lock.release()
    _write(files)


# -- fairness ---------------------------------------------------------------------------------


def _longest_wait(files: ConnectionHandler) -> int:
    """Return how many transactions a writer saw go by before its turn, at worst of ten turns.

    The transactions follow each other without a pause, as a box's flushes do under load.
    """
    stop = threading.Event()
    begun: list[None] = []

    def flush_back_to_back() -> None:
        try:
            while not stop.is_set():
                _begin(files)
                begun.append(None)
                _write(files, "flush")
                time.sleep(0.005)
                _commit(files)
        finally:
            files.close_all()

    waits = []
    _write(files)
    with beside(flush_back_to_back) as flushing:
        try:
            wait_until(lambda: len(begun) > 0)
            for _ in range(10):
                before = len(begun)
                try:
                    _write(files)
                except OperationalError:  # it was never served
                    waits.append(len(begun) - before)
                    break
                waits.append(len(begun) - before)
                time.sleep(0.01)
        finally:
            stop.set()
            flushing.result(PATIENCE)
    return max(waits)


def test_writer_gets_its_turn_after_the_flush_under_way(files: ConnectionHandler) -> None:
    # And after those that begin while this thread is on its way to the lock or to the count.
    assert _longest_wait(files) <= 5


@on_sqlite_alone
def test_organiser_gets_a_turn_while_the_ballot_box_flushes_back_to_back(alice: Person) -> None:
    paper = new_paper(alice)
    flushes: list[int] = []
    waits: list[int] = []

    def write(casts: Sequence[Cast]) -> list[Outcome]:
        flushes.append(len(casts))
        return write_batch(casts)

    votes = casts_of(paper, 3_000)
    with boxes(1, write, batch_limit=25) as (box,):
        futures = [box.submit(vote) for vote in votes]
        for place in range(10):
            before = len(flushes)
            edit_poll(paper.poll_id, {"title": f"Lunch {place}?"})
            waits.append(len(flushes) - before)
        during = len(flushes)
        outcomes(futures)
    # The flush under way ends first; a few begin before this thread has asked or counted.
    assert max(waits) <= 8
    assert during < len(flushes)  # the box was flushing all the while


def test_control_writer_without_the_lock_starves(path: Path) -> None:
    """SQLite's own waiters poll: Django's backend lets many flushes pass before a writer."""
    plain = _handler(path, "django.db.backends.sqlite3")
    try:
        assert _longest_wait(plain) > 20
    finally:
        plain.close_all()
