"""What clients say on sockets, good and bad, and what the protocol says of it."""

import json
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.live.wire import TEXT, masked
from fuzz.junk import draw_deep, draw_text, draw_value, mutated
from fuzz.reading import UnreadableError, read

MOST_BYTES = 4096
MOST_SEQ = 2**63
PING = b'{"type":"ping"}'
POLL, MANY, EVENT = "poll", "many", "event"
# How the protocol ends a socket, by what was said.
MALFORMED, NO_TICKET, TOO_BIG, NOT_UTF8, BAD_PROTOCOL = 4400, 4401, 1009, 1007, 1002

# -- the oracle --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a message asks for: a pong, or one of these ends, or neither."""

    pong: bool = False
    ends: frozenset[int] = frozenset()


_NOTHING = Meaning()


def meaning_of(payload: bytes, kind: str) -> Meaning:
    """Return what a whole text message means on a socket of this kind."""
    if len(payload) > MOST_BYTES:
        return Meaning(ends=frozenset({TOO_BIG}))
    try:
        payload.decode()
    except UnicodeDecodeError:
        return Meaning(ends=frozenset({NOT_UTF8}))
    try:
        frame = read(payload)
    except UnreadableError:
        frame = None
    if not isinstance(frame, dict):
        return Meaning(ends=frozenset({MALFORMED}))
    return _of_frame(frame, kind)


def _of_frame(frame: Mapping[str, Any], kind: str) -> Meaning:
    said = frame.get("type")
    if said == "ping" and len(frame) == 1:
        return Meaning(pong=True)
    if said == "auth" and frame.keys() == {"type", "ticket"} and isinstance(frame["ticket"], str):
        return Meaning(ends=frozenset({NO_TICKET}))  # none of these was ever issued
    polls = frame.get("polls")
    if kind == MANY and frame.keys() == {"type", "polls"} and isinstance(polls, list) and polls:
        if said == "subscribe":
            names = [poll.get("poll") if _is_wanted(poll) else None for poll in polls]
        else:
            names = polls if said == "unsubscribe" else [None]
        if all(is_id(name) for name in names) and len(set(names)) == len(names):
            return _NOTHING
    return Meaning(ends=frozenset({MALFORMED}))


def is_id(value: object) -> bool:
    """Whether this is an id as ids are written."""
    if not isinstance(value, str):
        return False
    try:
        return str(uuid.UUID(value)) == value
    except ValueError:
        return False


def _is_wanted(poll: object) -> bool:
    if not isinstance(poll, dict) or not poll.keys() <= {"poll", "since", "view"}:
        return False
    since = poll.get("since", 0)
    return type(since) is int and 0 <= since <= MOST_SEQ and poll.get("view", "status") == "status"


# -- queries -----------------------------------------------------------------------------------

GOOD_QUERIES = ("", "since=0", "since=1", "since=007", "view=status", "since=3&view=status")
BAD_QUERIES = (
    *("since=", "since=-1", "since=1.0", "since=%D9%A1", "since=1&since=1", "since=" + "9" * 400),
    *("view=", "view=results", "view=status&view=status", "x=1", "since=1&x", "Since=1", "=1"),
    *("since=%00", "since=1e3", "since=+1", "ticket=x", "since=0x1", "since=1_0", "view=STATUS"),
)


def draw_query(draw: random.Random, kind: str) -> tuple[str, bool]:
    """Return a query, and whether a socket of this kind takes it."""
    if draw.random() < 0.15:
        return draw.choice(BAD_QUERIES), False
    query = draw.choice(GOOD_QUERIES) if draw.random() < 0.4 else ""
    taken = {POLL: True, MANY: not query, EVENT: "since" not in query}
    return query, taken[kind]


# -- messages ----------------------------------------------------------------------------------


def draw_message(draw: random.Random, ids: Sequence[str]) -> bytes:
    """Return a text message; most of them end a socket."""
    shape = draw.choices([one for _, one in _MESSAGES], [weight for weight, _ in _MESSAGES])[0]
    return shape(draw, ids)


def _ping(draw: random.Random, ids: Sequence[str]) -> bytes:
    del ids
    return draw.choice(
        (PING, PING, b' {"type" :\n"ping"}', b'{"t\\u0079pe":"ping"}', PING.ljust(4096))
    )


def _auth(draw: random.Random, ids: Sequence[str]) -> bytes:
    del ids
    ticket = draw.choice(("x", "", "A" * 43, "\u00e9", "x" * 3000, "%00", "' OR 1=1"))
    return json.dumps({"type": "auth", "ticket": ticket}).encode()


