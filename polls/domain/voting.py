"""Casting, replacing and withdrawing a vote: from a parsed body to what the database decided."""

import hashlib
import logging
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from typing import Any

from django.db import InterfaceError, OperationalError

from polls.domain import codes, deadline, voters
from polls.domain.access import Viewer, access_poll, anybody_may_see, may_see_results
from polls.domain.ballot_box import ballot_box
from polls.domain.ballot_paper import (
    BallotPaper,
    CanonicalBallot,
    load_ballot_paper,
    papers,
)
from polls.domain.current import Current, read_current
from polls.domain.outcomes import Counted, Outcome, Replayed, Stale
from polls.domain.statements import Action, Cast
from polls.domain.vote_input import check_key, read_ballot
from polls.enums import Identity, Visibility
from polls.errors import Code, Refusal
from polls.ids import new_ballot_id
from polls.models import Ballot, Poll

logger = logging.getLogger(__name__)

_CHECKS = 3  # how often a ballot is checked against a definition that keeps changing
# What a withdrawal brings in a ballot's place.
NO_BALLOT = CanonicalBallot((), hashlib.sha256(b"withdrawn").digest())


@dataclass(slots=True)
class Voter:
    """Whoever votes, as the request presents them; nothing of it is checked yet."""

    user_id: int | None = None
    token: str | None = None
    code: str | None = None
    # The browser sent a voter cookie, but not from a page of ours: it must not count.
    cookie_from_elsewhere: bool = False
    idempotency_key: str | None = None
    # Where the request comes from, as `polls.networks.network_of` tells it.
    network: str = ""
    # Why the account that the request names does not count, told once the poll is found.
    refused: Refusal | None = None

    def viewer(self) -> Viewer:
        """Return the same as somebody who reads: a forged token is nobody's, nor is any code."""
        return Viewer(self.user_id, voters.device_of(self.token) if self.token else None)

    def viewer_by_code(self, polls: Sequence[Poll]) -> Viewer:
        """Return the same with the voter keys of a code, in those of the polls that know it."""
        viewer, code = self.viewer(), codes.canonical_code(self.code)
        asking = [poll for poll in polls if poll.identity == Identity.CODE]
        if code is None or not asking:
            return viewer
        # Where the key is destroyed no code is known to anybody.
        asked = [paper for paper in map(load_ballot_paper, asking) if paper.key is not None]
        knowing = codes.polls_that_know(asked, code, self.network)
        keys = {(paper.poll_id, paper.voter_key(code)) for paper in knowing}
        return replace(viewer, code_voters=frozenset(keys))

    @property
    def key_hash(self) -> bytes | None:
        """The SHA-256 by which the Idempotency-Key is kept."""
        key = self.idempotency_key
        return None if key is None else hashlib.sha256(key.encode()).digest()


@dataclass(slots=True)
class Receipt:
    """A vote that stands, or its withdrawal, and what its voter may see of the count."""

    poll: str  # its id
    receipt: str
    # The first version of the count that holds it, for a replay that of now; None where the voter
    # may not see it.
    seq: int | None
    results: bytes | None  # the body of `GET …/results/` in that version or a later one
    action: Action
    replayed: bool = False
    # Of a replay: nothing stands any more, or another ballot does.
    withdrawn: bool = False
    replaced: bool = False


