"""Votes and changes of one voter in one batch: what becomes of each, and what is left of all."""

import pytest
from django.db import connection, transaction

from polls.domain import lifecycle
from polls.domain.ballot_paper import BallotPaper, load_ballot_paper
from polls.domain.flush import flush
from polls.domain.outcomes import Counted, Outcome, Replayed, Stale
from polls.domain.polls import edit_poll
from polls.domain.statements import Action, Cast, statements
from polls.errors import Code
from polls.models import Ballot, Participation, Poll
from tests.cast import Person, new_key
from tests.polls.ballots import counted, make_cast, new_paper, stored
from tests.polls.standing import buckets, faults, let_time_pass


def flushed(*casts: Cast) -> list[Outcome]:
    """Flush one batch in one transaction and commit it."""
    with transaction.atomic(), connection.cursor() as cursor:
        return flush(statements(cursor), casts)


@pytest.fixture
def paper(alice: Person) -> BallotPaper:
    """A poll of three options, several of which a ballot may mark."""
    return new_paper(alice, kind="multiple", allow_change=True)


def put(paper: BallotPaper, *places: int, voter: str = "ann", key: str | None = None) -> Cast:
    return make_cast(paper, *places, voter=voter, key=key, action=Action.REPLACE)


def delete(paper: BallotPaper, *, voter: str = "ann", key: str | None = None) -> Cast:
    return make_cast(paper, 0, voter=voter, key=key, action=Action.WITHDRAW)


def post(paper: BallotPaper, *places: int, voter: str = "ann", key: str | None = None) -> Cast:
    return make_cast(paper, *places, voter=voter, key=key)


def standing(paper: BallotPaper, voter: str = "ann") -> bytes | None:
    """Return the receipt of what stands for a voter."""
    row = Participation.objects.get(poll=paper.poll_id, voter_key=paper.voter_key(voter))
    if row.ballot_id is None:
        return None
    return bytes(Ballot.objects.get(poll=paper.poll_id, id=row.ballot_id).receipt)


def assert_left(paper: BallotPaper, votes: list[int], *, ballots: int, seq: int) -> None:
    found = stored(paper.poll_id)
    assert (found.votes, found.selections, found.bucketed) == (votes, votes, votes)
    assert (found.ballots, found.kept_ballots, found.seq) == (ballots, ballots, seq)
    assert faults(paper.poll_id) == []


# -- one voter, one batch -----------------------------------------------------------------------


def test_vote_and_its_replacement_leave_the_replacement(paper: BallotPaper) -> None:
    casts = [post(paper, 0, 1), put(paper, 1, 2)]
    assert flushed(*casts) == [counted(cast, 2) for cast in casts]
    assert standing(paper) == casts[1].receipt
    assert_left(paper, [0, 1, 1], ballots=1, seq=2)


def test_vote_and_its_withdrawal_leave_nothing(paper: BallotPaper) -> None:
    casts = [post(paper, 0), delete(paper)]
    assert flushed(*casts) == [counted(cast, 2) for cast in casts]
    assert standing(paper) is None
    assert_left(paper, [0, 0, 0], ballots=0, seq=2)
    assert buckets(paper.poll_id) == {}
    assert stored(paper.poll_id).participations == 1


def test_of_several_replacements_the_last_one_stands(paper: BallotPaper) -> None:
    flushed(post(paper, 0))
    let_time_pass(paper.poll_id, hours=1)
    casts = [put(paper, 1), put(paper, 2), put(paper, 0, 2), put(paper, 1)]
    assert flushed(*casts) == [counted(cast, 3) for cast in casts]
    assert standing(paper) == casts[-1].receipt
    assert_left(paper, [0, 1, 0], ballots=1, seq=3)


def test_replacement_and_withdrawal_leave_nothing(paper: BallotPaper) -> None:
    flushed(post(paper, 0))
    casts = [put(paper, 1), delete(paper)]
    assert flushed(*casts) == [counted(cast, 3) for cast in casts]
    assert standing(paper) is None
    assert_left(paper, [0, 0, 0], ballots=0, seq=3)


def test_withdrawal_and_replacement_leave_the_replacement(paper: BallotPaper) -> None:
    flushed(post(paper, 0))
    casts = [delete(paper), put(paper, 1)]
    assert flushed(*casts) == [counted(cast, 3) for cast in casts]
    assert standing(paper) == casts[1].receipt
    assert_left(paper, [0, 1, 0], ballots=1, seq=3)


def test_second_withdrawal_of_a_batch_finds_nothing(paper: BallotPaper) -> None:
    flushed(post(paper, 0))
    casts = [delete(paper), delete(paper), put(paper, 1), delete(paper), delete(paper)]
    assert flushed(*casts) == [
        counted(casts[0], 3),
        Code.NO_VOTE,
        counted(casts[2], 3),
        counted(casts[3], 3),
        Code.NO_VOTE,
    ]
    assert_left(paper, [0, 0, 0], ballots=0, seq=3)


def test_change_before_the_vote_of_its_batch_comes_after_it(paper: BallotPaper) -> None:
    """They came at once, so either order is right; votes are cast first."""
    casts = [put(paper, 1), post(paper, 0)]
    assert flushed(*casts) == [counted(cast, 2) for cast in casts]
    assert standing(paper) == casts[0].receipt
    assert_left(paper, [0, 1, 0], ballots=1, seq=2)


