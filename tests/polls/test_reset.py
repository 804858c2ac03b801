"""POST /api/v1/polls/{id}/reset/: after a rehearsal a poll is as if nobody had ever voted."""

import threading
import time
import uuid
from contextlib import suppress
from typing import Any

import pytest
from django.db import connection, transaction

from polls.domain import reset, results, voters, voting
from polls.domain.ballot_paper import papers
from polls.domain.outcomes import Counted, Outcome
from polls.domain.statements import Cast, Postgres
from polls.errors import Code, Refusal
from polls.models import Ballot, Poll, PollKey, Selection, TallyBucket
from tests.cast import Person, assert_problem, new_key, voter, votes_of
from tests.polls.ballots import casts_of, disagreements, make_cast, new_paper, stored, voted
from tests.polls.entering import enter_by_any_revision, linger_after_entering
from tests.polls.stacks import on_postgres_alone
from tests.polls.threads import PATIENCE, beside, boxes, outcomes, together


def reset_by(person: Person, poll: dict[str, Any]) -> Any:
    return person.post(f"{poll['links']['self']}reset/")


def test_reset_poll_is_as_if_nobody_had_voted_and_everybody_may_again(alice: Person) -> None:
    poll = alice.make_poll(kind="multiple")
    ann, ben, key = voter(), voter(), new_key()
    first = ann.vote(poll, 0, 1, Idempotency_Key=key).json()
    ben.vote(poll, 1)
    before = alice.read_poll(poll)
    answer = reset_by(alice, poll)
    assert (answer.status_code, answer.json()) == (200, alice.read_poll(poll))
    assert answer.json() == {**before, "seq": before["seq"] + 1, "ballots": 0}
    found = stored(uuid.UUID(poll["id"]))
    assert (found.participations, found.ballots, found.selections) == (0, 0, [0, 0])
    assert (found.kept_ballots, found.votes, found.bucketed) == (0, [0, 0], [0, 0])
    assert not TallyBucket.objects.exists()
    assert alice.get(f"{poll['links']['self']}timeline/").json()["buckets"] == []
    assert ann.get(poll["links"]["vote"]).json() == {"voted": False}
    # The key and the ballot of old make a new vote, with a receipt of its own.
    again = ann.vote(poll, 0, 1, Idempotency_Key=key)
    assert again.status_code == 201
    assert again.json()["receipt"] != first["receipt"]
    assert again.json()["seq"] == before["seq"] + 2
    assert ben.vote(poll, 0).status_code == 201
    assert votes_of(alice, poll) == [2, 1]
    assert alice.get(f"{poll['links']['self']}integrity/").json()["equal"] is True


def test_reset_gives_a_new_key_and_a_new_revision(alice: Person) -> None:
    paper = voted(alice)
    reset.reset_poll(paper.poll_id)
    assert Poll.objects.get(id=paper.poll_id).revision == paper.revision + 1
    key = bytes(PollKey.objects.get(poll=paper.poll_id).key)
    assert (len(key), key == paper.key) == (32, False)


def test_reset_touches_no_other_poll(alice: Person) -> None:
    other, paper = voted(alice), voted(alice)
    before = stored(other.poll_id)
    reset.reset_poll(paper.poll_id)
    assert stored(other.poll_id) == before


@pytest.mark.parametrize(
    "fields", [{}, {"status": "draft"}, {"opens_at": "2098-01-01T00:00:00Z"}], ids=str
)
def test_reset_where_nobody_has_voted_changes_nothing(
    alice: Person, fields: dict[str, Any]
) -> None:
    poll = alice.make_poll(**fields)
    key = bytes(PollKey.objects.get(poll=poll["id"]).key)
    answer = reset_by(alice, poll)
    assert (answer.status_code, answer.json()) == (200, poll)
    assert Poll.objects.get(id=poll["id"]).revision == 1
    assert bytes(PollKey.objects.get(poll=poll["id"]).key) == key


def test_poll_that_was_closed_is_never_reset(alice: Person) -> None:
    polls = [alice.make_poll(), alice.make_poll()]
    voter().vote(polls[0], 0)
    for poll in polls:
        alice.close(poll)
        before = stored(uuid.UUID(poll["id"]))
        detail = "A count that was final stands; make a new poll."
        assert_problem(reset_by(alice, poll), 410, "poll_closed", detail=detail)
        assert stored(uuid.UUID(poll["id"])) == before


