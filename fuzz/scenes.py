"""Situations to vote in: a few polls of every kind, made twice alike, one for each door.

What one request says by names, `<poll>`, `<0>`, `<t0>`, stands for other ids in each of the two.
"""

import asyncio
import json
import random
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from fuzz.overload import ask
from fuzz.report import Report
from fuzz.wire import Line, Request
from fuzz.world import Poll, World

_NAME = re.compile(rb"<([A-Za-z]*\d*)>")
_AHEAD = "2090-01-01T00:00:00Z"
_CERTIFIED_SECONDS = 20
VOTERS, KEYS, CODES = 6, 5, 6
NETWORKS = ("here", "there", "flat", "room")  # the last two are one network
# The service trusts our X-Forwarded-For: every half has networks of its own, so that neither caps
# nor the limits of wrong codes reach from one into another.
BEHIND_PROXY = {"TRUSTED_PROXIES": "127.0.0.1"}

# What is particular about each poll; the rest are the contract's defaults.
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "single": {},
    "two to three of five": {
        "kind": "multiple",
        "min_selections": 2,
        "max_selections": 3,
        "results_visibility": "after_vote",
    },
    "approval of nobody in particular": {"kind": "approval", "identity": "open"},
    "single of nobody in particular": {"identity": "open", "results_visibility": "owner"},
    "accounts": {"kind": "multiple", "identity": "account"},
    "the owner's alone": {"kind": "multiple", "results_visibility": "owner"},
    "closing": {"kind": "approval"},
    "shown after closing": {"results_visibility": "after_close"},
    "changing": {"allow_change": True},
    "changing, closing": {
        "kind": "multiple",
        "allow_change": True,
        "results_visibility": "after_vote",
    },
    "changing accounts": {"identity": "account", "allow_change": True},
    "codes": {"identity": "code"},
    "codes, closing": {"identity": "code", "kind": "multiple", "results_visibility": "after_vote"},
    "changing codes": {"identity": "code", "allow_change": True, "kind": "approval"},
    "capped": {"network_cap": 2, "results_visibility": "after_vote"},
    "changing, capped": {"network_cap": 1, "allow_change": True},
    "secret": {"secrecy": "secret", "kind": "approval"},
    "secret, closing": {"secrecy": "secret"},
    "secret of nobody in particular": {"secrecy": "secret", "identity": "open"},
    "secret codes": {"secrecy": "secret", "identity": "code"},
    "scheduled": {"opens_at": _AHEAD},
    "draft": {"status": "draft"},
    "deleted": {},
}
OPTIONS = {"two to three of five": 5, "approval of nobody in particular": 4}
_DEFAULT_OPTIONS = 3
CLOSING = (
    *("closing", "shown after closing", "changing, closing", "codes, closing"),
    "secret, closing",
)
DELETED = ("deleted",)


class SceneError(Exception):
    """A situation could not be made; the message is the answer."""


@dataclass(slots=True)
class Organiser:
    """Accounts that all scenes of a run share: making one takes long on purpose."""

    owner: str  # bearer tokens
    others: list[str]
    password: str
    names: dict[bytes, str]  # usernames by token


@dataclass(slots=True)
class Half:
    """One of two equal situations."""

    world: World
    names: dict[str, dict[bytes, bytes]] = field(default_factory=dict)  # by shape

    def fill(self, request: Request, shape: str) -> Request:
        """Return a request with this half's ids in the place of names."""
        names = self.names[shape]

        def filled(text: bytes) -> bytes:
            return _NAME.sub(lambda found: names.get(found[1], found[0]), text)

        return Request(
            request.method,
            filled(request.path.encode()).decode(),
            [(name, filled(value)) for name, value in request.headers],
            None if request.body is None else filled(request.body),
            request.query,
            request.chunks,
        )

    def named(self, text: bytes, shape: str) -> bytes:
        """Return a text with names in the place of this half's ids."""
        values = sorted(self.names[shape].items(), key=lambda item: -len(item[1]))
        for name, value in values:
            if len(value) > 30:
                text = text.replace(value, b"<" + name + b">")
        return text


