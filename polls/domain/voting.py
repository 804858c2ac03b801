"""Casting a vote: from the body of a request to the outcome that the database decided."""

import hashlib
import logging
import re
import secrets
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

from django.db import InterfaceError, OperationalError

from polls.domain import deadline, voters
from polls.domain.access import Viewer, access_poll, anybody_may_see, may_see_results
from polls.domain.ballot_box import ballot_box
from polls.domain.ballot_paper import (
    BallotPaper,
    CanonicalBallot,
    load_ballot_paper,
    papers,
    wrong_shape,
)
from polls.domain.current import Current, read_current
from polls.domain.flush import Counted, Outcome, Replayed, Stale
from polls.domain.statements import Cast
from polls.enums import Identity
from polls.errors import Code, FieldError, Refusal
from polls.ids import new_ballot_id
from polls.models import Ballot, Participation, Poll, Selection

logger = logging.getLogger(__name__)

MIN_KEY, MAX_KEY = 16, 255  # characters of an Idempotency-Key
_KEY = re.compile(f"[!-~]{{{MIN_KEY},{MAX_KEY}}}")
_FIELDS = frozenset({"choices", "scores", "code"})
_CHECKS = 3  # how often a ballot is checked against a definition that keeps changing


@dataclass(slots=True)
class Voter:
    """Whoever votes, as the request presents them; nothing of it is checked yet."""

    user_id: int | None = None
    token: str | None = None
    # The browser sent a voter cookie, but not from a page of ours: it must not count.
    cookie_from_elsewhere: bool = False
    idempotency_key: str | None = None
    # Why the account that the request names does not count, told once the poll is found.
    refused: Refusal | None = None

    def viewer(self) -> Viewer:
        """Return the same as somebody who reads: a forged token is nobody's."""
        return Viewer(self.user_id, voters.device_of(self.token) if self.token else None)


@dataclass(slots=True)
class Receipt:
    """A vote that stands, and what its voter may see of the count."""

    poll: str  # its id
    receipt: str
    # The first version of the count that holds it, for a replay that of now; None where the voter
    # may not see it.
    seq: int | None
    results: bytes | None  # the body of `GET …/results/` in that version or a later one
    replayed: bool


def check_key(key: str | None) -> None:
    """Raise `malformed` for an Idempotency-Key that is not 16 to 255 visible ASCII characters."""
    if key is not None and _KEY.fullmatch(key) is None:
        detail = f"Idempotency-Key takes {MIN_KEY} to {MAX_KEY} visible ASCII characters."
        raise Refusal(
            Code.MALFORMED, detail, errors=[FieldError("Idempotency-Key", "format", detail)]
        )


