"""What becomes of a vote, decided in the contract's order from what the database holds."""

from dataclasses import dataclass, field

from polls.domain.statements import Action, Cast, Tallied, Vote, Window
from polls.errors import Code


@dataclass(slots=True)
class Counted:
    """The vote, or its withdrawal, is in; `seq` is the first version of the count that tells it."""

    receipt: bytes
    seq: int
    tallied: Tallied = field(compare=False, repr=False)  # that version


@dataclass(frozen=True, slots=True)
class Replayed:
    """The same voter sent the same with the same key before; the receipt is of what stands now.

    Where nothing stands any more it is the one that was given then.
    """

    receipt: bytes
    withdrawn: bool = False
    replaced: bool = False  # by another ballot since


@dataclass(frozen=True, slots=True)
class Stale:
    """The ballot was checked against another revision of the poll; check it again."""


Outcome = Counted | Replayed | Stale | Code


def of_poll(cast: Cast, window: Window | None) -> Outcome | None:
    """Decide what the poll alone decides, whoever votes."""
    if window is None or window.state == "gone":
        return Code.NOT_FOUND
    return None if window.revision == cast.revision else Stale()


def of_answered(cast: Cast, vote: Vote) -> Outcome | None:
    """Decide by the key whether this is a retry, whatever the poll's window; None where it is new.

    The receipt is an HMAC over voter, key and ballot, so it says by itself what it is of.
    """
    answered = vote.answered(cast)
    if answered is None:
        return None
    if not answered:
        return Code.IDEMPOTENCY_KEY_REUSED
    if vote.receipt is None:
        return Replayed(cast.receipt, withdrawn=True)
    replaced = cast.action is not Action.WITHDRAW and vote.receipt != cast.receipt
    return Replayed(vote.receipt, replaced=replaced)


def of_window(window: Window) -> Code | None:
    """Decide what the poll's window decides."""
    if window.state == "not_open":
        return Code.POLL_NOT_OPEN
    return Code.POLL_CLOSED if window.state == "closed" else None