class Site:
    """A service that a run talks to, as its organiser."""

    def __init__(self, port: int, report: Report | None = None) -> None:
        self.port = port
        self._report = report
        self.host = f"127.0.0.1:{port}"
        self._line = Line(port)
        self._busy = asyncio.Lock()

    async def call(self, method: str, path: str, body: object = None, token: str = "") -> Any:  # noqa: ANN401 - JSON
        """Make a request that must succeed, and return what it answers."""
        headers = [(b"Content-Type", b"application/json")]
        if token:
            headers.append((b"Authorization", f"Bearer {token}".encode()))
        data = None if body is None else json.dumps(body).encode()
        async with self._busy:
            sent = Request(method, path, headers, data).encoded(self.host)
            answer = await ask(self._line, sent, method, self._report)
        if answer.status >= 300:
            raise SceneError(f"{method} {path}: {answer.status} {answer.body!r}")
        return json.loads(answer.body) if answer.body else None

    async def organiser(self) -> Organiser:
        """Return new accounts: an owner of polls, and a few others."""
        tokens, names, password = [], {}, uuid.uuid4().hex
        for _ in range(4):
            name = f"clerk-{uuid.uuid4().hex[:12]}"
            account = {"username": name, "password": password}
            await self.call("POST", "/api/v1/auth/register/", account)
            token = (await self.call("POST", "/api/v1/auth/tokens/", account))["token"]
            tokens.append(token)
            names[token.encode()] = name
        return Organiser(tokens[0], tokens[1:], password, names)

    async def voter(self) -> bytes:
        """Return a new voter's token."""
        token: str = (await self.call("POST", "/api/v1/voters/"))["token"]
        return token.encode()

    async def poll(self, owner: str, shape: str) -> dict[str, Any]:
        """Return a new poll of this shape, as it reads."""
        number = OPTIONS.get(shape, _DEFAULT_OPTIONS)
        texts = [{"text": f"Option {place}"} for place in range(number)]
        body = {"title": f"Fuzz: {shape}", "options": texts, **SHAPES[shape]}
        made: dict[str, Any] = await self.call("POST", "/api/v1/polls/", body, owner)
        return made

    async def codes(self, owner: str, poll: str) -> list[str]:
        """Return new codes of a poll."""
        path = f"/api/v1/polls/{poll}/codes/"
        made: list[str] = (await self.call("POST", path, {"count": CODES}, owner))["codes"]
        return made

    async def __aenter__(self) -> Self:
        """Be its organiser until the end of the block."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """End its connection."""
        await self._line.end()


class Scene:
    """Two equal halves, and the changes that come to both alike."""

    def __init__(self, site: Site, organiser: Organiser, halves: list[Half]) -> None:
        self.site, self.organiser, self.halves = site, organiser, halves
        self.shapes = list(halves[0].names)

    @classmethod
    async def made(
        cls, site: Site, organiser: Organiser, draw: random.Random, shapes: list[str] | None = None
    ) -> "Scene":
        """Return a new scene with polls of these shapes, or of all."""
        keys = {b"k%d" % n: b"fuzz-%032x" % draw.getrandbits(128) for n in range(KEYS)}
        stranger = await site.poll(organiser.owner, "single")
        other = stranger["options"][0]["id"].encode()
        accounts = [organiser.owner, *organiser.others]
        known = {b"a%d" % n: token.encode() for n, token in enumerate(accounts)}
        halves = []
        for _ in range(2):
            world = World(site.host, accounts=organiser.names)
            tokens = {b"t%d" % n: await site.voter() for n in range(VOTERS)}
            world.devices.update(tokens.values())
            half = Half(world)
            addresses, world.networks = _networks()
            common = {**keys, **known, **tokens, **addresses, b"other": other}
            common |= {b"host": site.host.encode(), b"unknown": uuid.uuid4().hex[:16].encode()}
            for shape in shapes or SHAPES:
                read_as = await site.poll(organiser.owner, shape)
                world.polls[read_as["id"]] = poll = Poll.of(read_as)
                half.names[shape] = common | _names_of(read_as)
                if poll.identity == "code":
                    codes = await site.codes(organiser.owner, poll.id)
                    poll.codes = {code.replace("-", "") for code in codes}
                    half.names[shape] |= _names_of_codes(codes)
            halves.append(half)
        return cls(site, organiser, halves)

    def polls(self, shape: str) -> list[Poll]:
        """Return both polls of a shape, without those that are gone."""
        ids = [half.names[shape][b"poll"].decode() for half in self.halves]
        worlds = [half.world for half in self.halves]
        return [w.polls[i] for w, i in zip(worlds, ids, strict=True) if i in w.polls]

    async def turn(self) -> None:
        """Close and delete the polls that are made for it, in both halves."""
        for shape in self.shapes:
            for poll in self.polls(shape):
                path = f"/api/v1/polls/{poll.id}/"
                if shape in CLOSING:
                    await self.site.call("POST", f"{path}close/", token=self.organiser.owner)
                    poll.status = "closed"
                elif shape in DELETED:
                    await self.site.call("DELETE", path, token=self.organiser.owner)
                    for half in self.halves:
                        half.world.polls.pop(poll.id, None)
        for shape in CLOSING:
            for poll in self.polls(shape) if shape in self.shapes else []:
                await self._until_certified(poll)

    async def _until_certified(self, poll: Poll) -> None:
        """Wait: certifying raises seq, which replays tell."""
        path = f"/api/v1/polls/{poll.id}/results/"
        async with asyncio.timeout(_CERTIFIED_SECONDS):
            while True:
                found = await self.site.call("GET", path, token=self.organiser.owner)
                if found["certified_at"]:
                    return
                await asyncio.sleep(0.1)


def _networks() -> tuple[dict[bytes, bytes], dict[bytes, str]]:
    """Return addresses that nobody else comes from, by name, and the networks of those in one."""
    digits = uuid.uuid4()
    here, there, home = (f"{digits.int >> shift & 0xFFFFFF:06x}" for shift in (0, 24, 96))
    flat, room = (f"2001:db8:{home[:2]}:{home[2:]}::{host}".encode() for host in ("1", "a:b:c:d"))
    addresses = {
        b"here": ".".join(str(part) for part in (10, *bytes.fromhex(here))).encode(),
        b"there": ".".join(str(part) for part in (11, *bytes.fromhex(there))).encode(),
        b"flat": flat,
        b"room": room.replace(b"::", b":"),
    }
    return addresses, {addresses[b"flat"]: home, addresses[b"room"]: home}


def _names_of_codes(codes: list[str]) -> dict[bytes, bytes]:
    """Return codes as they were given, typed without care, and misread from paper."""
    names = {}
    for place, code in enumerate(codes):
        names[b"c%d" % place] = code.encode()
        names[b"typedc%d" % place] = code.lower().replace("-", "").encode()
        misread = code.replace("0", "o").replace("1", "Il"[place % 2]).replace("-", " ")
        names[b"misreadc%d" % place] = misread.encode()
    return names


def _names_of(poll: Mapping[str, Any]) -> dict[bytes, bytes]:
    options = [option["id"].encode() for option in poll["options"]]
    return {
        b"poll": poll["id"].encode(),
        **{b"%d" % place: option for place, option in enumerate(options)},
        **{b"UPPER%d" % place: option.upper() for place, option in enumerate(options)},
    }