def parse_vote(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the body of a vote with every type checked, or raise `malformed`."""
    for name in body:
        if name not in _FIELDS:
            raise _malformed(name, "unknown_field", "There is no such field.")
    if not _are_choices(body.get("choices", [])):
        detail = "It must be a list of option ids."
        raise _malformed("choices", "wrong_type", detail)
    if not _are_scores(body.get("scores", {})):
        detail = "It must be an object of option ids and whole numbers."
        raise _malformed("scores", "wrong_type", detail)
    if not isinstance(body.get("code", ""), str):
        raise _malformed("code", "wrong_type", "It must be a text.")
    return body


def _malformed(name: str, code: str, detail: str) -> Refusal:
    return Refusal(Code.MALFORMED, detail, errors=[FieldError(name, code, detail)])


def _are_choices(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, str)
        or (isinstance(item, list) and all(isinstance(tied, str) for tied in item))
        for item in value
    )


def _are_scores(value: object) -> bool:
    # A bool is an int to Python, not to JSON.
    return isinstance(value, dict) and all(type(score) is int for score in value.values())


def read_ballot(paper: BallotPaper, body: Mapping[str, Any]) -> CanonicalBallot:
    """Return the canonical ballot of a parsed body, or raise `invalid_ballot`."""
    if "scores" in body:
        raise wrong_shape("scores", "Only a score poll takes scores.")
    if "code" in body:
        raise wrong_shape("code", "This poll does not ask for a code.")
    if "choices" not in body:
        raise wrong_shape("choices", "The ballot must name its choices.")
    return paper.canonical(body["choices"])


def require_identity(poll: Poll, voter: Voter) -> str | None:
    """Return the identity by which the poll knows this voter; None where each vote is a voter.

    Raises `voter_token_required`, `voter_token_invalid` or `authentication_required`.
    """
    # A session without its CSRF token is no account; who needs none may vote all the same.
    if voter.refused is not None and (
        poll.identity == Identity.ACCOUNT or voter.refused.code is not Code.CSRF_FAILED
    ):
        raise voter.refused
    if poll.identity == Identity.DEVICE:
        if voter.cookie_from_elsewhere:
            raise Refusal(Code.CSRF_FAILED)
        return voters.require_device(voter.token)
    if poll.identity == Identity.ACCOUNT:
        if voter.user_id is None:
            raise Refusal(Code.AUTHENTICATION_REQUIRED)
        return str(voter.user_id)
    # Open: the database's constraint and NOT_AVAILABLE leave no other.
    return voter.idempotency_key


def make_cast(
    paper: BallotPaper, identity: str | None, key: str | None, ballot: CanonicalBallot
) -> Cast:
    """Return the checked vote of a voter, with a ballot id and a receipt of its own."""
    # A voter whom nothing identifies is new with every request.
    voter_key = secrets.token_bytes(32) if identity is None else paper.voter_key(identity)
    key_hash = None if key is None else hashlib.sha256(key.encode()).digest()
    # Without a key a retry is another vote, so its receipt is its own.
    receipt = paper.receipt(voter_key, key_hash or secrets.token_bytes(32), ballot.hash)
    return Cast(
        poll=paper.id,
        revision=paper.revision,
        voter_key=voter_key,
        ballot=new_ballot_id(),
        key_hash=key_hash,
        ballot_hash=None if key_hash is None else ballot.hash,
        receipt=receipt,
        options=ballot.options,
    )


def _prepare_cast(paper: BallotPaper, body: Mapping[str, Any], voter: Voter) -> Cast:
    """Return the checked vote of a parsed body.

    Raises the identity's refusals, then `invalid_ballot`.
    """
    identity = require_identity(paper.poll, voter)
    return make_cast(paper, identity, voter.idempotency_key, read_ballot(paper, body))


def cast_vote(
    poll_id: uuid.UUID,
    body: Mapping[str, Any],
    voter: Voter,
    *,
    drop: Callable[[Cast], Outcome] | None = None,
) -> Receipt:
    """Cast a parsed vote and return its receipt once it is committed.

    Raises the refusals of the contract in the contract's order: not_found, the identity's,
    invalid_ballot, idempotency_key_reused, poll_not_open, poll_closed, already_voted, and
    overloaded, unavailable or outcome_unknown. `drop` is how a cast reaches its outcome.
    """
    check_key(voter.idempotency_key)
    drop = drop or _drop_into_box
    for attempt in range(_CHECKS + 1):
        paper = papers.get(str(poll_id)) if attempt == 0 else None
        if paper is not None:
            try:
                cast = _prepare_cast(paper, body, voter)
            except Refusal:  # perhaps by rules that have changed since: they are asked for anew
                continue
        else:
            paper = load_ballot_paper(access_poll(poll_id, voter.viewer()))
            papers.keep(paper)
            cast = _prepare_cast(paper, body, voter)
        outcome = drop(cast)
        receipt = conclude(paper, outcome, voter)
        if receipt is not None:
            return receipt
        if isinstance(outcome, Replayed):
            return replayed(paper, outcome, _current_or_none(poll_id), voter)
    raise Refusal(Code.OVERLOADED, "The poll is being changed faster than it can be voted in.")


def conclude(paper: BallotPaper, outcome: Outcome, voter: Voter) -> Receipt | None:
    """Return the receipt of a vote that was counted, or raise why it was not.

    None where the database must be asked again: for the count of now, which a replay tells, or
    for the definition, which has changed since the paper was printed.
    """
    match outcome:
        case Counted(receipt, seq, tallied):
            results = paper.count(tallied).body if _may_see(paper.poll, voter) else None
            seen = None if results is None else seq
            return Receipt(paper.name, receipt.hex(), seen, results, replayed=False)
        case Replayed():
            return None
        case Stale():
            papers.forget(paper)
            return None
        case Code():
            if outcome is Code.NOT_FOUND:
                papers.forget(paper)
            raise Refusal(outcome)


def replayed(
    paper: BallotPaper, outcome: Replayed, current: Current | None, voter: Voter
) -> Receipt:
    """Return the first receipt again; `current` is where the poll stands now, if it is known."""
    visible = current is not None and _may_see(current.poll, voter)
    count = current.count if current is not None and visible else None
    return Receipt(
        paper.name,
        outcome.receipt.hex(),
        None if count is None else count.seq,
        None if count is None else count.body,
        replayed=True,
    )


def _may_see(poll: Poll, voter: Voter) -> bool:
    """Whether somebody whose vote stands may see the count; mostly everybody may."""
    return anybody_may_see(poll) or may_see_results(poll, voter.viewer(), has_voted=True)


def _current_or_none(poll_id: uuid.UUID) -> Current | None:
    """Return where the poll stands; without the database the vote stands all the same."""
    try:
        return read_current([poll_id]).get(poll_id)
    except (OperationalError, InterfaceError):
        # A refusal would say that the vote is not counted, so the count alone is missing.
        logger.exception("A vote in poll %s is counted, its results cannot be read.", poll_id)
        return None


def _drop_into_box(cast: Cast) -> Outcome:
    """Wait for the box, no longer than this thread's deadline.

    A vote that is still queued then is taken out; one in a flush has an unknown outcome.
    """
    future = ballot_box().submit(cast)
    try:
        return future.result(timeout=deadline.remaining())
    except TimeoutError:
        return Code.OVERLOADED if future.cancel() else Code.OUTCOME_UNKNOWN
    except CancelledError:
        return Code.OVERLOADED


@dataclass(frozen=True, slots=True)
class StandingVote:
    """What a voter is told of their own vote."""

    receipt: str
    choices: list[str]


def find_vote(poll_id: uuid.UUID, voter: Voter) -> StandingVote | None:
    """Return this voter's vote, None where they have not voted.

    Raises `not_found` and the identity's refusals; an open poll knows its voters by the
    Idempotency-Key alone.
    """
    check_key(voter.idempotency_key)
    poll = access_poll(poll_id, voter.viewer())
    identity = require_identity(poll, voter)
    if identity is None:
        raise Refusal(Code.VOTER_TOKEN_REQUIRED)
    paper = load_ballot_paper(poll)
    ballot_id = (
        Participation.objects.filter(poll=poll, voter_key=paper.voter_key(identity))
        .values_list("ballot_id", flat=True)
        .first()
    )
    if ballot_id is None:
        return None
    chosen = Selection.objects.filter(poll=poll, ballot_id=ballot_id).order_by("option__position")
    choices = [str(option) for option in chosen.values_list("option_id", flat=True)]
    # Last, for a reset takes all of it at once: where the ballot still stands, so did its marks.
    receipts = Ballot.objects.filter(poll=poll, id=ballot_id).values_list("receipt", flat=True)
    receipt = receipts.first()
    return None if receipt is None else StandingVote(bytes(receipt).hex(), choices)
