"""The recount that audits the tallies, and certifying."""

import logging
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from django.db import IntegrityError, connection

from polls.domain import lifecycle, results
from polls.domain.ballot_paper import BallotPaper
from polls.domain.database import clock
from polls.domain.outcomes import Counted
from polls.models import Ballot, Option, Poll, PollTally, Selection, Tally
from tests.cast import Person
from tests.polls.ballots import make_cast, new_papers, stored, voted
from tests.polls.many_votes import execute, gather_statistics, poll_key, store_votes
from tests.polls.threads import PATIENCE, boxes

# -- what a recount reads ---------------------------------------------------------------------

VOTES = 200_000


@pytest.fixture
def statistics(database: None) -> Iterator[Callable[[], None]]:  # noqa: ARG001 - of its rows
    """Return what gathers them; SQLite's are forgotten again, for they outlive their rows."""
    yield gather_statistics
    if connection.vendor == "sqlite":
        execute("DELETE FROM sqlite_stat1")


def _plan(poll_id: uuid.UUID) -> str:
    """Return the database's plan of the recount of one poll, on PostgreSQL as it was run."""
    explain = "EXPLAIN QUERY PLAN"
    if connection.vendor == "postgresql":
        explain = "EXPLAIN (ANALYZE, TIMING OFF)"
    with connection.cursor() as cursor:
        # SQLite keeps prepared statements, and an old EXPLAIN tells of the old schema.
        fresh = f" /* {uuid.uuid4()} */ "
        cursor.execute(explain + fresh + results._RECOUNT, [poll_key(poll_id)] * 3)
        return "\n".join(str(row[-1]) for row in cursor.fetchall())


def _assert_reads_indexes_alone(poll_id: uuid.UUID, statistics: Callable[[], None]) -> None:
    """Ask for the plan, a few times where another's snapshot keeps pages from being vacuumed."""
    for _ in range(5):
        statistics()
        plan = _plan(poll_id)
        if _reads_indexes_alone(plan):
            return
        time.sleep(1)
    pytest.fail(plan)


def _reads_indexes_alone(plan: str) -> bool:
    if connection.vendor == "sqlite":
        return (
            "SEARCH polls_selection USING COVERING INDEX selection_count (poll_id=?)" in plan
            and "SEARCH b USING COVERING INDEX" in plan
        )
    return (
        "Index Only Scan using selection_count on polls_selection" in plan
        and "Index Only Scan using polls_ballot_pkey on polls_ballot" in plan
        and plan.count("Heap Fetches: 0") == plan.count("Index Only Scan")
    )


