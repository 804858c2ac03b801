"""What the ballot box does when the database refuses a flush, or goes away during one.

Every error here is the server's own: none is made up in Python.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from django.db import connection
from django.db.utils import IntegrityError

from polls.domain.ballot_box import write_batch
from polls.domain.outcomes import Counted, Outcome, Replayed
from polls.domain.statements import Cast, Postgres
from polls.errors import Code
from tests.cast import Person, new_key
from tests.polls.ballots import casts_of, counted, disagreements, make_cast, new_paper, stored
from tests.polls.stacks import on_postgres_alone, on_sqlite_alone
from tests.polls.threads import PATIENCE, boxes, outcomes, together


class Attempts:
    """Counts how often a batch is written."""

    def __init__(self, before: Callable[[int], None] = lambda _: None) -> None:
        self.count = 0
        self._before = before

    def write(self, casts: Sequence[Cast]) -> list[Outcome]:
        self.count += 1
        self._before(self.count)
        return write_batch(casts)


def _raise(state: str) -> str:
    return f"DO $$ BEGIN RAISE EXCEPTION 'as the test asked' USING ERRCODE = '{state}'; END $$"


LOSE_CONNECTION = "SELECT pg_terminate_backend(pg_backend_pid())"

Break = Callable[[str, int], None]


@pytest.fixture
def break_flushes(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Return what runs a statement in the first flushes, after their ballots are written."""

    def prepare(statement: str, times: int) -> None:
        count = Postgres.count
        broken: list[None] = []

        def count_or_break(self: Postgres, *columns: Any) -> Any:
            if len(broken) < times:
                broken.append(None)
                self._cursor.execute(statement)
            return count(self, *columns)

        monkeypatch.setattr(Postgres, "count", count_or_break)

    return prepare


CONFLICTS = ["40P01", "40001", "55P03"]  # deadlock, serialisation failure, lock time-out


@on_postgres_alone
@pytest.mark.parametrize("state", CONFLICTS)
def test_flush_that_meets_conflicts_succeeds_at_the_third_attempt(
    alice: Person, break_flushes: Break, state: str
) -> None:
    paper = new_paper(alice)
    break_flushes(_raise(state), 2)
    attempts = Attempts()
    cast = make_cast(paper, 0)
    with boxes(1, attempts.write) as (box,):
        assert box.submit(cast).result(PATIENCE) == counted(cast, 2)
    assert attempts.count == 3
    found = stored(paper.poll_id)
    assert (found.ballots, disagreements(found)) == (1, [])


@on_postgres_alone
@pytest.mark.parametrize("state", CONFLICTS)
def test_flush_that_meets_conflicts_is_tried_three_times_at_most(
    alice: Person, break_flushes: Break, state: str
) -> None:
    paper = new_paper(alice)
    break_flushes(_raise(state), 3)
    attempts = Attempts()
    with boxes(1, attempts.write) as (box,):
        assert box.submit(make_cast(paper, 0)).result(PATIENCE) == Code.OVERLOADED
        assert (attempts.count, stored(paper.poll_id).ballots) == (3, 0)
        # The box and its connection go on.
        assert isinstance(box.submit(make_cast(paper, 0)).result(PATIENCE), Counted)


# disk full, read-only, out of memory, an operator's cancel
@on_postgres_alone
@pytest.mark.parametrize("state", ["53100", "25006", "53200", "57014"])
def test_flush_that_the_server_refuses_is_not_tried_again(
    alice: Person, break_flushes: Break, state: str
) -> None:
    paper = new_paper(alice)
    break_flushes(_raise(state), 1)
    attempts = Attempts()
    with boxes(1, attempts.write) as (box,):
        assert box.submit(make_cast(paper, 0)).result(PATIENCE) == Code.UNAVAILABLE
        assert (attempts.count, stored(paper.poll_id).ballots) == (1, 0)
        assert isinstance(box.submit(make_cast(paper, 0)).result(PATIENCE), Counted)


@on_postgres_alone
def test_connection_lost_before_commit_is_tried_once_more(
    alice: Person, break_flushes: Break
) -> None:
    paper = new_paper(alice)
    break_flushes(LOSE_CONNECTION, 1)
    attempts = Attempts()
    with boxes(1, attempts.write) as (box,):
        futures = [box.submit(cast) for cast in casts_of(paper, 20)]
        assert [type(outcome) for outcome in outcomes(futures)] == [Counted] * 20
    found = stored(paper.poll_id)
    assert (found.ballots, disagreements(found)) == (20, [])
    assert attempts.count == found.seq  # one more than the flushes that raised seq from 1


@on_postgres_alone
def test_connection_lost_twice_before_commit_is_unavailable(
    alice: Person, break_flushes: Break
) -> None:
    paper = new_paper(alice)
    break_flushes(LOSE_CONNECTION, 2)
    attempts = Attempts()
    with boxes(1, attempts.write) as (box,):
        assert box.submit(make_cast(paper, 0)).result(PATIENCE) == Code.UNAVAILABLE
        assert (attempts.count, stored(paper.poll_id).ballots) == (2, 0)
        assert isinstance(box.submit(make_cast(paper, 0)).result(PATIENCE), Counted)


# -- during COMMIT ----------------------------------------------------------------------------