def _id(draw: random.Random, ids: Sequence[str]) -> object:
    known = draw.choice(ids)
    return draw.choice(
        (
            *(known, known, known, known, str(uuid.UUID(int=draw.getrandbits(128), version=4))),
            *(
                known.upper(),
                f"{{{known}}}",
                known.replace("-", ""),
                "",
                None,
                5,
                [known],
                "x" * 40,
            ),
        )
    )


def _subscribe(draw: random.Random, ids: Sequence[str]) -> bytes:
    """Ask for some polls, mostly with something strange about one of them."""
    polls: list[Any] = []
    for name in draw.sample(ids, draw.randrange(1, len(ids) + 1)):
        wanted: dict[str, Any] = {"poll": name if draw.random() < 0.9 else _id(draw, ids)}
        if draw.random() < 0.3:
            wanted["since"] = draw.choice((0, 1, 5, 2**63, 2**63 - 1, -1, True, "1", 1.5, None))
        if draw.random() < 0.2:
            wanted["view"] = draw.choice(("status", "status", "results", "", None, 1))
        if draw.random() < 0.05:
            wanted["x"] = 1
        polls.append(wanted if draw.random() < 0.95 else draw.choice((None, name, [], 1)))
    return json.dumps({"type": "subscribe", "polls": polls}).encode()


def _unsubscribe(draw: random.Random, ids: Sequence[str]) -> bytes:
    names = [_id(draw, ids) for _ in range(draw.randrange(4))]
    return json.dumps({"type": "unsubscribe", "polls": names}).encode()


def _strange(draw: random.Random, ids: Sequence[str]) -> bytes:
    """Return a frame with a field of any kind."""
    del ids
    name = draw.choice(("type", "type", "ticket", "polls", "poll", "id", ""))
    kind = draw.choice(("ping", "auth", "subscribe", "vote", "snapshot", "PING", ""))
    text = f'{{"type":{json.dumps(kind)},{json.dumps(name)}:{draw_value(draw)}}}'
    return text.encode("utf-8", "surrogatepass")[: 2 * MOST_BYTES]


def _text(draw: random.Random, ids: Sequence[str]) -> bytes:
    del ids
    return draw_text(draw).encode("utf-8", "surrogatepass")[: 3 * MOST_BYTES]


def _deep(draw: random.Random, ids: Sequence[str]) -> bytes:
    del ids
    return draw_deep(draw).encode()[: 2 * MOST_BYTES]


def _changed(draw: random.Random, ids: Sequence[str]) -> bytes:
    return mutated(draw, draw.choice((_ping, _subscribe, _auth))(draw, ids))[: 2 * MOST_BYTES]


def _too_long(draw: random.Random, ids: Sequence[str]) -> bytes:
    return _ping(draw, ids).ljust(draw.choice((MOST_BYTES + 1, 3 * MOST_BYTES)))


_MESSAGES: Sequence[tuple[int, Callable[[random.Random, Sequence[str]], bytes]]] = (
    *((30, _ping), (12, _auth), (30, _subscribe), (12, _unsubscribe), (30, _strange)),
    *((20, _text), (8, _deep), (25, _changed), (5, _too_long)),
)


# -- what goes over the wire -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent:
    """One input: bytes on the connection, and what they mean."""

    data: bytes
    meaning: Meaning


def draw_frames(draw: random.Random, kind: str, ids: Sequence[str]) -> Sent:
    """Return a message as it goes over the wire: mostly whole, in one frame of text."""
    payload = draw_message(draw, ids)
    chance = draw.random()
    if chance < 0.8:
        return Sent(masked(TEXT, payload), meaning_of(payload, kind))
    if chance < 0.88:
        ends = {TOO_BIG} if len(payload) > MOST_BYTES else {MALFORMED}
        return Sent(masked(0x82, payload), Meaning(ends=frozenset(ends)))
    if chance < 0.94:
        at = draw.randrange(len(payload) + 1)
        parts = masked(0x01, payload[:at]) + masked(0x80, payload[at:])
        return Sent(parts, meaning_of(payload, kind))
    return Sent(_broken(draw, payload), Meaning(ends=frozenset({BAD_PROTOCOL})))


def _broken(draw: random.Random, payload: bytes) -> bytes:
    """Return a frame that breaks RFC 6455."""
    short = payload[:60]
    return draw.choice(
        (
            bytes((TEXT, len(short))) + short,  # not masked
            masked(0xC1, short),  # a reserved bit
            masked(0x83, short),  # a reserved opcode
            masked(0x8B, short),
            masked(0x80, short),  # the end of nothing
            masked(0x09, short),  # a ping in parts
            masked(0x89, b"x" * 126),  # a long ping
            masked(0x88, b"x"),  # half a close code
            masked(0x88, b"\x03\xed"),  # 1005, which nobody may send
            masked(0x01, short) + masked(TEXT, short),  # one message within another
        )
    )
