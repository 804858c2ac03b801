"""What the service must answer to a vote, by the contract alone and none of the service's code.

The contract decides in an order: the request's own faults, the poll, the voter, whether votes may
be changed, the ballot, the replay, the poll's state, the second vote or the missing first one, the
network. Where a request has several faults of the first kind any of them may be named; after that
there is one answer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fuzz.heads import head_faults
from fuzz.identities import BODILESS, CODE_INVALID, identify, key_of, network_of, user_of
from fuzz.reading import UnreadableError, read
from fuzz.wire import Request
from fuzz.world import Ballot, Cast, Poll, RefusedError, Said, Vote, World

MOST_BODY = 65_536

MALFORMED: Said = (400, "malformed")
NOT_FOUND: Said = (404, "not_found")
INVALID_BALLOT: Said = (400, "invalid_ballot")
COUNTED: Said = (201, "")
REPLACED: Said = (200, "")
TOLD: Said = (200, "")
WITHDRAWN: Said = (204, "")
REPLAYED: Said = (200, "")

# What is answered to each method where it is counted, and where it is a retry.
_MADE: Mapping[str, Said] = {"POST": COUNTED, "PUT": REPLACED, "DELETE": WITHDRAWN}
_AGAIN: Mapping[str, Said] = {"POST": REPLAYED, "PUT": REPLAYED, "DELETE": WITHDRAWN}


@dataclass(slots=True)
class Ruling:
    """What must be answered; `may` has one member unless a request has faults of its own."""

    may: frozenset[Said]
    poll: Poll | None = None
    voter: object = None
    cast: Cast | None = None  # what is counted now, or was before
    sees: bool = False  # whether this voter may see results now
    replayed: bool = False
    receipt: str = ""  # of a replay
    own: Mapping[str, Any] | None = None  # the body, for whoever asks for their vote
    told: frozenset[str] = frozenset()  # of a replay: what has become of it since


def judge(world: World, request: Request) -> Ruling:
    """Return what must be answered to `POST`, `PUT`, `DELETE` or `GET …/votes/`."""
    faults = request_faults(world, request)
    poll = world.polls.get(poll_of(request.path))
    user = user_of(world, request)
    hidden = poll is None or (poll.status == "draft" and user != poll.owner)
    if faults:
        # An address that no route takes is not even asked for its body.
        return Ruling(frozenset(faults | ({NOT_FOUND} if poll is None else set())))
    if poll is None or hidden:
        return Ruling(frozenset({NOT_FOUND}))
    fields = {} if request.method in BODILESS else _fields(request.body or b"")
    try:
        voter = identify(world, poll, request, user, fields)
        if request.method == "GET":
            return Ruling(frozenset({TOLD}), poll, voter, own=own_vote(poll, poll.votes.get(voter)))
        if poll.identity == "code" and request.method == "POST" and voter in poll.votes:
            _require_retry(poll, poll.votes[voter], key_of(request), fields)
        ballot = _read_change(poll, request.method, fields)
        cast = Cast(key_of(request), ballot, network_of(world, request))
        return _decide(poll, voter, user, cast, request.method)
    except RefusedError as refused:
        return Ruling(frozenset({refused.said}), poll)


def poll_of(path: str) -> str:
    """Return the part of `/api/v1/polls/{id}/votes/` that names the poll."""
    return path.removeprefix("/api/v1/polls/").removesuffix("/votes/")


def take(ruling: Ruling, receipt: str) -> None:
    """Keep what was counted."""
    if ruling.poll is not None and ruling.cast is not None and not ruling.replayed:
        ruling.poll.keep(ruling.voter, ruling.cast, receipt)


# -- the request by itself ---------------------------------------------------------------------


def request_faults(world: World, request: Request) -> set[Said]:
    """Return every way in which a request may be refused whatever it is about."""
    body = request.body or b""
    faults = head_faults(request, world.host, has_body=bool(body))
    if len(body) > MOST_BODY:
        return faults | {(413, "body_too_large")}
    if request.method in BODILESS and not body:
        return faults
    try:
        fields = _fields(body)
    except RefusedError as refused:
        return faults | {refused.said}
    if not _are_typed(fields) or (fields and request.method in BODILESS):
        faults.add(MALFORMED)
    return faults


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = read(body)
    except UnreadableError:
        raise RefusedError(MALFORMED) from None
    if not isinstance(fields, dict):
        raise RefusedError(MALFORMED)
    return fields


def _are_typed(fields: Mapping[str, Any]) -> bool:
    """Whether a body has known fields alone, each of its type."""
    return all(name in _TYPES and _TYPES[name](value) for name, value in fields.items())


def _is_choices(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, str)
        or (isinstance(item, list) and all(isinstance(tied, str) for tied in item))
        for item in value
    )


def _is_scores(value: object) -> bool:
    return isinstance(value, dict) and all(type(score) is int for score in value.values())


_TYPES: dict[str, Callable[[Any], bool]] = {
    "choices": _is_choices,
    "scores": _is_scores,
    "code": lambda value: isinstance(value, str),
}


# -- the ballot --------------------------------------------------------------------------------


def read_ballot(poll: Poll, fields: Mapping[str, Any]) -> Ballot:
    """Return what a typed body marks in this poll."""
    return _KINDS[poll.kind](poll, fields)


def _marks(poll: Poll, fields: Mapping[str, Any]) -> Ballot:
    """Return the options of a ballot in which each is marked or not."""
    if fields.keys() != {"choices"} | ({"code"} if poll.identity == "code" else set()):
        raise RefusedError(INVALID_BALLOT)
    marked = [item.lower() if isinstance(item, str) else "" for item in fields["choices"]]
    fits = (
        all(option in poll.options for option in marked)
        and len(set(marked)) == len(marked)
        and poll.minimum <= len(marked) <= poll.maximum
    )
    if not fits:
        raise RefusedError(INVALID_BALLOT)
    return frozenset(marked)


# Another kind of poll is another line here.
_KINDS: dict[str, Callable[[Poll, Mapping[str, Any]], Ballot]] = {
    "single": _marks,
    "multiple": _marks,
    "approval": _marks,
}


# -- what becomes of it ------------------------------------------------------------------------


def _require_retry(poll: Poll, vote: Vote, key: str | None, fields: Mapping[str, Any]) -> None:
    """Refuse a used code like an unknown one, but to who may be sending its vote once more."""
    first = vote.first
    may_be = first is not None and first[0].key == key
    if may_be and first is not None and poll.is_secret:  # which keeps nothing to tell the key by
        try:
            may_be = read_ballot(poll, fields) == first[0].ballot
        except RefusedError:
            may_be = False
    if not may_be:
        raise RefusedError(CODE_INVALID)


def _read_change(poll: Poll, method: str, fields: Mapping[str, Any]) -> Ballot | None:
    """Return the ballot of a request that may be made in this poll, None for a withdrawal."""
    if method != "POST" and not poll.allow_change:
        raise RefusedError((409, "change_not_allowed"))
    return None if method == "DELETE" else read_ballot(poll, fields)


def _decide(poll: Poll, voter: object, user: str | None, cast: Cast, method: str) -> Ruling:
    """Return what becomes of a valid request of a known voter."""
    vote = poll.votes.get(voter)
    known = None if vote is None else vote.known_by(cast.key)
    if vote is not None and known is not None:
        if known[0].ballot == cast.ballot:
            return _replay(poll, voter, user, vote, known, method)
        if not poll.is_secret:
            raise RefusedError((422, "idempotency_key_reused"))
    if poll.status == "closed":
        raise RefusedError((410, "poll_closed"))
    if poll.status != "open":
        raise RefusedError((409, "poll_not_open"))
    if method == "POST":
        _require_room(poll, vote, cast)
    elif vote is None or (method == "DELETE" and vote.standing.ballot is None):
        raise RefusedError((404, "no_vote"))
    sees = may_see(poll, user)
    return Ruling(frozenset({_MADE[method]}), poll, voter, cast, sees=sees)


def _require_room(poll: Poll, vote: Vote | None, cast: Cast) -> None:
    """Refuse a second vote, and a first one that its network has no room for."""
    if vote is not None:
        raise RefusedError((409, "already_voted"))
    if poll.cap is not None and poll.networks[cast.network] >= poll.cap:
        raise RefusedError((403, "network_cap_reached"))


def _replay(  # noqa: PLR0913, PLR0917 - all that it depends on
    poll: Poll, voter: object, user: str | None, vote: Vote, known: tuple[Cast, str], method: str
) -> Ruling:
    """Return what a retry is told of what stands now."""
    cast, receipt = known
    stands = vote.standing.ballot is not None
    replaced = stands and (vote.standing.key, vote.standing.ballot) != (cast.key, cast.ballot)
    told = {"replaced": replaced, "withdrawn": not stands}
    return Ruling(
        frozenset({_AGAIN[method]}),
        poll,
        voter,
        cast,
        sees=may_see(poll, user, has_vote=stands),
        replayed=True,
        receipt=vote.receipt if stands else receipt,
        told=frozenset(name for name, holds in told.items() if holds),
    )


def own_vote(poll: Poll, vote: Vote | None) -> Mapping[str, Any]:
    """Return what a voter is told of their vote."""
    if vote is None:
        return {"voted": False}
    ballot = vote.standing.ballot
    if ballot is None:
        return {"voted": False, "withdrawn": True}
    if poll.is_secret:
        return {"voted": True}
    choices = [option for option in poll.options if option in ballot]
    return {"voted": True, "receipt": vote.receipt, "choices": choices}


def may_see(poll: Poll, user: str | None, *, has_vote: bool = True) -> bool:
    """Whether a voter may see the results; `has_vote` is whether theirs stands."""
    return (
        user == poll.owner
        or poll.visibility == "always"
        or (poll.visibility == "after_vote" and has_vote)
        or (poll.visibility in {"after_vote", "after_close"} and poll.status == "closed")
    )
