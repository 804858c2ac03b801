"""Deleted polls: gone for everybody at once, their rows a minute later in chunks."""

from contextlib import closing
from datetime import timedelta

import psycopg2
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from polls.domain import lifecycle, purge
from polls.domain.ballot_paper import BallotPaper
from polls.domain.database import ADVISORY_CLASS, PURGING, clock
from polls.models import (
    Ballot,
    Option,
    Participation,
    Poll,
    PollKey,
    PollTally,
    Selection,
    Tally,
    TallyBucket,
)
from tests.cast import Person
from tests.polls.ballots import disagreements, stored, voted
from tests.polls.stacks import on_postgres_alone

TABLES = [Selection, Participation, Ballot, TallyBucket, Tally, PollTally, PollKey, Option]


def _rows_of(paper: BallotPaper) -> dict[str, int]:
    found = {
        model.__name__: model._default_manager.filter(poll=paper.poll_id).count()
        for model in TABLES
    }
    return {**found, "Poll": Poll.objects.filter(id=paper.poll_id).count()}


def _delete_long_ago(paper: BallotPaper) -> None:
    lifecycle.delete_poll(paper.poll_id)
    Poll.objects.filter(id=paper.poll_id).update(deleted_at=clock() - timedelta(seconds=61))


BULKY = ("polls_participation", "polls_ballot", "polls_selection", "polls_tallybucket")


def test_purge_removes_every_row_of_a_deleted_poll_and_of_no_other(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "_CHUNK", 40)
    monkeypatch.setattr(purge, "_CHUNKS", 3)
    gone, kept = voted(alice, 150), voted(alice, 20)
    _fill_buckets(gone, seconds=50)
    before = _rows_of(kept)
    assert 0 not in before.values()
    _delete_long_ago(gone)
    chunks: list[str] = []
    rounds = 0
    while _rows_of(gone)["Poll"]:
        with CaptureQueriesContext(connection) as queries:
            purge.purge_deleted_polls()
        said = [query["sql"] for query in queries.captured_queries]
        chunks += _chunks_of(said)
        assert len([sql for sql in said if sql.startswith("DELETE FROM polls_")]) <= 3 + len(
            purge._BULKY
        )
        rounds += 1
    assert rounds > 3
    assert _rows_of(gone) == dict.fromkeys(before, 0)
    assert _rows_of(kept) == before
    assert disagreements(stored(kept.poll_id)) == []
    for table in BULKY:
        assert len([sql for sql in chunks if sql.startswith(f"DELETE FROM {table} ")]) > 3, table
    assert all("LIMIT 40)" in sql for sql in chunks)


def _fill_buckets(paper: BallotPaper, *, seconds: int) -> None:
    """Let votes have come in for so long."""
    now = clock().replace(microsecond=0)
    TallyBucket.objects.bulk_create(
        TallyBucket(poll_id=paper.poll_id, option_id=option, at=now - timedelta(seconds=n), votes=0)
        for option in paper.options.values()
        for n in range(2, seconds)
    )


def _chunks_of(said: list[str]) -> list[str]:
    """Return the deletions of chunks, each of which must be committed before the next."""
    found: list[str] = []
    committed = True
    for sql in said:
        if sql.startswith(tuple(f"DELETE FROM {table} " for table in BULKY)):
            assert committed, sql
            committed = False
            found.append(sql)
        committed = committed or sql == "COMMIT"
    return found


@on_postgres_alone
def test_purge_is_one_process_at_a_time(alice: Person) -> None:
    paper = voted(alice)
    _delete_long_ago(paper)
    before = _rows_of(paper)
    with closing(psycopg2.connect(**connection.get_connection_params())) as other:
        other.cursor().execute("SELECT pg_advisory_xact_lock(%s, %s)", [ADVISORY_CLASS, PURGING])
        purge.purge_deleted_polls()
        assert _rows_of(paper) == before
    purge.purge_deleted_polls()
    assert set(_rows_of(paper).values()) == {0}


def test_purge_waits_a_minute_for_whoever_still_reads_the_poll(alice: Person) -> None:
    paper = voted(alice)
    before = _rows_of(paper)
    lifecycle.delete_poll(paper.poll_id)
    purge.purge_deleted_polls()
    assert _rows_of(paper) == before


def test_purge_that_was_broken_off_goes_on_where_it_stood(alice: Person) -> None:
    paper = voted(alice, 50)
    _delete_long_ago(paper)
    Selection.objects.filter(poll=paper.poll_id).delete()
    Participation.objects.filter(poll=paper.poll_id).delete()
    purge.purge_deleted_polls()
    assert set(_rows_of(paper).values()) == {0}