def test_poll_with_more_selections_than_the_limit_is_not_reset(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = alice.make_poll(kind="multiple")
    for _ in range(2):
        voter().vote(poll, 0, 1)
    before = stored(uuid.UUID(poll["id"]))
    monkeypatch.setattr(reset, "MAX_MARKS", 3)
    detail = "Its ballots hold 4 selections, and a reset takes 3 at most. Make a new poll."
    assert_problem(reset_by(alice, poll), 409, "poll_frozen", detail=detail)
    assert stored(uuid.UUID(poll["id"])) == before
    monkeypatch.setattr(reset, "MAX_MARKS", 4)
    assert reset_by(alice, poll).status_code == 200


def test_poll_with_more_voters_than_the_limit_is_not_reset_though_they_have_withdrawn(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = alice.make_poll(allow_change=True)
    for _ in range(3):
        person = voter()
        person.vote(poll, 0)
        assert person.delete(poll["links"]["vote"]).status_code in {200, 204}
    monkeypatch.setattr(reset, "MAX_MARKS", 2)
    detail = "It has had 3 voters, and a reset takes 2 at most. Make a new poll."
    assert_problem(reset_by(alice, poll), 409, "poll_frozen", detail=detail)


def test_rules_that_ballots_had_frozen_can_be_changed_after_a_reset(alice: Person) -> None:
    poll = alice.make_poll()
    voter().vote(poll, 0)
    reset_by(alice, poll)
    changed = alice.patch(poll["links"]["self"], {"kind": "multiple"})
    assert (changed.status_code, changed.json()["kind"]) == (200, "multiple")


def test_voter_of_before_the_reset_no_longer_sees_results(alice: Person) -> None:
    poll = alice.make_poll(results_visibility="after_vote")
    ann = voter()
    ann.vote(poll, 0)
    assert votes_of(ann, poll) == [1, 0]
    reset_by(alice, poll)
    assert ann.get(poll["links"]["results"]).json()["code"] == "results_hidden"
    assert ann.read_poll(poll)["seq"] is None
    ann.vote(poll, 1)
    assert votes_of(ann, poll) == [0, 1]


def test_own_vote_that_is_reset_while_it_is_read_is_no_vote(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = alice.make_poll()
    ann = voter()
    ann.vote(poll, 0)
    selections = Selection.objects.filter

    def reset_first(**lookup: Any) -> Any:
        reset.reset_poll(uuid.UUID(poll["id"]))
        return selections(**lookup)

    monkeypatch.setattr(Selection.objects, "filter", reset_first)
    assert ann.get(poll["links"]["vote"]).json() == {"voted": False}


# -- votes on their way ------------------------------------------------------------------------


def _vote_twice_around_a_reset(alice: Person) -> tuple[uuid.UUID, int]:
    """Reset a poll after a ballot has been checked and before it is flushed; vote again.

    Returns the poll and how many votes of the one voter were counted.
    """
    paper = voted(alice, 4)
    ann = voting.Voter(token=voters.issue_voter_token())
    resets = [paper.poll_id]
    counted = 0
    with boxes() as (box,):

        def reset_then_drop(cast: Cast) -> Outcome:
            while resets:
                reset.reset_poll(resets.pop())
            return box.submit(cast).result(PATIENCE)

        for place in (0, 1):
            if kept := papers.get(str(paper.poll_id)):
                papers.forget(kept)  # as another process would, which never had it
            body = {"choices": [list(paper.options)[place]]}
            with suppress(Refusal):  # already_voted
                voting.cast_vote(paper.poll_id, body, ann, drop=reset_then_drop)
                counted += 1
    return paper.poll_id, counted


def test_vote_that_was_checked_before_a_reset_counts_once_by_the_new_key(alice: Person) -> None:
    poll_id, counted = _vote_twice_around_a_reset(alice)
    found = stored(poll_id)
    assert (counted, found.ballots, disagreements(found)) == (1, 1, [])


def test_control_without_the_comparison_of_revisions_it_is_counted_by_either_key(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter_by_any_revision(monkeypatch)
    poll_id, counted = _vote_twice_around_a_reset(alice)
    assert (counted, stored(poll_id).ballots) == (2, 2)


def _reset_under_a_flush(alice: Person, monkeypatch: pytest.MonkeyPatch) -> int:
    """Reset a poll while a flush has entered a vote and counted nothing yet.

    Returns how many ballots are left when both have ended.
    """
    paper = voted(alice, 4)
    entered, over = threading.Event(), threading.Event()

    def linger() -> None:
        entered.set()
        over.wait(1)  # a reset that has to wait for this flush cannot be waited for

    linger_after_entering(monkeypatch, linger)
    with boxes() as (box,):
        vote = box.submit(make_cast(paper, 0))
        assert entered.wait(PATIENCE)
        reset.reset_poll(paper.poll_id)
        over.set()
        assert isinstance(vote.result(PATIENCE), Counted)
    return stored(paper.poll_id).ballots


def test_reset_waits_for_the_flush_that_has_entered_a_vote(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _reset_under_a_flush(alice, monkeypatch) == 0


@on_postgres_alone  # on SQLite BEGIN IMMEDIATE is the lock
def test_control_without_the_locks_a_vote_by_the_old_key_outlives_the_reset(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either side's alone would do: the foreign key to the poll shares its row, too."""
    monkeypatch.setattr(Postgres, "lock_polls", lambda *_: None)
    monkeypatch.setattr(reset, "lock_poll", lambda poll_id: Poll.objects.get(id=poll_id))
    assert _reset_under_a_flush(alice, monkeypatch) == 1


def test_every_vote_that_is_acknowledged_after_the_last_reset_is_counted(alice: Person) -> None:
    """Six doors that vote without a pause, and their organiser, who resets again and again."""
    paper = voted(alice, 3)
    over = threading.Event()
    with boxes(3) as opened:

        def vote(place: int) -> list[tuple[float, int, str]]:
            """Vote as new devices until it is over; return when each began, seq and receipt."""
            acknowledged = []
            box = opened[place % 3]
            last = False
            while not last:
                last = over.is_set()
                began = time.monotonic()
                try:
                    receipt = voting.cast_vote(
                        paper.poll_id,
                        {"choices": [list(paper.options)[place % 3]]},
                        voting.Voter(token=voters.issue_voter_token()),
                        drop=lambda cast: box.submit(cast).result(PATIENCE),
                    )
                except Refusal as refusal:
                    if refusal.code is not Code.OVERLOADED:
                        raise
                    last = False  # the poll was reset each time that it tried
                    continue
                assert receipt.seq is not None
                acknowledged.append((began, receipt.seq, receipt.receipt))
            return acknowledged

        with beside(lambda: together(6, vote)) as voting_:
            for _ in range(15):
                time.sleep(0.03)
                reset.reset_poll(paper.poll_id)
            last_reset = time.monotonic()
            over.set()
            acknowledged = [one for some in voting_.result(PATIENCE) for one in some]
    found = stored(paper.poll_id)
    assert disagreements(found) == []
    assert results.recount(paper.poll_id).equal
    left = {bytes(receipt).hex() for receipt in Ballot.objects.values_list("receipt", flat=True)}
    standing = {seq for _, seq, receipt in acknowledged if receipt in left}
    gone = {seq for _, seq, receipt in acknowledged if receipt not in left}
    assert left <= {receipt for _, _, receipt in acknowledged}
    assert max(gone) < min(standing)
    assert all(receipt in left for began, _, receipt in acknowledged if began > last_reset)
    assert len(acknowledged) > len(left) >= 6


def test_reset_of_as_many_selections_as_it_takes_ends_well_within_a_request(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fiftieth of the limit here; the whole of it was measured when the limit was set."""
    monkeypatch.setattr(reset, "MAX_MARKS", 2_000)
    paper = new_paper(alice)
    with boxes() as (box,):
        outcomes([box.submit(cast) for cast in casts_of(paper, 2_000)])
    began = time.monotonic()
    reset.reset_poll(paper.poll_id)
    assert time.monotonic() - began < 4.5 / 10
    assert stored(paper.poll_id).ballots == 0


def _entries_read(cursor: Any) -> int:
    """Return how many rows of selections were read one by one, or by the index of counts."""
    cursor.execute(
        "SELECT pg_stat_get_xact_tuples_returned('polls_selection'::regclass)"
        " + pg_stat_get_xact_tuples_returned('selection_count'::regclass)"
    )
    return int(cursor.fetchone()[0])


def _entries_read_to_reset(alice: Person) -> int:
    """Reset a poll of 1,000 selections whose table was empty when it was vacuumed."""
    reset.reset_poll(voted(alice, 1_000).poll_id)
    with connection.cursor() as cursor:
        # What was known of its columns goes with their types, though they stay the same.
        cursor.execute(
            "ALTER TABLE polls_selection ALTER poll_id TYPE uuid, ALTER ballot_id TYPE uuid"
        )
        cursor.execute("VACUUM (DISABLE_PAGE_SKIPPING, TRUNCATE FALSE) polls_selection")
    paper = voted(alice, 1_000)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DISCARD PLANS")
        before = _entries_read(cursor)
        reset.reset_poll(paper.poll_id)
        return _entries_read(cursor) - before


@on_postgres_alone  # SQLite's planner knows its indexes, not how full they are
def test_reset_looks_for_each_ballots_selections_by_their_key(alice: Person) -> None:
    assert _entries_read_to_reset(alice) < 10_000


@on_postgres_alone
def test_control_without_a_word_to_the_planner_each_ballot_is_looked_for_among_all(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reset, "tell_planner", lambda *_: None)
    assert _entries_read_to_reset(alice) > 100_000
