"""One flush: what becomes of each vote of a batch, and what the tables hold afterwards."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection, transaction

from polls.domain import lifecycle, purge
from polls.domain.ballot_paper import BallotPaper, load_ballot_paper
from polls.domain.database import clock
from polls.domain.flush import flush
from polls.domain.outcomes import Outcome, Replayed, Stale
from polls.domain.polls import edit_poll
from polls.domain.statements import Cast, statements
from polls.errors import Code
from polls.models import Poll, PollTally, Tally, TallyBucket
from tests.cast import Person, new_key
from tests.polls.ballots import Stored, casts_of, counted, make_cast, new_paper, stored


def flushed(*casts: Cast) -> list[Outcome]:
    """Flush one batch in one transaction and commit it."""
    with transaction.atomic(), connection.cursor() as cursor:
        return flush(statements(cursor), casts)


EMPTY = Stored(
    participations=0,
    ballots=0,
    selections=[0, 0, 0],
    kept_ballots=0,
    votes=[0, 0, 0],
    bucketed=[0, 0, 0],
    seq=1,
)


def test_winners_are_counted_with_one_new_seq_for_the_whole_batch(alice: Person) -> None:
    paper = new_paper(alice)
    casts = [make_cast(paper, place) for place in (0, 2, 0, 0)]
    assert flushed(*casts) == [counted(cast, 2) for cast in casts]
    assert stored(paper.poll_id) == Stored(
        participations=4,
        ballots=4,
        selections=[3, 0, 1],
        kept_ballots=4,
        votes=[3, 0, 1],
        bucketed=[3, 0, 1],
        seq=2,
    )


def test_ballot_with_several_marks_counts_once_for_each_of_them(alice: Person) -> None:
    paper = new_paper(alice, kind="multiple")
    casts = [make_cast(paper, 0, 1), make_cast(paper, 1, 2), make_cast(paper, 1)]
    assert flushed(*casts) == [counted(cast, 2) for cast in casts]
    assert stored(paper.poll_id) == Stored(
        participations=3,
        ballots=3,
        selections=[1, 3, 1],
        kept_ballots=3,
        votes=[1, 3, 1],
        bucketed=[1, 3, 1],
        seq=2,
    )


def test_each_flush_raises_seq_by_one(alice: Person) -> None:
    paper = new_paper(alice)
    first, second = make_cast(paper, 0), make_cast(paper, 1)
    assert flushed(first) == [counted(first, 2)]
    assert flushed(second) == [counted(second, 3)]
    assert stored(paper.poll_id).seq == 3


def test_flush_without_a_winner_leaves_seq_alone(alice: Person) -> None:
    paper = new_paper(alice)
    flushed(make_cast(paper, 0, voter="ann"))
    before = stored(paper.poll_id)
    assert flushed(make_cast(paper, 1, voter="ann")) == [Code.ALREADY_VOTED]
    assert stored(paper.poll_id) == before


# What a second vote of one voter becomes, by its key and its ballot; the first one was for
# option 0 with key `first`.
SECOND_VOTES = {
    "same key, same ballot": ("first", 0, "replayed"),
    "same key, other ballot": ("first", 1, Code.IDEMPOTENCY_KEY_REUSED),
    "other key, same ballot": ("other", 0, Code.ALREADY_VOTED),
    "other key, other ballot": ("other", 1, Code.ALREADY_VOTED),
    "no key, same ballot": (None, 0, Code.ALREADY_VOTED),
}


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two batches"])
@pytest.mark.parametrize("second", SECOND_VOTES.values(), ids=SECOND_VOTES.keys())
def test_second_vote_is_decided_by_its_key_and_ballot(
    alice: Person, second: tuple[str | None, int, str | Code], *, together: bool
) -> None:
    paper = new_paper(alice)
    keys = {"first": new_key(), "other": new_key(), None: None}
    key, place, expected = second
    standing = make_cast(paper, 0, voter="ann", key=keys["first"])
    later = make_cast(paper, place, voter="ann", key=keys[key])
    found = flushed(standing, later) if together else flushed(standing) + flushed(later)
    outcome = Replayed(standing.receipt) if expected == "replayed" else expected
    assert found == [counted(standing, 2), outcome]
    assert stored(paper.poll_id) == replace(
        EMPTY,
        participations=1,
        ballots=1,
        selections=[1, 0, 0],
        kept_ballots=1,
        votes=[1, 0, 0],
        bucketed=[1, 0, 0],
        seq=2,
    )


def test_second_vote_without_any_key_is_no_replay(alice: Person) -> None:
    paper = new_paper(alice)
    casts = [make_cast(paper, 0, voter="ann") for _ in range(2)]
    assert flushed(*casts) == [counted(casts[0], 2), Code.ALREADY_VOTED]


def test_voters_of_an_open_poll_are_told_apart_by_their_keys_alone(alice: Person) -> None:
    paper = new_paper(alice, identity="open")
    key = new_key()
    first, again = (make_cast(paper, 0, voter=key, key=key) for _ in range(2))
    nameless = [make_cast(paper, 1), make_cast(paper, 1)]
    assert flushed(first, again, *nameless) == [
        counted(first, 2),
        Replayed(first.receipt),
        *(counted(cast, 2) for cast in nameless),
    ]


def _close(poll_id: uuid.UUID) -> None:
    lifecycle.close_poll(poll_id)


def _let_deadline_pass(poll_id: uuid.UUID) -> None:
    # The row still reads `open`: no sweep has come by yet.
    Poll.objects.filter(id=poll_id).update(closes_at=clock() - timedelta(milliseconds=1))


def _delete(poll_id: uuid.UUID) -> None:
    lifecycle.delete_poll(poll_id)


def _destroy(poll_id: uuid.UUID) -> None:
    lifecycle.delete_poll(poll_id)
    Poll.objects.filter(id=poll_id).update(deleted_at=clock() - timedelta(minutes=2))
    purge.purge_deleted_polls()


@pytest.mark.parametrize("end", [_close, _let_deadline_pass])
def test_closed_poll_still_replays_but_takes_no_vote(
    alice: Person, end: Callable[[uuid.UUID], None]
) -> None:
    paper = new_paper(alice)
    key = new_key()
    standing = make_cast(paper, 0, voter="ann", key=key)
    flushed(standing)
    end(paper.poll_id)
    before = stored(paper.poll_id)
    assert flushed(
        make_cast(paper, 0, voter="ann", key=key),
        make_cast(paper, 1, voter="ann", key=key),
        make_cast(paper, 0, voter="ann", key=new_key()),
        make_cast(paper, 0, voter="bea", key=key),
        make_cast(paper, 0),
    ) == [
        Replayed(standing.receipt),
        Code.IDEMPOTENCY_KEY_REUSED,
        Code.POLL_CLOSED,
        Code.POLL_CLOSED,
        Code.POLL_CLOSED,
    ]
    assert stored(paper.poll_id) == before


def _draft(alice: Person) -> BallotPaper:
    return new_paper(alice, status="draft")


def _scheduled(alice: Person) -> BallotPaper:
    return new_paper(alice, opens_at=clock() + timedelta(hours=1))


@pytest.mark.parametrize("make", [_draft, _scheduled])
def test_poll_that_has_not_opened_takes_no_vote(
    alice: Person, make: Callable[[Person], BallotPaper]
) -> None:
    paper = make(alice)
    assert flushed(make_cast(paper, 0), make_cast(paper, 1)) == [Code.POLL_NOT_OPEN] * 2
    assert stored(paper.poll_id) == EMPTY


def test_scheduled_poll_takes_votes_once_its_time_has_come(alice: Person) -> None:
    paper = _scheduled(alice)
    # The row still holds no opened_at: no sweep has come by yet.
    Poll.objects.filter(id=paper.poll_id).update(opens_at=clock() - timedelta(milliseconds=1))
    vote = make_cast(paper, 0)
    assert flushed(vote) == [counted(vote, 2)]


@pytest.mark.parametrize("remove", [_delete, _destroy])
def test_deleted_poll_is_not_found_even_for_a_replay(
    alice: Person, remove: Callable[[uuid.UUID], None]
) -> None:
    paper = new_paper(alice)
    key = new_key()
    flushed(make_cast(paper, 0, voter="ann", key=key))
    remove(paper.poll_id)
    again = make_cast(paper, 0, voter="ann", key=key)
    assert flushed(again, make_cast(paper, 1)) == [Code.NOT_FOUND] * 2


def test_vote_behind_a_stale_one_of_its_voter_is_to_be_checked_again(alice: Person) -> None:
    """One of a batch stands for its voter; where it is stale, nobody has voted yet."""
    paper = new_paper(alice)
    edit_poll(paper.poll_id, {"title": "Dinner?"})
    now = load_ballot_paper(Poll.objects.get(id=paper.poll_id))
    stale, current = make_cast(paper, 0, voter="one"), make_cast(now, 1, voter="one")
    assert flushed(stale, current) == [Stale(), Stale()]
    assert stored(paper.poll_id).ballots == 0
    assert flushed(current) == [counted(current, 3)]


def test_vote_checked_against_an_older_revision_is_stale(alice: Person) -> None:
    old = new_paper(alice)
    edit_poll(old.poll_id, {"options": ("Pizza", "Sushi", "Bread")})
    new = load_ballot_paper(Poll.objects.get(id=old.poll_id))
    fresh = make_cast(new, 1)
    assert flushed(make_cast(old, 2), fresh, make_cast(old, 0)) == [
        Stale(),
        counted(fresh, 3),
        Stale(),
    ]
    assert stored(old.poll_id) == Stored(
        participations=1,
        ballots=1,
        selections=[0, 1, 0],
        kept_ballots=1,
        votes=[0, 1, 0],
        bucketed=[0, 1, 0],
        seq=3,
    )


def test_batch_of_many_polls_answers_each_vote_in_its_place(alice: Person) -> None:
    lunch, dinner, closed, gone = (new_paper(alice) for _ in range(4))
    draft = _draft(alice)
    lifecycle.close_poll(closed.poll_id)
    lifecycle.delete_poll(gone.poll_id)
    key = new_key()
    first = make_cast(lunch, 0, voter="ann", key=key)
    other = make_cast(dinner, 1, voter="ann", key=key)
    third = make_cast(lunch, 2)
    assert flushed(
        make_cast(closed, 0),
        first,
        make_cast(gone, 0),
        other,
        make_cast(lunch, 0, voter="ann", key=key),
        make_cast(draft, 0),
        third,
        make_cast(dinner, 0, voter="ann"),
    ) == [
        Code.POLL_CLOSED,
        counted(first, 2),
        Code.NOT_FOUND,
        counted(other, 2),
        Replayed(first.receipt),
        Code.POLL_NOT_OPEN,
        counted(third, 2),
        Code.ALREADY_VOTED,
    ]
    assert [stored(paper.poll_id).votes for paper in (lunch, dinner, closed, draft)] == [
        [1, 0, 1],
        [0, 1, 0],
        [0, 0, 0],
        [0, 0, 0],
    ]
    assert [stored(paper.poll_id).seq for paper in (lunch, dinner, closed, draft)] == [2, 2, 2, 1]


def test_voter_of_one_poll_is_another_voter_in_the_next(alice: Person) -> None:
    lunch, dinner = new_paper(alice), new_paper(alice)
    casts = [make_cast(paper, 0, voter="ann") for paper in (lunch, dinner)]
    assert casts[0].voter_key != casts[1].voter_key
    assert flushed(*casts) == [counted(cast, 2) for cast in casts]


def test_ballots_are_kept_in_the_bucket_of_the_second_in_which_they_were_cast(
    alice: Person,
) -> None:
    paper = new_paper(alice)
    before = clock().replace(microsecond=0)
    flushed(make_cast(paper, 0), make_cast(paper, 0), make_cast(paper, 1))
    after = clock()
    rows = TallyBucket.objects.filter(poll=paper.poll_id).order_by("option__position")
    (at,) = {row.at for row in rows}
    assert before <= at <= after
    assert at.microsecond == 0
    assert [row.votes for row in rows] == [2, 1]


def test_flushes_of_one_second_share_a_bucket(alice: Person) -> None:
    # Two flushes take a few milliseconds: of ten such pairs most lie within one second.
    pairs = [new_paper(alice) for _ in range(10)]
    for paper in pairs:
        flushed(make_cast(paper, 0))
        flushed(make_cast(paper, 0))
    buckets = [list(TallyBucket.objects.filter(poll=paper.poll_id)) for paper in pairs]
    assert {sum(bucket.votes for bucket in found) for found in buckets} == {2}
    assert [bucket.votes for found in buckets if len(found) == 1 for bucket in found].count(2) > 5


@pytest.mark.parametrize("points", [None, 7])
def test_points_are_left_as_they_are(alice: Person, points: int | None) -> None:
    paper = new_paper(alice)
    Tally.objects.filter(poll=paper.poll_id).update(points=points)
    flushed(*casts_of(paper, 5))
    kept = Tally.objects.filter(poll=paper.poll_id).values_list("points", flat=True)
    assert list(kept) == [points] * 3


def test_rolled_back_flush_leaves_nothing(alice: Person) -> None:
    paper = new_paper(alice)
    with transaction.atomic(), connection.cursor() as cursor:
        assert len(flush(statements(cursor), casts_of(paper, 5))) == 5
        assert PollTally.objects.get(poll=paper.poll_id).ballots == 5
        transaction.set_rollback(True)
    assert stored(paper.poll_id) == EMPTY
