"""What stands between a vote and its loss, each asked for by name: no race has to be lucky."""

import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

import psycopg2
import pytest
from django.db import connection, transaction
from django.db.backends.signals import connection_created

from polls.domain import lifecycle
from polls.domain.ballot_box import write_batch
from polls.domain.database import clock
from polls.domain.deadline import bound_server_work
from polls.domain.outcomes import Outcome
from polls.domain.statements import Cast
from polls.errors import Code
from polls_project import asgi
from tests.cast import Person
from tests.polls.ballots import make_cast, new_paper, stored
from tests.polls.entering import linger_after_entering
from tests.polls.stacks import on_postgres_alone, on_sqlite_alone
from tests.polls.threads import PATIENCE, boxes, outcomes


def _ask(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


# -- the connection that votes are written on -------------------------------------------------


@on_sqlite_alone
def test_acknowledged_vote_is_on_the_disk(alice: Person) -> None:
    """With less than FULL (2), SQLite answers a COMMIT that a power cut takes back."""
    asked: list[Any] = []

    def ask_and_write(casts: Sequence[Cast]) -> list[Outcome]:
        asked.extend(_ask(f"PRAGMA {name}") for name in ("synchronous", "journal_mode"))
        return write_batch(casts)

    paper = new_paper(alice)
    with boxes(1, ask_and_write) as (box,):
        outcomes([box.submit(make_cast(paper, 0))])
    assert asked == [2, "wal"]


@on_postgres_alone
@pytest.mark.usefixtures("database")
def test_server_gives_up_what_nobody_waits_for_any_more() -> None:
    with connection.cursor() as cursor:
        bound_server_work(connection=connection)
        names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        assert [_ask(f"SHOW {name}") for name in names] == ["4s", "30s", "10s"]
        for name in names:
            cursor.execute(f"RESET {name}")
    # The application lets every connection of its process be bound so.
    assert asgi.application is not None
    assert any(receiver[1]() is bound_server_work for receiver in connection_created.receivers)


# -- the window -------------------------------------------------------------------------------


def test_vote_that_waits_for_the_lock_past_the_deadline_is_late(alice: Person) -> None:
    """By the clock as it is then, not by the one of the transaction's beginning."""
    paper = new_paper(alice, closes_at=clock() + timedelta(seconds=1))
    with boxes() as (box,):
        with transaction.atomic():
            poll = lifecycle.lock_poll(paper.poll_id)
            vote = box.submit(make_cast(paper, 0))
            assert poll.closes_at is not None
            while clock() <= poll.closes_at:
                time.sleep(0.05)
        assert vote.result(PATIENCE) == Code.POLL_CLOSED
    assert stored(paper.poll_id).ballots == 0


# -- the lock ---------------------------------------------------------------------------------


def _is_locked(poll_id: uuid.UUID) -> bool:
    """Whether an UPDATE of the poll's row by somebody who knows no turnstile has to wait."""
    with (
        closing(psycopg2.connect(**connection.get_connection_params())) as other,
        other.cursor() as cursor,
    ):
        cursor.execute("SET lock_timeout = '200ms'")
        try:
            cursor.execute("UPDATE polls_poll SET title = title WHERE id = %s", [str(poll_id)])
        except psycopg2.errors.LockNotAvailable:
            return True
        return False


@contextmanager
def _flush_that_lingers(alice: Person, monkeypatch: pytest.MonkeyPatch) -> Iterator[uuid.UUID]:
    """Hold a flush where it has locked its poll and counted nothing."""
    looked, go_on = threading.Event(), threading.Event()

    def linger() -> None:
        looked.set()
        go_on.wait(PATIENCE)

    linger_after_entering(monkeypatch, linger)
    paper = new_paper(alice)
    with boxes() as (box,):
        vote = box.submit(make_cast(paper, 0))
        assert looked.wait(PATIENCE)
        try:
            yield paper.poll_id
        finally:
            go_on.set()
            vote.result(PATIENCE)


@on_postgres_alone
def test_flush_holds_its_polls_against_every_other_writer(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _flush_that_lingers(alice, monkeypatch) as poll_id:
        assert _is_locked(poll_id)
    assert not _is_locked(poll_id)


@on_postgres_alone
def test_change_holds_its_poll_against_every_other_writer(alice: Person) -> None:
    paper = new_paper(alice)
    with transaction.atomic():
        lifecycle.lock_poll(paper.poll_id)
        assert _is_locked(paper.poll_id)
    assert not _is_locked(paper.poll_id)


# -- the order --------------------------------------------------------------------------------


def test_participations_are_written_in_the_order_of_their_keys(alice: Person) -> None:
    """Two flushes that share voters would otherwise wait for each other."""
    papers = [new_paper(alice) for _ in range(2)]
    casts = [make_cast(papers[place % 2], 0) for place in range(40)]
    casts.sort(key=lambda cast: cast.voter, reverse=True)
    place = "ctid" if connection.vendor == "postgresql" else "rowid"
    with connection.cursor() as cursor:
        if place == "ctid":
            cursor.execute("VACUUM FULL polls_participation")  # else rows go where others have left
    write_batch(casts)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT poll_id, voter_key FROM polls_participation ORDER BY {place}")
        written = [(uuid.UUID(str(poll)).hex, bytes(voter)) for poll, voter in cursor]
    mine = {cast.voter for cast in casts}
    assert [voter for voter in written if voter in mine] == sorted(mine)
