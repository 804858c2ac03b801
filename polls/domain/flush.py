"""One flush: a batch of votes decided and counted in one transaction."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from polls.domain.changes import Changes, change_votes
from polls.domain.outcomes import (
    Counted,
    Outcome,
    Replayed,
    Stale,
    of_answered,
    of_poll,
    of_window,
)
from polls.domain.statements import (
    Action,
    Cast,
    Counting,
    Id,
    NetworkId,
    Statements,
    Vote,
    VoterId,
    Window,
)
from polls.errors import Code


def flush(statements: Statements, casts: Sequence[Cast]) -> list[Outcome]:
    """Write a batch of votes and return what becomes of each, in their order.

    Runs inside the caller's transaction: the outcomes hold once it has committed. Locks are taken
    in one order everywhere: turnstiles, polls, participations, networks, PollTally, Tally, buckets,
    each by key. Votes are cast first; those that replace or withdraw one come after.
    """
    polls = sorted({cast.poll for cast in casts})
    statements.lock_polls(polls)
    first: dict[VoterId, int] = {}  # whose vote stands for its voter in this batch
    changing: dict[int, Cast] = {}
    for place, cast in enumerate(casts):
        if cast.action is Action.CAST:
            first.setdefault(cast.voter, place)
        else:
            changing[place] = cast
    windows, entered = statements.enter(polls, [casts[first[voter]] for voter in sorted(first)])
    counted, full = _within_caps(statements, entered, first)

    outcomes = _outcomes_of_losers(statements, casts, windows, counted, full)
    if counted:
        statements.ballots(counted)
    made = {first[ballot.voter]: ballot for ballot in counted}
    changes = Changes()
    if changing:
        changes = change_votes(statements, changing, windows)
        outcomes.update(changes.outcomes)
        made.update(changes.made)
    if made:
        tallied = statements.count(_counting(counted, changes, made.values(), windows))
        for place, cast in made.items():
            count = tallied[cast.poll]
            outcomes[place] = Counted(cast.receipt, count.seq, count)
    return [outcomes[place] for place in range(len(casts))]


def _within_caps(
    statements: Statements, entered: Sequence[Cast], places: Mapping[VoterId, int]
) -> tuple[Sequence[Cast], frozenset[VoterId]]:
    """Return the ballots whose networks had room, and the voters whose networks are full.

    Of one network those get in who came first, by their places in the batch.
    """
    if all(cast.network is None for cast in entered):
        return entered, frozenset()
    came: dict[NetworkId, list[Cast]] = {}
    for cast in sorted(entered, key=lambda cast: places[cast.voter]):
        if cast.network is not None:
            came.setdefault((cast.poll, cast.network), []).append(cast)
    wanted = {
        key: (min(len(casts), casts[0].cap), casts[0].cap) for key, casts in sorted(came.items())
    }
    got_in = statements.enter_networks(wanted)
    full = frozenset(
        cast.voter for key, casts in came.items() for cast in casts[got_in.get(key, 0) :]
    )
    if full:
        statements.leave(sorted(full))
    return [cast for cast in entered if cast.voter not in full], full


def _outcomes_of_losers(
    statements: Statements,
    casts: Sequence[Cast],
    windows: Mapping[Id, Window],
    counted: Sequence[Cast],
    full: Collection[VoterId],
) -> dict[int, Outcome]:
    """Decide what becomes of each vote that was cast and did not get in, by its place."""
    outcomes: dict[int, Outcome] = {}
    if len(counted) == len(casts):
        return outcomes
    won = {id(cast) for cast in counted}
    lost: dict[int, Cast] = {}  # a retry, a second vote, or a vote outside the window
    for place, cast in enumerate(casts):
        if id(cast) in won or cast.action is not Action.CAST:
            continue
        outcome = of_poll(cast, windows.get(cast.poll))
        if outcome is None and cast.voter in full:
            outcome = Code.NETWORK_CAP_REACHED
        if outcome is None:
            lost[place] = cast
        else:
            outcomes[place] = outcome
    if lost:
        taken, stored = _look_up(statements, lost.values(), counted)
        for place, cast in lost.items():
            again = cast.secret and (cast.poll, cast.ballot) in stored
            outcomes[place] = (
                Replayed(cast.receipt)
                if again
                else _outcome_of_loser(cast, taken.get(cast.voter), windows[cast.poll])
            )
    return outcomes


def _look_up(
    statements: Statements, lost: Collection[Cast], counted: Sequence[Cast]
) -> tuple[dict[VoterId, Vote], set[tuple[Id, Id]]]:
    """Return what is known of these voters, and which of their secret ballots were cast before.

    Voter, key and ballot make a secret ballot's id: it is found where the same came before, and
    nothing else can tell that.
    """
    taken = statements.taken(sorted({cast.voter for cast in lost}))
    secret = sorted({(cast.poll, cast.ballot) for cast in lost if cast.secret})
    stored = statements.stored(secret) if secret else set()
    # A winner of this batch has its participation but not yet its ballot.
    for ballot in counted:
        if ballot.secret:
            stored.add((ballot.poll, ballot.ballot))
        elif ballot.voter in taken:
            taken[ballot.voter] = Vote([ballot.hashes], ballot.receipt, ballot.ballot)
    return taken, stored


def _outcome_of_loser(cast: Cast, vote: Vote | None, window: Window) -> Outcome:
    """Decide in the contract's order: replay, reuse of a key, window, second vote."""
    answered = None if vote is None else of_answered(cast, vote)
    if answered is not None:
        return answered
    refused = of_window(window)
    if refused is not None:
        return refused
    # Nobody is in for a voter whose first vote of this batch was stale.
    return Stale() if vote is None else Code.ALREADY_VOTED


def _counting(
    counted: Sequence[Cast],
    changes: Changes,
    made: Iterable[Cast],
    windows: Mapping[Id, Window],
) -> Counting:
    """Return by how much these ballots move the counts."""
    ballots = Counter([cast.poll for cast in counted])
    cast = Counter([(ballot.poll, option) for ballot in counted for option in ballot.options])
    left: Counter[tuple[Id, Id, str]] = Counter()
    marks = cast
    if changes.made:
        ballots.update({change.poll: 0 for change in made})
        ballots.update(change.poll for change in changes.cast)
        cast.update((change.poll, option) for change in changes.cast for option in change.options)
        marks = Counter(cast)
        for poll, vote in changes.removed:
            ballots[poll] -= 1
            marks.subtract((poll, option) for option in vote.options)
            left.update((poll, option, vote.second or "") for option in vote.options)
    in_order = dict(sorted(cast.items()))
    return Counting(
        ballots=dict(sorted(ballots.items())),
        marks=in_order if marks is cast else dict(sorted(marks.items())),
        cast=in_order,
        seconds={poll: window.second for poll, window in windows.items()},
        secret=dict(sorted(Counter([one.poll for one in counted if one.secret]).items())),
        left=dict(sorted(left.items())),
    )
