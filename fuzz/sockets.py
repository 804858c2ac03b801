"""Frames of every kind on all sockets: how they end, what they show, and what they leave behind."""

import asyncio
import contextlib
import json
import random
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import psutil

from benchmarks.live.wire import CLOSE, TEXT, is_accepted, masked, request, split
from fuzz.frames import (
    BAD_PROTOCOL,
    EVENT,
    MALFORMED,
    MANY,
    NOT_UTF8,
    PING,
    POLL,
    TOO_BIG,
    Meaning,
    Sent,
    draw_frames,
    draw_query,
)
from fuzz.report import Report, dice
from fuzz.scenes import Site

LANES = 192  # a poll is read less than twice a second for whoever joins, so most of them wait
_STRETCH = 60  # sockets of one draw
_MOST_FRAMES = 8
_PATIENCE = 10.0  # seconds; nothing that is asked here takes one
_FLOOD = 130  # messages; a hundred within ten seconds are the limit
_TOO_MANY, _GONE = 4429, 4404
_AT_ONCE = {BAD_PROTOCOL, NOT_UTF8, TOO_BIG}
_LINGER = struct.pack("ii", 1, 0)  # reset at the end: no port waits for a minute
_COUNTS = {"snapshot", "tally", "closed"}


@dataclass(slots=True)
class Stage:
    """Polls and an event to follow; those that are hidden must show no number."""

    paths: dict[str, list[str]]  # by the kind of socket
    ids: list[str]
    hidden: set[str]
    codes: set[int]  # that the protocol documents
    types: dict[str, set[str]]  # of the server's frames, by kind

    @classmethod
    async def made(cls, site: Site) -> "Stage":
        """Return a new stage."""
        owner = (await site.organiser()).owner
        shapes = ("single", "two to three of five", "the owner's alone", "scheduled", "draft")
        polls = [await site.poll(owner, shape) for shape in shapes]
        ids = [poll["id"] for poll in polls]
        body = {"title": "Fuzz", "polls": ids[:3], "current": ids[0]}
        event = await site.call("POST", "/api/v1/events/", body, owner)
        hidden_event = await site.call("POST", "/api/v1/events/", {"title": "Fuzz"}, owner)
        told = await site.call("GET", "/asyncapi.json")
        nowhere = "00000000-0000-7000-8000-000000000000"
        return cls(
            paths={
                POLL: [*(f"/ws/polls/{one}/" for one in [*ids, nowhere]), "/ws/polls/x/", "/ws/x/"],
                MANY: ["/ws/"],
                EVENT: [f"/ws/events/{one}/" for one in (event["id"], hidden_event["id"], nowhere)],
            },
            ids=[*ids, nowhere],
            hidden=set(ids[1:3]) | {ids[4]},
            codes={one["code"] for one in told["x-close-codes"]} - {1011},
            types={
                kind: set(told["channels"][name]["messages"])
                for kind, name in ((POLL, "poll"), (MANY, "polls"), (EVENT, "event"))
            },
        )


@dataclass(slots=True)
class Ended:
    """What a socket was told until it was over."""

    frames: list[dict[str, Any]] = field(default_factory=list)
    code: int | None = None  # None where it was still open at the end
    status: int = 101


class Client:
    """One socket as bytes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._rest = b""

    async def __aenter__(self) -> Self:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave at once."""
        self._writer.transport.abort()
        await asyncio.sleep(0)

    async def open(self, path: str) -> bool:
        """Shake hands; return whether the server took it."""
        self.say(request(path, self._port))
        head = await self._reader.readuntil(b"\r\n\r\n")
        return is_accepted(head)

    def say(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)

    async def until(self, told: Ended, pongs: int, *, over: bool) -> None:
        """Listen until so many pongs have come, or where it must be over until it is closed."""
        with contextlib.suppress(ConnectionError):
            while told.code is None:
                heard = sum(frame.get("type") == "pong" for frame in told.frames)
                if not over and heard >= pongs:
                    return
                data = await self._reader.read(65_536)
                if not data:
                    break
                self._take(told, data)
        told.code = told.code or (None if not over else 1006)

    def _take(self, told: Ended, data: bytes) -> None:
        found, self._rest = split(self._rest + data)
        for first, payload in found:
            if first == TEXT:
                told.frames.append(json.loads(payload))
            elif first == CLOSE:
                told.code = int.from_bytes(payload[:2], "big") if payload else 1005
                self.say(masked(CLOSE, payload[:2]))


