"""One flush: a batch of votes decided and counted in one transaction."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from polls.domain.statements import Cast, Id, Statements, Taken, Tallied, VoterId, Window
from polls.errors import Code


@dataclass(slots=True)
class Counted:
    """The vote is in; `seq` is the first version of the count that holds it."""

    receipt: bytes
    seq: int
    tallied: Tallied = field(compare=False, repr=False)  # that version


@dataclass(frozen=True, slots=True)
class Replayed:
    """The same voter sent the same ballot with the same key before."""

    receipt: bytes


@dataclass(frozen=True, slots=True)
class Stale:
    """The ballot was checked against another revision of the poll; check it again."""


Outcome = Counted | Replayed | Stale | Code


def flush(statements: Statements, casts: Sequence[Cast]) -> list[Outcome]:
    """Write a batch of votes and return what becomes of each, in their order.

    Runs inside the caller's transaction: the outcomes hold once it has committed. Locks are taken
    in one order everywhere: turnstiles, polls, participations, PollTally, Tally, TallyBucket, each
    by key.
    """
    polls = sorted({cast.poll for cast in casts})
    statements.lock_polls(polls)
    first: dict[VoterId, int] = {}  # whose vote stands for its voter in this batch
    for place, cast in enumerate(casts):
        first.setdefault(cast.voter, place)
    windows, counted = statements.enter(polls, [casts[first[voter]] for voter in sorted(first)])

    outcomes = _outcomes_of_losers(statements, casts, windows, counted)
    if counted:
        statements.ballots(counted)
        tallied = statements.count(
            Counter([ballot.poll for ballot in counted]),
            _marks(counted),
            {poll: window.second for poll, window in windows.items()},
        )
        for ballot in counted:
            count = tallied[ballot.poll]
            outcomes[first[ballot.voter]] = Counted(ballot.receipt, count.seq, count)
    return [outcomes[place] for place in range(len(casts))]


def _outcomes_of_losers(
    statements: Statements,
    casts: Sequence[Cast],
    windows: Mapping[Id, Window],
    counted: Sequence[Cast],
) -> dict[int, Outcome]:
    """Decide what becomes of each vote that did not get in, by its place in the batch."""
    outcomes: dict[int, Outcome] = {}
    if len(counted) == len(casts):
        return outcomes
    won = {id(cast) for cast in counted}
    lost: list[int] = []  # a retry, a second vote, or a vote outside the window
    for place, cast in enumerate(casts):
        if id(cast) not in won:
            outcome = _outcome_unlooked(cast, windows.get(cast.poll))
            if outcome is None:
                lost.append(place)
            else:
                outcomes[place] = outcome
    if lost:
        taken = statements.taken(sorted({casts[place].voter for place in lost}))
        # A winner of this batch has its participation but not yet its ballot.
        for ballot in counted:
            if ballot.voter in taken:
                taken[ballot.voter] = Taken(ballot.key_hash, ballot.ballot_hash, ballot.receipt)
        for place in lost:
            cast = casts[place]
            outcomes[place] = _outcome_of_loser(
                cast, taken.get(cast.voter), windows[cast.poll].state
            )
    return outcomes


def _outcome_unlooked(cast: Cast, window: Window | None) -> Outcome | None:
    """Decide what the poll alone decides, whoever votes."""
    if window is None or window.state == "gone":
        return Code.NOT_FOUND
    return None if window.revision == cast.revision else Stale()


def _outcome_of_loser(cast: Cast, taken: Taken | None, state: str) -> Outcome:
    """Decide in the contract's order: replay, reuse of a key, window, second vote."""
    if taken is not None and cast.key_hash is not None and cast.key_hash == taken.key_hash:
        if cast.ballot_hash == taken.ballot_hash and taken.receipt is not None:
            return Replayed(taken.receipt)
        return Code.IDEMPOTENCY_KEY_REUSED
    if state == "not_open":
        return Code.POLL_NOT_OPEN
    if state == "closed":
        return Code.POLL_CLOSED
    # Nobody is in for a voter whose first vote of this batch was stale.
    return Stale() if taken is None else Code.ALREADY_VOTED


def _marks(ballots: Sequence[Cast]) -> dict[tuple[Id, Id], int]:
    """Return how many ballots mark each option, in key order."""
    marks = Counter([(ballot.poll, option) for ballot in ballots for option in ballot.options])
    return dict(sorted(marks.items()))
