"""One flush: a batch of votes decided and counted in one transaction."""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from polls.domain.statements import Cast, Statements, Taken, Tallied, VoterId, Window
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
    polls = sorted({cast.poll_id for cast in casts})
    statements.lock_polls(polls)
    windows = statements.windows(polls)

    outcomes: list[Outcome | None] = [None] * len(casts)
    first: dict[VoterId, int] = {}  # whose vote stands for its voter in this batch
    for place, cast in enumerate(casts):
        window = windows.get(cast.poll_id)
        outcomes[place] = _outcome_unlooked(cast, window)
        if window is not None and outcomes[place] is None and window.state == "open":
            first.setdefault(cast.voter, place)

    # The order of the keys, by what is quick to compare.
    order = sorted(first, key=lambda voter: (voter[0].int, voter[1]))
    candidates = [casts[first[voter]] for voter in order]
    counted = statements.participations(candidates) if candidates else []

    # Whoever did not get in: a retry, a second vote, or a vote outside the window.
    won = {id(cast) for cast in counted}
    lost = [
        place
        for place, cast in enumerate(casts if len(counted) < len(casts) else ())
        if outcomes[place] is None and id(cast) not in won
    ]
    taken: dict[VoterId, Taken] = {}
    if lost:
        taken = statements.taken(sorted({casts[place].voter for place in lost}))
        # A winner of this batch has its participation but not yet its ballot.
        for ballot in counted:
            voter = (ballot.poll_id, ballot.voter_key)
            if voter in taken:
                taken[voter] = Taken(ballot.key_hash, ballot.ballot_hash, ballot.receipt)
    for place in lost:
        cast = casts[place]
        outcomes[place] = _outcome_of_loser(
            cast, taken.get(cast.voter), windows[cast.poll_id].state
        )

    if counted:
        statements.ballots(counted)
        tallied = statements.count(
            Counter(ballot.poll_id for ballot in counted),
            _marks(counted),
            {poll: window.second for poll, window in windows.items()},
        )
        for ballot in counted:
            place = first[ballot.poll_id, ballot.voter_key]
            count = tallied[ballot.poll_id]
            outcomes[place] = Counted(ballot.receipt, count.seq, count)
    assert None not in outcomes  # noqa: S101 - each vote was decided
    return [outcome for outcome in outcomes if outcome is not None]


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
    return Code.ALREADY_VOTED


def _marks(ballots: Sequence[Cast]) -> dict[tuple[uuid.UUID, uuid.UUID], int]:
    """Return how many ballots mark each option, in key order."""
    marks = Counter((ballot.poll_id, option) for ballot in ballots for option in ballot.options)
    return dict(sorted(marks.items()))