def require_identity(poll: Poll, voter: Voter) -> str | None:
    """Return the identity by which the poll knows this voter; None where each vote is a voter.

    Raises `voter_token_required`, `voter_token_invalid`, `authentication_required`, or
    `code_invalid` for what cannot be a code; whether it is one of this poll is not looked up.
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
    if poll.identity == Identity.CODE:
        code = codes.canonical_code(voter.code)
        if code is None:
            raise Refusal(Code.CODE_INVALID)
        return code
    # Open: the database's constraint leaves no other.
    return voter.idempotency_key


def make_cast(
    paper: BallotPaper,
    identity: str | None,
    voter: Voter,
    ballot: CanonicalBallot,
    action: Action = Action.CAST,
) -> Cast:
    """Return the checked vote of a voter, with a ballot id and a receipt of its own."""
    # A voter whom nothing identifies is new with every request.
    voter_key = secrets.token_bytes(32) if identity is None else paper.voter_key(identity)
    key_hash = voter.key_hash
    # Without a key a retry is another vote, so its receipt is its own.
    receipt = paper.receipt(voter_key, key_hash or secrets.token_bytes(32), ballot.hash)
    cap = paper.poll.network_cap
    return Cast(
        poll=paper.id,
        revision=paper.revision,
        voter_key=voter_key,
        ballot=paper.secret_ballot(receipt) if paper.is_secret else new_ballot_id(),
        key_hash=key_hash,
        ballot_hash=None if key_hash is None else ballot.hash,
        receipt=receipt,
        options=ballot.options,
        action=action,
        secret=paper.is_secret,
        network=None if cap is None else paper.network_key(voter.network),
        cap=cap or 0,
    )


def _prepare_cast(
    paper: BallotPaper,
    body: Mapping[str, Any],
    voter: Voter,
    action: Action,
    lookup: codes.Lookup,
) -> Cast:
    """Return the checked vote of a parsed body.

    Raises the identity's refusals, `change_not_allowed`, then `invalid_ballot`.
    """
    identity = require_identity(paper.poll, voter)
    found = None
    if identity is not None and paper.asks_for_codes:
        found = lookup.find(paper, identity)
    # A used code is good for the retry of its vote alone, and otherwise told as an unknown one is.
    used = found is not None and found.is_used and action is Action.CAST
    if used and not paper.is_secret and found and not found.is_retry(voter.key_hash):
        raise Refusal(Code.CODE_INVALID)
    if action is not Action.CAST and not paper.poll.allow_change:
        raise Refusal(Code.CHANGE_NOT_ALLOWED)
    try:
        ballot = NO_BALLOT if action is Action.WITHDRAW else read_ballot(paper, body)
    except Refusal:
        if used and paper.is_secret:
            raise Refusal(Code.CODE_INVALID) from None
        raise
    cast = make_cast(paper, identity, voter, ballot, action)
    if used and paper.is_secret and not Ballot.objects.filter(pk=(paper.id, cast.ballot)).exists():
        raise Refusal(Code.CODE_INVALID)
    return cast


def cast_vote(
    poll_id: uuid.UUID,
    body: Mapping[str, Any],
    voter: Voter,
    *,
    action: Action = Action.CAST,
    drop: Callable[[Cast], Outcome] | None = None,
) -> Receipt:
    """Cast, replace or withdraw a vote and return its receipt once that is committed.

    Raises the refusals of the contract in the contract's order: not_found, the identity's,
    change_not_allowed, invalid_ballot, idempotency_key_reused, poll_not_open, poll_closed,
    already_voted or no_vote, network_cap_reached, and overloaded, unavailable or outcome_unknown.
    `drop` is how a cast reaches its outcome.
    """
    check_key(voter.idempotency_key)
    if action is not Action.WITHDRAW:  # which has no body
        voter = replace(voter, code=body.get("code"))
    drop = drop or _drop_into_box
    lookup = codes.Lookup(voter.network)
    for attempt in range(_CHECKS + 1):
        paper = papers.get(str(poll_id)) if attempt == 0 else None
        if paper is not None:
            try:
                cast = _prepare_cast(paper, body, voter, action, lookup)
            except Refusal:  # perhaps by rules that have changed since: they are asked for anew
                continue
        else:
            paper = load_ballot_paper(access_poll(poll_id, voter.viewer()))
            papers.keep(paper)
            cast = _prepare_cast(paper, body, voter, action, lookup)
        outcome = drop(cast)
        receipt = conclude(paper, cast, outcome, voter)
        if receipt is not None:
            return receipt
        if isinstance(outcome, Replayed):
            return replayed(paper, cast, outcome, _current_or_none(poll_id), voter)
    raise Refusal(Code.OVERLOADED, "The poll is being changed faster than it can be voted in.")


def conclude(paper: BallotPaper, cast: Cast, outcome: Outcome, voter: Voter) -> Receipt | None:
    """Return the receipt of a vote that was counted, or raise why it was not.

    None where the database must be asked again: for the count of now, which a replay tells, or
    for the definition, which has changed since the paper was printed.
    """
    match outcome:
        case Counted(receipt, seq, tallied):
            results = paper.count(tallied).body if _may_see(paper.poll, voter) else None
            seen = None if results is None else seq
            return Receipt(paper.name, receipt.hex(), seen, results, cast.action)
        case Replayed():
            return None
        case Stale():
            papers.forget(paper)
            return None
        case Code():
            if outcome is Code.NOT_FOUND:
                papers.forget(paper)
            if outcome is Code.ALREADY_VOTED and paper.asks_for_codes:
                raise Refusal(Code.CODE_INVALID)
            raise Refusal(outcome)


def replayed(
    paper: BallotPaper, cast: Cast, outcome: Replayed, current: Current | None, voter: Voter
) -> Receipt:
    """Return what stands now; `current` is where the poll stands, if it is known."""
    standing = not outcome.withdrawn
    visible = current is not None and _may_see(current.poll, voter, has_voted=standing)
    count = current.count if current is not None and visible else None
    return Receipt(
        paper.name,
        outcome.receipt.hex(),
        None if count is None else count.seq,
        None if count is None else count.body,
        cast.action,
        replayed=True,
        withdrawn=outcome.withdrawn,
        replaced=outcome.replaced,
    )


def _may_see(poll: Poll, voter: Voter, *, has_voted: bool = True) -> bool:
    """Whether this voter may see the count; mostly everybody may.

    Nothing is looked up then, for the express door asks on the event loop. Nobody else may where
    the database cannot be asked for their role: the vote stands all the same.
    """
    if anybody_may_see(poll):
        return True
    if not has_voted and poll.results_visibility == Visibility.AFTER_VOTE:
        return voter.viewer().owns(poll)
    try:
        return may_see_results(poll, voter.viewer(), has_voted=has_voted)
    except (OperationalError, InterfaceError):
        # A refusal would say that the vote is not counted, so the count alone is missing.
        logger.exception("A vote in poll %s is counted, who may see it cannot be read.", poll.id)
        return False


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