@pytest.fixture
def at_commit() -> Iterator[Callable[[str], None]]:
    """Return what makes the server run a statement during COMMIT, in a deferred trigger."""
    with connection.cursor() as cursor:

        def prepare(statement: str) -> None:
            cursor.execute(
                "CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS "
                f"$body$ BEGIN {statement}; RETURN NULL; END $body$"
            )
            cursor.execute(
                "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON polls_ballot "
                "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION at_commit()"
            )

        yield prepare
        cursor.execute("DROP FUNCTION IF EXISTS at_commit() CASCADE")


@on_postgres_alone
def test_connection_lost_during_commit_is_unknown_and_never_tried_again(
    alice: Person, at_commit: Callable[[str], None]
) -> None:
    """Here the server had not committed; the box cannot know, and the voter's retry counts."""
    paper = new_paper(alice)
    at_commit("PERFORM pg_terminate_backend(pg_backend_pid())")
    attempts = Attempts()
    key = new_key()
    first, again = (make_cast(paper, 0, voter="ann", key=key) for _ in range(2))
    with boxes(1, attempts.write) as (box,):
        assert box.submit(first).result(PATIENCE) == Code.OUTCOME_UNKNOWN
        assert (attempts.count, stored(paper.poll_id).ballots) == (1, 0)
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION at_commit() CASCADE")
        assert box.submit(again).result(PATIENCE) == counted(again, 2)


@on_postgres_alone
def test_connection_lost_after_commit_is_unknown_and_the_voters_retry_finds_the_vote(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has committed, and its answer is lost on the way."""
    paper = new_paper(alice)
    commit = Postgres.commit

    def commit_and_lose(self: Postgres) -> None:
        commit(self)
        self._cursor.execute(LOSE_CONNECTION)

    monkeypatch.setattr(Postgres, "commit", commit_and_lose)
    attempts = Attempts()
    key = new_key()
    first, again = (make_cast(paper, 0, voter="ann", key=key) for _ in range(2))
    with boxes(1, attempts.write) as (box,):
        assert box.submit(first).result(PATIENCE) == Code.OUTCOME_UNKNOWN
        assert (attempts.count, stored(paper.poll_id).ballots) == (1, 1)
        monkeypatch.undo()
        assert box.submit(again).result(PATIENCE) == Replayed(first.receipt)
    found = stored(paper.poll_id)
    assert (found.ballots, disagreements(found)) == (1, [])


@on_postgres_alone
def test_commit_that_the_server_answers_with_a_conflict_is_tried_again(
    alice: Person, at_commit: Callable[[str], None]
) -> None:
    """An answer, even a bad one, is known: nothing was committed."""
    paper = new_paper(alice)
    at_commit("RAISE EXCEPTION 'as the test asked' USING ERRCODE = '40001'")
    attempts = Attempts()
    with boxes(1, attempts.write) as (box,):
        assert box.submit(make_cast(paper, 0)).result(PATIENCE) == Code.OVERLOADED
    assert (attempts.count, stored(paper.poll_id).ballots) == (3, 0)


# -- SQLite: another process holds the file ---------------------------------------------------


class OtherProcess:
    """A connection past Django's, with SQLite's own lock on the suite's file."""

    def __init__(self) -> None:
        name = str(connection.settings_dict["NAME"])
        self._held = sqlite3.connect(name, isolation_level=None, check_same_thread=False)
        self._held.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        self._held.close()


def _do_not_wait_for_the_file() -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 0")


@on_sqlite_alone
@pytest.mark.parametrize("freed_before", [2, 3])
def test_flush_succeeds_once_the_other_process_has_let_go_of_the_file(
    alice: Person, freed_before: int
) -> None:
    paper = new_paper(alice)
    other = OtherProcess()

    def before(attempt: int) -> None:
        _do_not_wait_for_the_file()
        if attempt == freed_before:
            other.release()

    attempts = Attempts(before)
    cast = make_cast(paper, 0)
    with boxes(1, attempts.write) as (box,):
        assert box.submit(cast).result(PATIENCE) == counted(cast, 2)
    assert attempts.count == freed_before


@on_sqlite_alone
@pytest.mark.parametrize("table", ["polls_participation", "polls_selection"])
def test_row_that_sqlite_refuses_at_once_fails_its_own_vote_alone(
    alice: Person, table: str
) -> None:
    """Not at the COMMIT, as foreign keys are: by the statement that writes it."""
    paper, other = new_paper(alice), new_paper(alice)
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TRIGGER refuse BEFORE INSERT ON {table} "
            f"WHEN NEW.poll_id = '{other.poll_id.hex}' BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    try:
        with pytest.raises(IntegrityError):
            write_batch([make_cast(paper, 0), make_cast(other, 0)])
        with boxes() as (box,):
            futures = [box.submit(make_cast(one, 0)) for one in (paper, other, paper)]
            errors = [future.exception(PATIENCE) for future in futures]
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER refuse")
    assert [type(error) for error in errors] == [type(None), IntegrityError, type(None)]
    assert (stored(paper.poll_id).ballots, stored(other.poll_id).ballots) == (2, 0)


@on_sqlite_alone
def test_flush_gives_up_on_a_held_file_after_three_attempts(alice: Person) -> None:
    paper = new_paper(alice)
    other = OtherProcess()
    attempts = Attempts(lambda _: _do_not_wait_for_the_file())
    with boxes(1, attempts.write) as (box,):
        assert box.submit(make_cast(paper, 0)).result(PATIENCE) == Code.OVERLOADED
        assert attempts.count == 3
        other.release()
        assert isinstance(box.submit(make_cast(paper, 0)).result(PATIENCE), Counted)
    assert together(1, lambda _: stored(paper.poll_id).ballots) == [1]
