"""Whom a poll takes a request to come from, by the contract alone."""

from collections.abc import Callable, Mapping
from typing import Any

from fuzz.heads import voter_token
from fuzz.wire import Request
from fuzz.world import Poll, RefusedError, Said, World

CODE_INVALID: Said = (403, "code_invalid")
BODILESS = frozenset({"GET", "DELETE"})  # they have the code in the head
_LONGEST_CODE, _CODE = 40, 16
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's, who reads O as 0, I and L as 1

Fields = Mapping[str, Any]
Identify = Callable[[World, Poll, Request, str | None, Fields], object]


def user_of(world: World, request: Request) -> str | None:
    """Return whose bearer token comes with a request."""
    given = request.header(b"authorization")
    scheme, _, token = given[0].partition(b" ") if given else (b"", b"", b"")
    return world.accounts.get(token.strip()) if scheme.lower() == b"bearer" else None


def key_of(request: Request) -> str | None:
    """Return the Idempotency-Key."""
    given = request.header(b"idempotency-key")
    return given[0].decode("latin-1") if given else None


def network_of(world: World, request: Request) -> str:
    """Return the network of the address that our proxy, which is trusted, saw last."""
    forwarded = b",".join(request.header(b"x-forwarded-for")) or b"127.0.0.1"
    address = forwarded.rpartition(b",")[2].strip()
    return world.networks.get(address, address.decode("latin-1"))


def identify(
    world: World, poll: Poll, request: Request, user: str | None, fields: Fields
) -> object:
    """Return what the poll knows this voter by."""
    if user is None and request.header(b"authorization"):
        raise RefusedError((401, "authentication_required"))
    return IDENTITIES[poll.identity](world, poll, request, user, fields)


def _by_device(
    world: World, poll: Poll, request: Request, user: str | None, fields: Fields
) -> object:
    del poll, user, fields
    token, foreign = voter_token(request, world.host)
    if foreign:
        raise RefusedError((403, "csrf_failed"))
    if not token:
        raise RefusedError((401, "voter_token_required"))
    if token not in world.devices:
        raise RefusedError((401, "voter_token_invalid"))
    return token


def _by_account(
    world: World, poll: Poll, request: Request, user: str | None, fields: Fields
) -> object:
    del world, poll, request, fields
    if user is None:
        raise RefusedError((401, "authentication_required"))
    return user


def _by_key(world: World, poll: Poll, request: Request, user: str | None, fields: Fields) -> object:
    """Return the key: an open poll knows nobody, and without one each vote has its own voter."""
    del world, poll, user, fields
    key = key_of(request)
    if key is None and request.method == "GET":
        raise RefusedError((401, "voter_token_required"))
    return key or object()


def _by_code(
    world: World, poll: Poll, request: Request, user: str | None, fields: Fields
) -> object:
    """Return the code, which stands in the body, and in the head where there is none."""
    del world, user
    given = fields.get("code", "")
    if request.method in BODILESS:
        heads = request.header(b"x-voter-code")
        given = heads[0].decode("latin-1") if heads else ""
    code = canonical_code(given)
    if code not in poll.codes:
        raise RefusedError(CODE_INVALID)
    return code


def canonical_code(given: str) -> str:
    """Return a code however it was typed, empty where it cannot be one."""
    if len(given) > _LONGEST_CODE or not given.isascii():
        return ""
    code = given.replace("-", "").replace(" ", "").upper()
    for read, as_this in (("O", "0"), ("I", "1"), ("L", "1")):
        code = code.replace(read, as_this)
    return code if len(code) == _CODE and set(code) <= set(_ALPHABET) else ""


# Another identity is another line here; what it needs of a request stands in `heads`.
IDENTITIES: dict[str, Identify] = {
    "device": _by_device,
    "account": _by_account,
    "open": _by_key,
    "code": _by_code,
}
