"""The frames as JSON Schema (draft 7), each with its sentence and an example."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings

from polls.api import examples
from polls.domain import definition
from polls.domain.tickets import LIFETIME
from polls.enums import SCHEDULED, Identity, Kind, Secrecy, Status, Visibility
from polls.errors import CATALOGUE, Code
from polls.ids import JOIN_CODE_ALPHABET, JOIN_CODE_LENGTH
from realtime import outbox, subscription

Schema = dict[str, Any]

# What a socket refuses, and why; the close code that follows is `Close.after`.
REFUSALS: Mapping[Code, str] = {
    Code.MALFORMED: "The query or a frame of the client's cannot be read.",
    Code.AUTHENTICATION_REQUIRED: (
        f"The ticket is unknown, used or more than {LIFETIME.seconds} s old."
    ),
    Code.RESULTS_HIDDEN: "This socket may not see the poll's results, or no longer.",
    Code.NOT_FOUND: (
        "There is no such poll or event, or no longer; a draft exists for its organisers alone. "
        "A path that no socket answers on is refused the same."
    ),
    Code.TOO_MANY: (
        f"The process has {settings.MAX_SOCKETS} sockets, or this client sent more than "
        f"{settings.MAX_SOCKET_MESSAGES} frames within ten seconds."
    ),
    Code.UNAVAILABLE: "The database does not answer.",
}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def leaves() -> dict[str, Schema]:
    """Return the schemas of single fields, by name."""
    uuid = {"type": "string", "format": "uuid", "pattern": "^[0-9a-f-]{36}$"}
    moment = {"type": ["string", "null"], "format": "date-time", "pattern": "Z$"}
    going = [Status.DRAFT.value, SCHEDULED, Status.OPEN.value]
    return {
        "pollId": {**uuid, "description": "The poll's id."},
        "seq": {
            "type": "integer",
            "minimum": 1,
            "description": "The version of everything that is said of a poll: it rises with each "
            "change of the poll, its options or its count.",
        },
        "eventId": {**uuid, "description": "The event's id."},
        "eventSeq": {
            "type": "integer",
            "minimum": 1,
            "description": "The version of the event: it rises with each change of its title, its "
            "order and the poll that is shown.",
        },
        "title": {
            "type": "string",
            "minLength": 1,
            "maxLength": definition.MAX_TITLE,
            "description": "What the event is called.",
        },
        "current": {
            "type": ["object", "null"],
            "additionalProperties": False,
            "required": list(_QUESTION),
            "description": "The poll that is shown now, whose frames follow; null where there is "
            "none, or it is a draft, for its owner too. With it a page can draw the ballot without "
            "asking for anything.",
            "properties": {
                "poll": _ref("pollId"),
                "join_code": {
                    "type": "string",
                    "pattern": f"^[{JOIN_CODE_ALPHABET}]{{{JOIN_CODE_LENGTH}}}$",
                    "description": "The poll's own code.",
                },
                "revision": {
                    "type": "integer",
                    "minimum": 1,
                    "description": "Rises with each change of what follows, and with a reset: "
                    "a ballot that was drawn or cast before may not stand any more.",
                },
                "title": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": definition.MAX_TITLE,
                    "description": "The poll's title.",
                },
                "description": {
                    "type": "string",
                    "maxLength": definition.MAX_DESCRIPTION,
                    "description": "The poll's description, which may be empty.",
                },
                "kind": {"enum": Kind.values, "description": "How a ballot is marked."},
                "min_selections": {
                    "type": "integer",
                    "minimum": 1,
                    "description": "How many options a ballot marks at least.",
                },
                "max_selections": {
                    "type": "integer",
                    "minimum": 1,
                    "description": "How many options a ballot marks at most.",
                },
                "identity": {
                    "enum": Identity.values,
                    "description": "What makes two votes the same voter's.",
                },
                "network_cap": {
                    "type": ["integer", "null"],
                    "minimum": 1,
                    "maximum": definition.MAX_NETWORK_CAP,
                    "description": "How many voters one network may have, where it is limited.",
                },
                "secrecy": {
                    "enum": Secrecy.values,
                    "description": "Whether the link between voter and ballot is kept.",
                },
                "allow_change": {
                    "type": "boolean",
                    "description": "Whether votes can be replaced and withdrawn.",
                },
                "results_visibility": {
                    "enum": Visibility.values,
                    "description": "Who may see results, and from when.",
                },
                "options": {
                    "type": "array",
                    "minItems": definition.MIN_OPTIONS,
                    "maxItems": definition.MAX_OPTIONS,
                    "description": "The options, in their order.",
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["id", "text"],
                        "properties": {
                            "id": {**uuid, "description": "The option's id."},
                            "text": {"type": "string", "description": "What it says."},
                        },
                    },
                },
            },
        },
        "since": {
            "type": "integer",
            "minimum": 0,
            "description": "The seq of what the client has.",
        },
        "view": {
            "type": "string",
            "enum": ["status"],
            "description": "Ask for the status alone where results may not be seen.",
        },
        "ballots": {"type": "integer", "minimum": 0, "description": "Ballots that stand."},
        "going": {"type": "string", "enum": going, "description": "Where the poll stands."},
        "closed": {
            "type": "string",
            "const": Status.CLOSED.value,
            "description": "Where the poll stands, for good.",
        },
        "status": {
            "type": "string",
            "enum": [*going, Status.CLOSED.value],
            "description": "Where the poll stands.",
        },
        "options": {
            "type": "array",
            "minItems": definition.MIN_OPTIONS,
            "maxItems": definition.MAX_OPTIONS,
            "description": "All options of the poll, in its order, with the ballots that mark "
            "each.",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["id", "votes"],
                "properties": {
                    "id": {**uuid, "description": "The option's id."},
                    "votes": {"type": "integer", "minimum": 0},
                },
            },
        },
        "opensAt": {**moment, "description": "When it opens by itself, in UTC, if it does."},
        "closesAt": {**moment, "description": "When it closes by itself, in UTC, if it does."},
        "ticket": {
            "type": "string",
            "minLength": 1,
            "description": "From POST /api/v1/live-tickets/: single use, for "
            f"{LIFETIME.seconds} s, and never in a URL.",
        },
        "code": {
            "type": "string",
            "enum": [str(code) for code in REFUSALS],
            "description": "An entry of the catalogue of errors.",
        },
        "detail": {
            "type": "string",
            "minLength": 1,
            "description": "A sentence for people: what to do about it.",
        },
        "polls": {
            "type": "array",
            "minItems": 1,
            "maxItems": settings.MAX_SOCKET_POLLS,
            "uniqueItems": True,
            "description": "The ids of polls, each once.",
            "items": _ref("pollId"),
        },
        "subscriptions": {
            "type": "array",
            "minItems": 1,
            "maxItems": settings.MAX_SOCKET_POLLS,
            "uniqueItems": True,
            "description": "The polls, each once, as the URL of its own socket would ask for it.",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["poll"],
                "properties": {
                    "poll": _ref("pollId"),
                    "since": _ref("since"),
                    "view": _ref("view"),
                },
            },
        },
    }


def _message(  # noqa: PLR0913 - a table of keywords
    kind: str,
    when: str,
    more: str = "",
    *,
    required: Mapping[str, Any],
    optional: Mapping[str, Schema] | None = None,
    example: Sequence[object] = (),
) -> Schema:
    """Return a message: its fields by name, and the example's values in their order."""
    fields = {**required, **(optional or {})}
    return {
        "name": kind,
        "title": kind,
        "summary": when,
        "description": more or when,
        "payload": {
            "type": "object",
            "additionalProperties": False,
            "required": ["type", *required],
            "properties": {
                "type": {"type": "string", "const": kind, "description": "The frame's type."},
                **fields,
            },
        },
        "examples": [
            {"name": kind, "payload": {"type": kind, **dict(zip(fields, example, strict=True))}}
        ],
    }


