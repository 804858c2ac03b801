"""What a client may say: in the URL that it opens, and in its frames."""

import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings

from polls import strict_json
from polls.errors import Code, Refusal

_MOST_SEQ = 2**63


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for a pong."""


@dataclass(frozen=True, slots=True)
class Auth:
    """Says by a ticket whom the socket speaks for."""

    ticket: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A poll that a client wants to hear of, and what it has of it already."""

    poll_id: uuid.UUID
    since: int | None = None  # a seq
    wants_status: bool = False  # where it may not see results


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Asks for the frames of some polls."""

    polls: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Asks for no more of them."""

    polls: tuple[uuid.UUID, ...]


ClientFrame = Ping | Auth | Subscribe | Unsubscribe


def read_query(query_string: bytes) -> tuple[int | None, bool]:
    """Return `since` and whether the view is `status`, or raise `malformed`."""
    query = parse_qs(query_string.decode("latin-1"), keep_blank_values=True)
    for name, values in query.items():
        if name not in {"since", "view"} or len(values) > 1:
            raise Refusal(Code.MALFORMED, "The query takes `since` and `view`, once each.")
    since = query.get("since", [None])[0]
    if since is not None and not (
        since.isascii() and since.isdigit() and len(since) <= len(str(_MOST_SEQ))
    ):
        raise Refusal(Code.MALFORMED, "`since` must be a seq.")
    view = query.get("view", [None])[0]
    if view not in {None, "status"}:
        raise Refusal(Code.MALFORMED, "`view` takes `status`.")
    return None if since is None else int(since), view == "status"


def read_view(query_string: bytes) -> bool:
    """Return whether the view is `status`, or raise `malformed`: an event has no `since`."""
    if b"since" in query_string:
        raise Refusal(Code.MALFORMED, "The query takes `view` alone.")
    return read_query(query_string)[1]


def read_frame(message: dict[str, Any], *, of_many: bool) -> ClientFrame:
    """Return a client's frame, or raise `malformed`; only a socket of many polls subscribes."""
    text = message.get("text")
    if text is None:
        raise Refusal(Code.MALFORMED, "Frames are JSON texts.")
    # Uvicorn ends the socket with 1009 before this; other servers may let more through.
    if len(text) > settings.MAX_SOCKET_MESSAGE_BYTES:
        raise Refusal(
            Code.MALFORMED, f"A frame may have {settings.MAX_SOCKET_MESSAGE_BYTES} bytes."
        )
    try:
        frame = strict_json.loads_object(text.encode())
    except UnicodeEncodeError:
        raise Refusal(Code.MALFORMED, "Frames are UTF-8.") from None
    match frame:
        case {"type": "ping", **rest} if not rest:
            return Ping()
        case {"type": "auth", "ticket": str(ticket), **rest} if not rest:
            return Auth(ticket)
        case {"type": "subscribe", "polls": list(polls), **rest} if of_many and not rest:
            wanted = tuple(_wanted(poll) for poll in polls)
            _check_number({one.poll_id for one in wanted}, polls)
            return Subscribe(wanted)
        case {"type": "unsubscribe", "polls": list(polls), **rest} if of_many and not rest:
            ids = tuple(_poll_id(poll) for poll in polls)
            _check_number(set(ids), polls)
            return Unsubscribe(ids)
    if of_many:
        raise Refusal(
            Code.MALFORMED,
            "A frame is a ping, an auth with its ticket, or a subscribe or unsubscribe with polls.",
        )
    raise Refusal(Code.MALFORMED, "A frame is a ping, or an auth with its ticket.")


def _check_number(different: set[uuid.UUID], polls: list[Any]) -> None:
    if not polls or len(different) != len(polls):
        raise Refusal(Code.MALFORMED, "`polls` names at least one, and each once.")


def _poll_id(value: object) -> uuid.UUID:
    """Return an id that is written as everywhere: with hyphens and in lower case."""
    try:
        poll_id = uuid.UUID(value) if isinstance(value, str) else None
    except ValueError:
        poll_id = None
    if poll_id is None or str(poll_id) != value:
        raise Refusal(Code.MALFORMED, "A poll is named by its id.")
    return poll_id


def _wanted(value: object) -> Wanted:
    if not isinstance(value, dict) or value.keys() - {"poll", "since", "view"}:
        raise Refusal(Code.MALFORMED, "A subscription has `poll`, and may have `since` and `view`.")
    since = value.get("since")
    # `true` is a number to Python.
    if "since" in value and not (type(since) is int and 0 <= since <= _MOST_SEQ):
        raise Refusal(Code.MALFORMED, "`since` must be a seq.")
    if "view" in value and value["view"] != "status":
        raise Refusal(Code.MALFORMED, "`view` takes `status`.")
    return Wanted(_poll_id(value.get("poll")), since, "view" in value)