def test_batch_that_changes_nothing_leaves_seq_alone(paper: BallotPaper) -> None:
    flushed(post(paper, 0, key=(first := new_key())))
    again = post(paper, 0, key=first)
    assert flushed(put(paper, 0, voter="bea"), again, delete(paper, voter="bea")) == [
        Code.NO_VOTE,
        Replayed(again.receipt),
        Code.NO_VOTE,
    ]
    assert_left(paper, [1, 0, 0], ballots=1, seq=2)


# -- retries in the batch of what they retry -----------------------------------------------------


def test_retries_in_one_batch_are_told_what_stands_after_it(paper: BallotPaper) -> None:
    first, second, third, fourth = (new_key() for _ in range(4))
    casts = [
        post(paper, 0, key=first),
        put(paper, 1, key=second),
        put(paper, 1, key=second),
        delete(paper, key=third),
        put(paper, 1, key=second),
        delete(paper, key=third),
        put(paper, 2, key=fourth),
        put(paper, 1, key=second),
        put(paper, 0, key=first),
        delete(paper, key=third),
        put(paper, 0, key=fourth),
        delete(paper, key=first),
    ]
    receipts = [cast.receipt for cast in casts]
    assert flushed(*casts) == [
        counted(casts[0], 2),
        counted(casts[1], 2),
        Replayed(receipts[1]),
        counted(casts[3], 2),
        Replayed(receipts[1], withdrawn=True),
        Replayed(receipts[3], withdrawn=True),
        counted(casts[6], 2),
        Replayed(receipts[6], replaced=True),
        Replayed(receipts[6], replaced=True),
        Replayed(receipts[6]),
        Code.IDEMPOTENCY_KEY_REUSED,
        Code.IDEMPOTENCY_KEY_REUSED,
    ]
    assert standing(paper) == receipts[6]
    assert_left(paper, [0, 0, 1], ballots=1, seq=2)


def test_changes_of_one_batch_are_known_by_their_keys_in_the_next(paper: BallotPaper) -> None:
    keys = [new_key() for _ in range(4)]
    flushed(
        post(paper, 0, key=keys[0]),
        put(paper, 1, key=keys[1]),
        delete(paper, key=keys[2]),
        put(paper, 2, key=keys[3]),
    )
    stands = standing(paper)
    assert stands is not None
    assert flushed(
        post(paper, 0, key=keys[0]),
        put(paper, 1, key=keys[1]),
        delete(paper, key=keys[2]),
        put(paper, 2, key=keys[3]),
        put(paper, 0, key=keys[3]),
    ) == [
        Replayed(stands, replaced=True),
        Replayed(stands, replaced=True),
        Replayed(stands),
        Replayed(stands),
        Code.IDEMPOTENCY_KEY_REUSED,
    ]
    assert_left(paper, [0, 0, 1], ballots=1, seq=2)


# -- many voters, many polls ----------------------------------------------------------------------


def test_batch_of_votes_and_changes_answers_each_in_its_place(alice: Person) -> None:
    lunch, dinner, closed, gone = (new_paper(alice, allow_change=True) for _ in range(4))
    for paper in (lunch, dinner, closed, gone):
        for name in ("ann", "ben"):
            flushed(post(paper, 0, voter=name))
    old = dinner
    edit_poll(dinner.poll_id, {"title": "Supper?"})
    dinner = load_ballot_paper(Poll.objects.get(id=old.poll_id))
    lifecycle.close_poll(closed.poll_id)
    lifecycle.delete_poll(gone.poll_id)
    made = [
        put(lunch, 1),
        post(lunch, 2, voter="cat"),
        delete(dinner, voter="ben"),
        put(lunch, 2, voter="cat"),
        put(dinner, 2),
    ]
    assert flushed(
        made[0],
        delete(closed),
        made[1],
        put(gone, 1),
        delete(old),
        made[2],
        post(lunch, 0, voter="ben"),
        made[3],
        put(lunch, 1, voter="dan"),
        made[4],
    ) == [
        counted(made[0], 4),
        Code.POLL_CLOSED,
        counted(made[1], 4),
        Code.NOT_FOUND,
        Stale(),
        counted(made[2], 5),
        Code.ALREADY_VOTED,
        counted(made[3], 4),
        Code.NO_VOTE,
        counted(made[4], 5),
    ]
    assert_left(lunch, [1, 1, 1], ballots=3, seq=4)
    assert_left(dinner, [0, 0, 1], ballots=1, seq=5)
    assert_left(closed, [2, 0, 0], ballots=2, seq=4)


def test_outcome_of_a_change_holds_the_count_that_its_flush_has_left(paper: BallotPaper) -> None:
    flushed(post(paper, 0), post(paper, 0, voter="ben"))
    (outcome,) = flushed(put(paper, 1, 2))
    assert isinstance(outcome, Counted)
    assert (outcome.tallied.seq, outcome.tallied.ballots) == (3, 2)
    assert [outcome.tallied.votes[option] for option in paper.options.values()] == [1, 1, 1]


def test_rolled_back_changes_leave_everything_as_it_was(paper: BallotPaper) -> None:
    flushed(post(paper, 0), post(paper, 1, voter="ben"))
    before, receipt, seconds = stored(paper.poll_id), standing(paper), buckets(paper.poll_id)
    with transaction.atomic(), connection.cursor() as cursor:
        flush(statements(cursor), [put(paper, 2), delete(paper, voter="ben")])
        assert stored(paper.poll_id).votes == [0, 0, 1]
        transaction.set_rollback(True)
    assert (stored(paper.poll_id), standing(paper)) == (before, receipt)
    assert buckets(paper.poll_id) == seconds