_COUNTS = {
    "poll": _ref("pollId"),
    "status": _ref("going"),
    "seq": _ref("seq"),
    "ballots": _ref("ballots"),
    "options": _ref("options"),
}


# What an event tells of the poll that it shows.
_QUESTION = (
    *("poll", "join_code", "revision", "title", "description", "kind", "min_selections"),
    *("max_selections", "identity", "network_cap", "secrecy", "allow_change"),
    *("results_visibility", "options"),
)


def _question_of(poll: Mapping[str, Any]) -> dict[str, Any]:
    options = [{"id": option["id"], "text": option["text"]} for option in poll["options"]]
    own = {"poll": poll["id"], "revision": 1, "options": options}
    return {name: own[name] if name in own else poll[name] for name in _QUESTION}


def _counts(status: str) -> list[object]:
    results = examples.RESULTS
    options = [{"id": option["id"], "votes": option["votes"]} for option in results["options"]]
    return [results["poll"], status, results["seq"], results["ballots"], options]


def messages() -> dict[str, Schema]:
    """Return every message of either direction by its name in the document."""
    poll = examples.POLL_ID
    silence = f"After {outbox.HEARTBEAT_SECONDS:.0f} s of silence."
    return {
        "event": _message(
            "event",
            "First, and whenever `seq` rose: what the event shows now.",
            "Where `current` names another poll than before, that one's first frame follows and "
            "the frames of the one before have ended.",
            required={
                "event": _ref("eventId"),
                "seq": _ref("eventSeq"),
                "title": _ref("title"),
                "current": _ref("current"),
            },
            example=[
                *(examples.EVENT[name] for name in ("id", "seq", "title")),
                _question_of(examples.POLL),
            ],
        ),
        "snapshot": _message(
            "snapshot",
            "First, and whenever the count has to be taken anew: it replaces what the client has.",
            "The whole count. Also sent when results open for a socket that saw the status alone.",
            required=_COUNTS,
            example=_counts(Status.OPEN),
        ),
        "hello": _message(
            "hello",
            "Instead of the snapshot, when `since` is the current seq: the client is up to date.",
            required={"poll": _ref("pollId"), "seq": _ref("seq")},
            example=[poll, examples.RESULTS["seq"]],
        ),
        "tally": _message(
            "tally",
            f"When seq rose, at most once a tick ({settings.TICK_MS} ms).",
            "The whole count again, not a difference. Of the frames that wait for a slow reader "
            "only the newest is kept, so seq may skip.",
            required=_COUNTS,
            example=_counts(Status.OPEN),
        ),
        "closed": _message(
            "closed",
            "Once, when the poll has closed; first, when a closed poll is joined.",
            "The final count. A socket of one poll is closed with 1000 "
            f"{subscription.CLOSED_SECONDS:.0f} s later, and clients do not come back.",
            required={
                **_COUNTS,
                "status": _ref("closed"),
                "final": {
                    "type": "boolean",
                    "const": True,
                    "description": "There is no count after this one.",
                },
            },
            example=[*_counts(Status.CLOSED), True],
        ),
        "status": _message(
            "status",
            "With `view` as `status`, for those who may not see results: first, and when it "
            "changes.",
            "It holds no number that depends on votes. A snapshot follows when results open for "
            "this socket.",
            required={
                "poll": _ref("pollId"),
                "status": _ref("status"),
                "opens_at": _ref("opensAt"),
                "closes_at": _ref("closesAt"),
            },
            example=[poll, Status.OPEN.value, None, "2030-01-31T20:00:00Z"],
        ),
        "heartbeat": _message(
            "heartbeat",
            silence,
            f"{silence} `seq` is what the client should have; it is left out where results may "
            "not be seen.",
            required={},
            optional={"seq": _ref("seq")},
            example=[examples.RESULTS["seq"]],
        ),
        "heartbeatOfMany": _message("heartbeat", silence, required={}),
        "error": _message(
            "error",
            "Before the server closes the socket; the close code is 4000 and the status of the "
            "code.",
            required={"code": _ref("code"), "detail": _ref("detail")},
            optional={"poll": _ref("pollId")},
            example=[Code.RESULTS_HIDDEN.value, CATALOGUE[Code.RESULTS_HIDDEN].remedy, poll],
        ),
        "errorOfMany": _message(
            "error",
            "With `poll`, when one poll of many is refused or ends: the socket stays. Without, "
            "before the server closes the socket.",
            required={"code": _ref("code"), "detail": _ref("detail")},
            optional={"poll": _ref("pollId")},
            example=[Code.NOT_FOUND.value, CATALOGUE[Code.NOT_FOUND].remedy, poll],
        ),
        "pong": _message("pong", "The answer to a ping.", required={}),
        "ping": _message(
            "ping", "Whenever the client asks whether the connection lives.", required={}
        ),
        "auth": _message(
            "auth",
            "First, by a client with a ticket, on every connection with a new one.",
            "For the polls that the ticket names, its voter replaces the cookie's. A socket that "
            f"may not see results is given {subscription.AUTH_SECONDS:.0f} s for it.",
            required={"ticket": _ref("ticket")},
            example=["d2hhdCBhIGxvdmVseSB0aWNrZXQgdGhpcyBpcyE"],
        ),
        "subscribe": _message(
            "subscribe",
            "To follow polls from now on; each is answered as the socket of that poll would.",
            required={"polls": _ref("subscriptions")},
            example=[[{"poll": poll, "since": 42}]],
        ),
        "unsubscribe": _message(
            "unsubscribe",
            "To follow polls no longer.",
            required={"polls": _ref("polls")},
            example=[[poll]],
        ),
    }
