"""Votes that are replaced or withdrawn, in the transaction of a flush."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from polls.domain.outcomes import Outcome, of_answered, of_poll, of_window
from polls.domain.statements import Action, Cast, Id, Statements, Vote, VoterId, Window
from polls.errors import Code


@dataclass(slots=True)
class Changes:
    """What a batch of changes comes to."""

    outcomes: dict[int, Outcome] = field(default_factory=dict)  # of those that change nothing
    made: dict[int, Cast] = field(default_factory=dict)
    removed: list[tuple[Id, Vote]] = field(default_factory=list)  # as they stood, by their poll
    cast: list[Cast] = field(default_factory=list)  # the ballots that stand in their place


def change_votes(
    statements: Statements, casts: Mapping[int, Cast], windows: Mapping[Id, Window]
) -> Changes:
    """Replace and withdraw votes, by their places in the batch; the counts are the caller's.

    A voter's changes follow each other as they came. Between them nobody can see, so only what
    the last one leaves is written.
    """
    votes = statements.votes(sorted({cast.voter for cast in casts.values()}))
    found = Changes()
    before: dict[VoterId, Vote] = {}
    last: dict[VoterId, Cast] = {}
    for place, cast in casts.items():
        vote, window = votes.get(cast.voter), windows.get(cast.poll)
        outcome = _refusal_of(cast, vote, window)
        if outcome is not None or vote is None or window is None:
            found.outcomes[place] = outcome or Code.NO_VOTE
            continue
        before.setdefault(cast.voter, vote)
        votes[cast.voter] = _changed(vote, cast, window)
        found.made[place] = last[cast.voter] = cast
    found.removed = [(poll, vote) for (poll, _), vote in before.items() if vote.ballot]
    found.cast = [cast for cast in last.values() if cast.action is Action.REPLACE]
    if last:
        statements.remove_ballots([(poll, vote.ballot or "") for poll, vote in found.removed])
        statements.ballots(found.cast)
        statements.change({voter: votes[voter] for voter in sorted(last)})
    return found


def _refusal_of(cast: Cast, vote: Vote | None, window: Window | None) -> Outcome | None:
    """Decide in the contract's order whether a change can be made; None where it can."""
    unlooked = of_poll(cast, window)
    if unlooked is not None or window is None:
        return unlooked
    answered = None if vote is None else of_answered(cast, vote)
    if answered is not None:
        return answered
    refused = of_window(window)
    if refused is not None:
        return refused
    nothing = vote is None or (cast.action is Action.WITHDRAW and vote.ballot is None)
    return Code.NO_VOTE if nothing else None


def _changed(vote: Vote, cast: Cast, window: Window) -> Vote:
    """Return a vote as this change leaves it."""
    hashes = [*vote.hashes, cast.hashes]
    if cast.action is Action.WITHDRAW:
        return Vote(hashes, receipt=None, ballot=None)
    return replace(
        vote,
        hashes=hashes,
        receipt=cast.receipt,
        ballot=cast.ballot,
        second=window.second,
        options=cast.options,
    )
