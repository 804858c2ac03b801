"""The protocol of the sockets as an AsyncAPI 3.0 document, from what the code itself goes by."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings

from polls.api import examples
from polls.errors import CATALOGUE
from realtime import outbox, subscription, uvicorn_protocol
from realtime.frames import Close
from realtime.schemas import REFUSALS, leaves, messages

VERSION = "v1"
ONE_POLL = "/ws/polls/{pollId}/"
MANY_POLLS = "/ws/"
EVENT = "/ws/events/{eventId}/"

# What each channel's messages are called in the components: first the server's, then the client's.
_COUNTS = {name: name for name in ("snapshot", "hello", "tally", "closed", "status")}
_SERVERS: dict[str, Mapping[str, str]] = {
    "poll": {**_COUNTS, "heartbeat": "heartbeat", "error": "error", "pong": "pong"},
    "polls": {**_COUNTS, "heartbeat": "heartbeatOfMany", "error": "errorOfMany", "pong": "pong"},
}
_SERVERS["event"] = {
    "event": "event",
    **{kind: name for kind, name in _SERVERS["polls"].items() if kind != "hello"},
}
_CLIENTS: Mapping[str, Sequence[str]] = {
    "poll": ("ping", "auth"),
    "polls": ("ping", "auth", "subscribe", "unsubscribe"),
    "event": ("ping", "auth"),
}

_DESCRIPTION = f"""
Live counts of polls, and which of them an event shows. One JSON object a frame, in UTF-8. Frames
are absolute: each holds the whole count with its `seq`, so one that is lost, doubled or late does
no harm.

A socket is the voter of its cookie, from this site's own pages alone, or of the ticket in its
`auth`. A foreign `Origin`, and a cookie without any, is refused with HTTP 403 at the handshake. A
socket that may see results is told the count at once; one that may not has
{subscription.AUTH_SECONDS:.0f} s to send `auth` before it is refused.

A client's frame may have {settings.MAX_SOCKET_MESSAGE_BYTES} bytes; it may send
{settings.MAX_SOCKET_MESSAGES} within ten seconds. `GET /api/v1/limits/` lists every limit.
""".strip()


def document(*, host: str, secure: bool) -> dict[str, Any]:
    """Return the document of the service that is reached at `host`, over TLS where `secure`."""
    page = f"{'https' if secure else 'http'}://{host}/docs/protocol"
    return {
        "asyncapi": "3.0.0",
        "id": "urn:polls:live",
        "info": {
            "title": "Polls, live",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "url": "https://opensource.org/license/mit"},
            "tags": [{"name": "live"}],
            "externalDocs": {"description": "The same for people.", "url": page},
        },
        "defaultContentType": "application/json",
        "servers": {
            "here": {
                "host": host,
                "protocol": "wss" if secure else "ws",
                "description": "The service that answers this document.",
            }
        },
        "channels": {
            "poll": _channel(
                "poll",
                ONE_POLL,
                "One poll",
                "The socket begins with the poll's count, and ends with it.",
                {"since": _leaf("since"), "view": _leaf("view")},
            )
            | {
                "parameters": {
                    "pollId": {"description": "The poll's id.", "examples": [examples.POLL_ID]}
                }
            },
            "polls": _channel(
                "polls",
                MANY_POLLS,
                "Many polls",
                f"Up to {settings.MAX_SOCKET_POLLS} polls on one socket, which stays open whatever "
                "becomes of each: `closed` is the last frame of a poll, and so is an `error` that "
                "names it.",
                {},
            ),
            "event": _channel(
                "event",
                EVENT,
                "An event",
                "The socket follows whichever of the event's polls is shown: each `event` that "
                "names another is followed by that one's frames. It stays open whatever becomes "
                "of each, until the event is deleted.",
                {"view": _leaf("view")},
            )
            | {
                "parameters": {
                    "eventId": {"description": "The event's id.", "examples": [examples.EVENT_ID]}
                }
            },
        },
        "operations": _operations(),
        "components": {"messages": messages(), "schemas": leaves()},
        "x-close-codes": close_codes(),
    }


def close_codes() -> list[dict[str, Any]]:
    """Return why a socket may be closed: code, error, description, whether to come back."""
    refusals = [
        {
            "code": Close.after(code),
            "error": str(code),
            "description": why,
            # The catalogue knows which errors pass.
            "reconnect": CATALOGUE[code].retry_after is not None,
        }
        for code, why in REFUSALS.items()
    ]
    others = {
        Close.NORMAL: (
            f"The poll is closed, and `closed` was said {subscription.CLOSED_SECONDS:.0f} s ago."
        ),
        Close.BAD_PROTOCOL: "The client's frames break the WebSocket protocol (RFC 6455).",
        Close.NOT_UTF8: "A text of the client's is not UTF-8.",
        Close.FLOOD: (
            f"The client sent more than {uvicorn_protocol.MAX_CONTROL} pings, pongs and parts of "
            "messages within ten seconds."
        ),
        Close.NO_PONG: (
            "The client answered no ping of the WebSocket protocol for 20 s. Browsers and "
            "libraries answer by themselves."
        ),
        Close.TOO_BIG: (
            f"A frame of the client's had more than {settings.MAX_SOCKET_MESSAGE_BYTES} bytes."
        ),
        Close.RESTART: (
            "The service stops or starts anew. Under Daphne a restart is an ordinary drop, which "
            "clients see as 1006."
        ),
        Close.TOO_SLOW: (
            f"The client took nothing for {outbox.STUCK_SECONDS:.0f} s. It is said before the "
            "connection is dropped, so most such clients see 1006."
        ),
    }
    plain = [
        {
            "code": int(code),
            "error": None,
            "description": why,
            "reconnect": code in {Close.NO_PONG, Close.RESTART, Close.TOO_SLOW},
        }
        for code, why in others.items()
    ]
    return sorted([*plain, *refusals], key=lambda entry: entry["code"])


def _leaf(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _channel(
    name: str, address: str, title: str, description: str, query: Mapping[str, Any]
) -> dict[str, Any]:
    found = {**_SERVERS[name], **{kind: kind for kind in _CLIENTS[name]}}
    return {
        "address": address,
        "title": title,
        "description": description,
        "messages": {
            kind: {"$ref": f"#/components/messages/{component}"}
            for kind, component in found.items()
        },
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": dict(query),
                },
                "bindingVersion": "0.1.0",
            }
        },
    }


def _operations() -> dict[str, Any]:
    """Return what the service does on each channel: it sends, and it receives."""
    found: dict[str, Any] = {}
    for name, servers in _SERVERS.items():
        begin = ["snapshot", "hello", "closed", "status", "error"]
        replies = {"ping": ["pong"], "subscribe": begin}
        told = [kind for kind in servers if kind != "pong"]
        found[f"{name}.tell"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{name}"},
            "summary": "Tell what there is to tell, in the order that it comes about.",
            "messages": [_of_channel(name, kind) for kind in told],
        }
        for kind in _CLIENTS[name]:
            found[f"{name}.{kind}"] = {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{name}"},
                "summary": f"Take a {kind}.",
                "messages": [_of_channel(name, kind)],
            }
            if kind in replies:
                found[f"{name}.{kind}"]["reply"] = {
                    "channel": {"$ref": f"#/channels/{name}"},
                    "messages": [_of_channel(name, reply) for reply in replies[kind]],
                }
    return found


def _of_channel(name: str, kind: str) -> dict[str, str]:
    return {"$ref": f"#/channels/{name}/messages/{kind}"}
