"""Deleted polls: gone for everybody at once, their rows a minute later in chunks."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from polls.domain import lifecycle
from polls.domain.ballot_paper import BallotPaper
from polls.domain.database import clock
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


def test_purge_removes_every_row_of_a_deleted_poll_and_of_no_other(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "_CHUNK", 40)
    gone, kept = voted(alice, 150), voted(alice, 20)
    before = _rows_of(kept)
    assert 0 not in before.values()
    _delete_long_ago(gone)
    with CaptureQueriesContext(connection) as queries:
        lifecycle.purge_deleted_polls()
    assert _rows_of(gone) == dict.fromkeys(before, 0)
    assert _rows_of(kept) == before
    assert disagreements(stored(kept.poll_id)) == []
    # Chunks of 40 of 150 rows, each with a COMMIT of its own: they come before the first BEGIN.
    said = [query["sql"] for query in queries.captured_queries]
    chunks = said[: next(place for place, sql in enumerate(said) if sql.startswith("BEGIN"))]
    for table in ("polls_participation", "polls_ballot", "polls_selection"):
        found = [sql for sql in chunks if sql.startswith(f"DELETE FROM {table} ")]
        assert len(found) > 150 // 40, table
        assert all("LIMIT 40)" in sql for sql in found)


def test_purge_waits_a_minute_for_whoever_still_reads_the_poll(alice: Person) -> None:
    paper = voted(alice)
    before = _rows_of(paper)
    lifecycle.delete_poll(paper.poll_id)
    lifecycle.purge_deleted_polls()
    assert _rows_of(paper) == before


def test_purge_that_was_broken_off_goes_on_where_it_stood(alice: Person) -> None:
    paper = voted(alice, 50)
    _delete_long_ago(paper)
    Selection.objects.filter(poll=paper.poll_id).delete()
    Participation.objects.filter(poll=paper.poll_id).delete()
    lifecycle.purge_deleted_polls()
    assert set(_rows_of(paper).values()) == {0}