def test_recount_of_200000_votes_reads_indexes_alone(
    alice: Person, statistics: Callable[[], None]
) -> None:
    large, small = new_papers(alice, 2)
    store_votes(large.poll_id, VOTES)
    store_votes(small.poll_id, VOTES // 10)
    _assert_reads_indexes_alone(small.poll_id, statistics)
    found = results.recount(large.poll_id)
    assert (found.equal, found.ballots, sum(found.recount.values())) == (True, VOTES, VOTES)
    if connection.vendor == "postgresql":
        # Where one poll is most of a table, reading the table is as good: not left to choose.
        execute("SET enable_seqscan = off")
    _assert_reads_indexes_alone(large.poll_id, statistics)
    if connection.vendor == "postgresql":
        execute("RESET enable_seqscan")


def test_control_without_the_index_the_recount_reads_something_else(
    alice: Person, statistics: Callable[[], None]
) -> None:
    papers = new_papers(alice, 4)
    for paper in papers:
        store_votes(paper.poll_id, VOTES // 50)
    _assert_reads_indexes_alone(papers[0].poll_id, statistics)
    definition = (
        "SELECT indexdef FROM pg_indexes WHERE indexname = 'selection_count'"
        if connection.vendor == "postgresql"
        else "SELECT sql FROM sqlite_master WHERE name = 'selection_count'"
    )
    ((create_index,),) = execute(definition)
    execute("DROP INDEX selection_count")
    try:
        assert not _reads_indexes_alone(_plan(papers[0].poll_id))
    finally:
        execute(create_index)


@pytest.mark.parametrize("model", [Tally, PollTally])
def test_row_of_the_tally_that_is_missing_is_a_disagreement(
    alice: Person, model: type[Tally] | type[PollTally]
) -> None:
    paper = voted(alice)
    rows = model.objects.filter(poll_id=paper.poll_id)
    rows.filter(pk=rows.values_list("pk", flat=True)[0]).delete()
    found = results.recount(paper.poll_id)
    assert not found.equal
    assert sum(found.recount.values()) > 0
    lifecycle.close_poll(paper.poll_id)
    lifecycle.certify_closed_polls()
    assert _certified_at(paper) is None


def test_poll_without_any_row_is_no_agreement() -> None:
    assert not results.Recount(0, {}, {}, None, 0).equal


@pytest.mark.parametrize("model", [Tally, PollTally])
def test_vote_that_a_missing_tally_would_swallow_is_not_counted(
    alice: Person, model: type[Tally] | type[PollTally]
) -> None:
    broken, whole = voted(alice), voted(alice)
    model.objects.filter(poll_id=broken.poll_id).delete()
    with boxes() as (box,):
        futures = [box.submit(make_cast(paper, 0)) for paper in (broken, whole, broken)]
        with pytest.raises(IntegrityError):
            futures[0].result(PATIENCE)
        assert isinstance(futures[1].result(PATIENCE), Counted)
        with pytest.raises(IntegrityError):
            futures[2].result(PATIENCE)
    assert Ballot.objects.filter(poll=broken.poll_id).count() == 10
    assert stored(whole.poll_id).ballots == 11


# -- certifying -------------------------------------------------------------------------------


def _certified_at(paper: BallotPaper) -> datetime | None:
    return Poll.objects.get(id=paper.poll_id).certified_at


def test_closed_poll_is_certified_where_its_recount_agrees(alice: Person) -> None:
    paper = voted(alice)
    lifecycle.close_poll(paper.poll_id)
    assert _certified_at(paper) is None
    before = clock()
    lifecycle.certify_closed_polls()
    at = _certified_at(paper)
    assert at is not None
    assert before <= at <= clock()
    # Later sweeps leave it as it is.
    lifecycle.certify_closed_polls()
    assert lifecycle.certify_poll(paper.poll_id)
    assert _certified_at(paper) == at


def test_open_poll_is_not_certified(alice: Person) -> None:
    paper = voted(alice)
    lifecycle.certify_closed_polls()
    assert lifecycle.certify_poll(paper.poll_id)  # its count agrees, but it is not final
    assert _certified_at(paper) is None


def _add_to_tally(poll_id: uuid.UUID) -> None:
    first = Option.objects.filter(poll=poll_id)[0]
    Tally.objects.filter(poll=poll_id, option=first).update(votes=999)


def _empty_tally(poll_id: uuid.UUID) -> None:
    Tally.objects.filter(poll=poll_id).update(votes=0)


def _add_to_ballots(poll_id: uuid.UUID) -> None:
    PollTally.objects.filter(poll=poll_id).update(ballots=999)


def _lose_selections(poll_id: uuid.UUID) -> None:
    Selection.objects.filter(poll=poll_id).delete()


def _add_ballot(poll_id: uuid.UUID) -> None:
    Ballot.objects.create(poll_id=poll_id, id=uuid.uuid4(), receipt=b"x" * 16)


Tamper = Callable[[uuid.UUID], None]
TAMPERS = [_add_to_tally, _empty_tally, _add_to_ballots, _lose_selections, _add_ballot]


@pytest.mark.parametrize("tamper", TAMPERS)
def test_tampered_poll_is_never_certified_and_the_log_says_so(
    alice: Person, caplog: pytest.LogCaptureFixture, tamper: Tamper
) -> None:
    paper = voted(alice)
    lifecycle.close_poll(paper.poll_id)
    tamper(paper.poll_id)
    with caplog.at_level(logging.WARNING):
        lifecycle.certify_closed_polls()
    (record,) = caplog.records
    assert record.levelname == "CRITICAL"
    assert str(paper.poll_id) in record.message
    assert _certified_at(paper) is None
    assert alice.get(f"/api/v1/polls/{paper.poll_id}/integrity/").json()["equal"] is False
    found = alice.get(f"/api/v1/polls/{paper.poll_id}/results/").json()
    assert (found["final"], found["certified_at"]) == (True, None)


def test_integrity_shows_a_tampered_tally_beside_the_recount(alice: Person) -> None:
    paper = voted(alice)
    path = f"/api/v1/polls/{paper.poll_id}/integrity/"
    before = stored(paper.poll_id)
    counted = dict(zip(paper.options, before.selections, strict=True))
    honest = {"equal": True, "seq": before.seq, "tally": counted, "recount": counted}
    assert alice.get(path).json() == honest
    _add_to_tally(paper.poll_id)
    first = next(iter(paper.options))
    assert alice.get(path).json() == {**honest, "equal": False, "tally": {**counted, first: 999}}


def test_tampered_poll_does_not_keep_others_from_being_certified(alice: Person) -> None:
    tampered, honest = voted(alice), voted(alice)
    for paper in (tampered, honest):
        lifecycle.close_poll(paper.poll_id)
    _add_to_tally(tampered.poll_id)
    lifecycle.certify_closed_polls()
    assert _certified_at(tampered) is None
    assert _certified_at(honest) is not None


def test_many_tampered_polls_do_not_keep_others_from_being_certified(alice: Person) -> None:
    """A sweep takes twenty polls, and these never agree."""
    tampered = [paper.poll_id for paper in new_papers(alice, 25)]
    for poll_id in tampered:
        lifecycle.close_poll(poll_id)
        _add_to_tally(poll_id)
    honest = voted(alice)
    lifecycle.close_poll(honest.poll_id)
    for _ in range(3):
        lifecycle.certify_closed_polls()
    assert _certified_at(honest) is not None
    assert not Poll.objects.filter(id__in=tampered).exclude(certified_at=None).exists()


def test_tampered_poll_is_not_recounted_every_second(
    alice: Person, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its recount may take a second itself, and its line in the log is to be read."""
    paper = voted(alice)
    lifecycle.close_poll(paper.poll_id)
    before = list(Tally.objects.filter(poll=paper.poll_id).values_list("option_id", "votes"))
    _add_to_tally(paper.poll_id)
    for _ in range(5):
        lifecycle.certify_closed_polls()
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    # Once it has been set right, it is certified with the next of the rarer looks.
    for option_id, votes in before:
        Tally.objects.filter(poll=paper.poll_id, option_id=option_id).update(votes=votes)
    lifecycle.certify_closed_polls()
    assert _certified_at(paper) is None
    monkeypatch.setattr(lifecycle, "_disagreed", lifecycle.LeftAlone(0))
    lifecycle.certify_closed_polls()
    assert _certified_at(paper) is not None