@dataclass(slots=True)
class Talk:
    """One socket: where it goes, what is said, and how it must end."""

    kind: str
    path: str
    query_is_good: bool
    sent: list[Sent]

    @classmethod
    def drawn(cls, draw: random.Random, stage: Stage) -> "Talk":
        """Return one of any kind."""
        kind = draw.choice((POLL, MANY, MANY, EVENT))
        query, good = draw_query(draw, kind)
        path = draw.choice(stage.paths[kind]) + (f"?{query}" if query else "")
        if draw.random() < 0.01:
            return cls(kind, path, good, [Sent(masked(TEXT, PING), Meaning(pong=True))] * _FLOOD)
        number = draw.randrange(1, _MOST_FRAMES)
        return cls(kind, path, good, [draw_frames(draw, kind, stage.ids) for _ in range(number)])

    def expected(self) -> tuple[int, set[int], int]:
        """Return how many pongs must come, how it may end, and how many inputs are read."""
        pongs = 0
        if not self.query_is_good:
            return 0, {MALFORMED}, 1
        for number, one in enumerate(self.sent, 1):
            if number > 100:
                return pongs, {_TOO_MANY}, number
            if one.meaning.ends:
                return pongs, set(one.meaning.ends), number
            pongs += one.meaning.pong
        return pongs, set(), len(self.sent)


async def talk(port: int, stage: Stage, one: Talk, report: Report) -> None:
    """Hold one talk, and what the server says to it."""
    pongs, ends, read = one.expected()
    told = Ended()
    shown = f"{one.path} {[sent.data[:300] for sent in one.sent[:read]]!r}"
    try:
        async with asyncio.timeout(_PATIENCE), Client(port) as client:
            if not await client.open(one.path):
                report.find("no handshake", shown)
                return
            for sent in one.sent[:read]:
                client.say(sent.data)
            if not ends:
                client.say(masked(TEXT, PING))
            await client.until(told, pongs + (not ends), over=bool(ends))
    except TimeoutError:
        report.find("stands still", f"{shown} -> {told}")
        return
    except (OSError, EOFError) as error:
        report.find("lost", f"{shown}: {error!r}")
        return
    what = f"socket ended by {told.code}" if told.code else "frame taken"
    report.answered(what, read)
    for fault in faults(stage, one, told):
        report.find(fault, f"{shown} -> {told}")


def faults(stage: Stage, one: Talk, told: Ended) -> list[str]:
    """Return what is wrong with what a socket was told, and how it ended."""
    pongs, ends, _ = one.expected()
    found = []
    if told.code is not None and told.code not in stage.codes:
        found.append(f"closed with {told.code}")
    # A poll that is not there, or a path that is none, may end the socket before anything is read.
    may = ends | {_GONE} if one.kind != MANY else ends
    if told.code is not None and told.code not in may:
        found.append(f"closed with {told.code}, not {sorted(ends)}")
    heard = sum(frame["type"] == "pong" for frame in told.frames)
    # What breaks the protocol itself is met before the messages that came with it are.
    if told.code != _GONE and not ends & _AT_ONCE and heard != pongs + (not ends):
        found.append("another number of pongs")
    known = stage.types[one.kind]
    for frame in told.frames:
        if frame["type"] not in known:
            found.append(f"a frame that is not documented: {frame['type']}")
        if frame["type"] in _COUNTS and frame["poll"] in stage.hidden:
            found.append("a hidden count was shown")
        if frame["type"] not in _COUNTS and {"ballots", "options"} & frame.keys():
            found.append("a count in a frame that has none")
    return found


async def healthy(port: int, stage: Stage, report: Report) -> None:
    """Hold that somebody else is still told the count, and answered."""
    told = Ended()
    try:
        async with asyncio.timeout(_PATIENCE), Client(port) as client:
            taken = await client.open(stage.paths[POLL][0])
            client.say(masked(TEXT, PING))
            await client.until(told, 1, over=False)
    except (TimeoutError, OSError, EOFError) as error:
        report.find("a healthy socket is not served", repr(error))
        return
    if not taken or [frame["type"] for frame in told.frames][-1:] != ["pong"]:
        report.find("a healthy socket is not served", repr(told))


def connections(pids: Sequence[int], port: int) -> int:
    """Return how many connections of clients these processes hold."""
    return sum(
        one.status == psutil.CONN_ESTABLISHED and one.laddr.port == port
        for pid in pids
        for one in psutil.Process(pid).net_connections("tcp")
    )


async def run(port: int, pids: Sequence[int], *, seed: object, inputs: int) -> Report:
    """Say about so many frames."""
    report = Report("sockets")
    async with Site(port) as site:
        stage = await Stage.made(site)
    await asyncio.sleep(0.5)
    before = connections(pids, port)
    stretches = iter(range(inputs))

    async def lane() -> None:
        for number in stretches:
            if report.inputs >= inputs:
                return
            draw = dice(f"{seed} sockets {number}")
            for _ in range(min(_STRETCH, inputs)):
                await talk(port, stage, Talk.drawn(draw, stage), report)
            await healthy(port, stage, report)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(LANES, max(1, inputs // _STRETCH))):
            group.create_task(lane())
    until = time.monotonic() + _PATIENCE
    while (left := connections(pids, port)) > before and time.monotonic() < until:  # noqa: ASYNC110 - the service's
        await asyncio.sleep(0.2)
    if left > before:
        report.find("connections are left", f"{left}, {before} before")
    return report.end()
