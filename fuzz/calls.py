"""Calls of every operation, good and bad: paths, bodies by their schema, accounts and heads."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fuzz.junk import draw_string, draw_text, draw_value, mutated
from fuzz.schema import Operation, Schema
from fuzz.wire import Header, Request

JSON: Header = (b"Content-Type", b"application/json")
_JUNK_IDS = (
    *("00000000-0000-0000-0000-000000000000", "x", "%00", "..", "%2e%2e%2f", "A" * 300, "-1"),
    *("%F0%9F%97%B3", "%ff", "0", "null", "{}", "a b".replace(" ", "%20"), "%0d%0aX:1", "ABCDEF"),
)
_QUERIES = (
    *("a=b", "cursor=", "cursor=x", "cursor=x&cursor=y", "cursor=%00", "cursor=%ff", "format=xml"),
    *("cursor=cD0yMDMw", "cursor=" + "A" * 3000, "format=json", "format=api", "&&&", "=", "%", "?"),
    *("after=x", "after=00000000-0000-0000-0000-000000000000", "after=&after="),
    *("cursor=cD0lMDA%3D", "cursor=bz0x", "cursor=bz0tMQ", "cursor=bz05OTk5OTk5OTk5OTk5OTk5OTk5OQ"),
    *(
        "page=-1",
        "a[]=1",
        "cursor=%25",
        "cursor=cj0xJnA9MQ%3D%3D",
        "cursor=%C3%A9",
        "x=" + "y" * 50,
    ),
)
_HEADS: Sequence[Header] = (
    *((b"Accept", b"text/html"), (b"Accept", b"\xff"), (b"Content-Encoding", b"gzip")),
    *((b"X_Voter_Token", b"x"), (b"Cookie", b"sessionid=x; csrftoken=y; voter=z"), (b"Host", b"x")),
    *(
        (b"X-HTTP-Method-Override", b"DELETE"),
        (b"If-None-Match", b'"x", W/"y", *'),
        (b"Origin", b"x"),
    ),
    *((b"X-Voter-Code", b"0000-0000-0000-0000"), (b"X-Voter-Code", b"\xff")),
    *((b"X-Voter-Token", b"\xff"), (b"X-Voter-Token", b""), (b"Idempotency-Key", b"short")),
    *(
        (b"If-None-Match", b"\xff"),
        (b"Content-Type", b"text/plain"),
        (b"Accept-Language", b"\xff;q=x"),
    ),
)
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "TRACE", "PROPFIND", "QUERY")


@dataclass(slots=True)
class Pool:
    """What calls may name: ids by the name of the path's parameter, and whoever calls."""

    ids: dict[str, list[str]]
    callers: list[list[Header]]  # headers of each; the first is nobody
    words: Sequence[str] = field(default_factory=tuple)  # good values of texts

    @property
    def nobody(self) -> list[Header]:
        """The headers of whoever has no account."""
        return self.callers[0]


def draw_call(draw: random.Random, operation: Operation, pool: Pool) -> Request:
    """Return a call, mostly with one or a few things wrong."""
    path = operation.path
    for name, ids in pool.ids.items():
        if f"{{{name}}}" in path:
            good = draw.random() < 0.85
            path = path.replace(f"{{{name}}}", draw.choice(ids if good else _JUNK_IDS))
    headers = list(draw.choice(pool.callers))
    body = _body(draw, operation, pool)
    if body is not None and draw.random() < 0.95:
        headers.append(JSON)
    if draw.random() < 0.15:
        headers.append(draw.choice(_HEADS))
    query = draw.choice(_QUERIES) if draw.random() < (0.8 if operation.query else 0.1) else ""
    method = operation.method if draw.random() < 0.96 else draw.choice(_METHODS)
    return Request(method, path, headers, body, query)


def _body(draw: random.Random, operation: Operation, pool: Pool) -> bytes | None:
    if operation.body is None:
        # Fields that nobody asked for, now and then.
        return draw.choice(
            (None, None, None, b"{}", b'{"a":1}', draw_text(draw).encode(errors="replace"))
        )
    match draw.randrange(10):
        case 0:
            return draw_text(draw).encode(errors="replace")
        case 1:
            return mutated(draw, draw_object(draw, operation.body, pool, wrong=0).encode())
        case 2:
            return draw.choice((None, b"", b"\xff", b"[]", b"{}"))
        case number:
            wrong = 0.15 if number > 4 else 0
            return draw_object(draw, operation.body, pool, wrong=wrong).encode(errors="replace")


def draw_object(draw: random.Random, schema: Schema, pool: Pool, *, wrong: float) -> str:
    """Return an object of a schema; each field is of another type as often as `wrong` says."""
    required = schema.get("required", ())
    members = []
    for name, told in schema.get("properties", {}).items():
        if name in required or draw.random() < 0.4:
            members.append((name, draw_of(draw, told, pool, wrong=wrong)))
    if draw.random() < wrong:
        members.append((json.loads(_key(draw)), draw_value(draw)))
    if members and draw.random() < wrong:
        members.pop(draw.randrange(len(members)))
    if members and draw.random() < wrong / 3:
        members.append(draw.choice(members))
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in members) + "}"


def _key(draw: random.Random) -> str:
    return json.dumps(
        draw.choice(("", "id", "owner", "Title", "title ", "__proto__", "seq", "\u00e9"))
    )


def _text(draw: random.Random, schema: Schema, pool: Pool) -> str:
    del schema
    return json.dumps(draw.choice(pool.words)) if draw.random() < 0.7 else draw_string(draw)


def _integer(draw: random.Random, schema: Schema, pool: Pool) -> str:
    del schema, pool
    return str(draw.choice((0, 1, 1, 1, 2, 2, 3, 100, -1, 101, 2**31, 2**63 - 1, -(2**63), 10_001)))


def _boolean(draw: random.Random, schema: Schema, pool: Pool) -> str:
    del schema, pool
    return draw.choice(("false", "false", "true"))


_OF_TYPE: Mapping[str, Callable[[random.Random, Schema, Pool], str]] = {
    "string": _text,
    "integer": _integer,
    "boolean": _boolean,
}


def draw_of(draw: random.Random, schema: Schema, pool: Pool, *, wrong: float) -> str:
    """Return a value of a schema, or of another type as often as `wrong` says."""
    if draw.random() < wrong:
        return draw_value(draw)
    if schema.get("x-nullable") and draw.random() < 0.3:
        return "null"
    if "enum" in schema:
        return json.dumps(draw.choice(schema["enum"]))
    match schema.get("type"):
        case "array":
            number = draw.choice((0, 1, 2, 2, 2, 3, 3, 101))
            items = [draw_of(draw, schema["items"], pool, wrong=wrong) for _ in range(number)]
            return f"[{','.join(items)}]"
        case "object":
            return draw_object(draw, schema, pool, wrong=wrong)
        case kind:
            return _OF_TYPE[str(kind)](draw, schema, pool)
