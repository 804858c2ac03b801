"""An election on a running service, over real HTTP and WebSockets, from the poll to the count."""

import asyncio
import contextlib
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import psutil

from benchmarks.outcome import Dashboard, Outcome

T = TypeVar("T")

CONNECTIONS = 64
SHARE_RETRIED = SHARE_DOUBLED = 0.02
PROGRESS_SECONDS = 2
SETTLE_SECONDS = 15  # for the last frame; the service promises 6 even after a disturbance
_TRIES = 10  # how often one ballot is sent at most, where the answer is 503


class DemoFailedError(Exception):
    """The election could not be held; the message says at which call."""


@dataclass
class Ballot:
    """What one voter does."""

    token: str
    choices: list[str]
    spoilt: bool = False
    retried: bool = False
    doubled: bool = False
    sent_again: bool = False
    key: str = field(default_factory=lambda: uuid.uuid4().hex)


def say(line: str) -> None:
    """Print a line now, also into a pipe."""
    print(line, flush=True)


async def at_once(
    items: Iterable[T], work: Callable[[T], Awaitable[None]], progress: Callable[[], str]
) -> None:
    """Do the work for all items, so many at a time as there are connections."""
    left = iter(items)

    async def worker() -> None:
        for item in left:
            await work(item)

    async def report() -> None:
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            say(f"  {progress()}")

    reporting = asyncio.create_task(report())
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(CONNECTIONS):
                group.create_task(worker())
    except ExceptionGroup as group_error:
        raise group_error.exceptions[0] from None  # one failure ends all; it says enough
    finally:
        reporting.cancel()
    say(f"  {progress()}")


class Election:
    """One poll, its voters and its dashboards; `outcome` is what came of it."""

    def __init__(self, url: str, figures: dict[str, int], *, spoilt: int, seed: int) -> None:
        self._url = url
        self._figures = figures
        self._random = random.Random(seed)  # noqa: S311 - the same order each time
        self._poll: dict[str, Any] = {}
        self._owner: dict[str, str] = {}
        self._ballots: list[Ballot] = []
        self.outcome = Outcome(spoilt=spoilt)

    async def hold(self, dashboards: int) -> None:
        """Hold the election."""
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
            cookie_jar=aiohttp.DummyCookieJar(),  # a kept cookie would make all one voter
            timeout=aiohttp.ClientTimeout(total=60),
        ) as self._http:
            await self._make_poll()
            await self._draw_voters()
            async with self._dashboards(dashboards):
                await self._vote()
                await self._settle()

    async def _call(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        url = self._url + path
        async with self._http.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def _must(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        status, found = await self._call(method, path, body, headers)
        if status not in {200, 201}:
            raise DemoFailedError(f"{method} {path} answered {status}: {found}")
        return found

    # -- before the vote ---------------------------------------------------------------------

    async def _make_poll(self) -> None:
        account = {"username": f"clerk-{uuid.uuid4().hex[:12]}", "password": uuid.uuid4().hex}
        await self._must("POST", "/api/v1/auth/register/", account)
        token = (await self._must("POST", "/api/v1/auth/tokens/", account))["token"]
        self._owner = {"Authorization": f"Bearer {token}"}
        definition = {
            "title": "Mayor of Burlington, 3 March 2009: first choices",
            "options": [{"text": name} for name in self._figures],
            "kind": "single",
            "identity": "device",
        }
        self._poll = await self._must("POST", "/api/v1/polls/", definition, self._owner)
        self.outcome.expected = {
            option["id"]: self._figures[option["text"]] for option in self._poll["options"]
        }
        say(f"The poll: {self._url}{self._poll['links']['page']}")

    async def _draw_voters(self) -> None:
        """Get every voter a token, and draw who comes when and who tries what."""
        options = self.outcome.expected
        choices = [[option] for option, votes in options.items() for _ in range(votes)]
        self._ballots = [Ballot("", choice) for choice in choices]
        retried = max(1, round(len(choices) * SHARE_RETRIED))
        doubled = max(1, round(len(choices) * SHARE_DOUBLED))
        for ballot in self._random.sample(self._ballots, retried):
            ballot.retried = True
        for ballot in self._random.sample(self._ballots, doubled):
            ballot.doubled = True
        overvote = list(options)[:2]
        self._ballots += [Ballot("", overvote, spoilt=True) for _ in range(self.outcome.spoilt)]
        self._random.shuffle(self._ballots)
        self.outcome.retries, self.outcome.doubles = retried, doubled
        issued: set[str] = set()

        async def issue(ballot: Ballot) -> None:
            ballot.token = (await self._must("POST", "/api/v1/voters/"))["token"]
            issued.add(ballot.token)

        await at_once(self._ballots, issue, lambda: f"voters with a token: {len(issued):,}")

    @contextlib.asynccontextmanager
    async def _dashboards(self, count: int) -> AsyncIterator[None]:
        """Have so many dashboards listen meanwhile."""
        found = self.outcome.dashboards
        listening: list[asyncio.Task[None]] = []
        url = self._url.replace("http", "ws", 1) + self._poll["links"]["live"]

        async def connect(_: int) -> None:
            socket = await session.ws_connect(url)
            found.append(Dashboard(socket.get_extra_info("sockname")[1]))
            listening.append(asyncio.create_task(found[-1].listen(socket)))

        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            await at_once(range(count), connect, lambda: f"dashboards: {len(found)}")
            say(f"  {_spread(self._url, {dashboard.port for dashboard in found})}")
            yield
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)

    # -- the vote ----------------------------------------------------------------------------

    async def _vote(self) -> None:
        acknowledged = self.outcome.acknowledged
        await at_once(
            self._ballots, self._act, lambda: f"votes acknowledged: {len(acknowledged):,}"
        )

    async def _act(self, ballot: Ballot) -> None:
        """Do what this voter does, one thing after the other."""
        outcome = self.outcome
        status, answer = await self._cast(ballot, ballot.choices, ballot.key)
        if ballot.spoilt:
            outcome.spoilt_refused += self._is(status, answer, 400, "invalid_ballot", "overvote")
            return
        # After a 503 the ballot may have been counted already.
        counted = 200 if ballot.sent_again and status == 200 else 201  # noqa: PLR2004 - HTTP
        if not self._is(status, answer, counted, None, "vote"):
            return
        outcome.acknowledged.append((time.monotonic(), answer["seq"]))
        outcome.receipts.add(answer["receipt"])
        if ballot.retried:
            status, again = await self._cast(ballot, ballot.choices, ballot.key)
            if self._is(status, again, 200, None, "retry"):
                outcome.retries_answered += again["receipt"] == answer["receipt"]
        if ballot.doubled:
            other = next(option for option in outcome.expected if option not in ballot.choices)
            status, again = await self._cast(ballot, [other], uuid.uuid4().hex)
            outcome.doubles_refused += self._is(status, again, 409, "already_voted", "second vote")

    async def _cast(
        self, ballot: Ballot, choices: list[str], key: str
    ) -> tuple[int, dict[str, Any]]:
        """Send a ballot; after a 503 send it again with the same key, as a client should."""
        path, headers = (
            self._poll["links"]["vote"],
            {"X-Voter-Token": ballot.token, "Idempotency-Key": key},
        )
        for _ in range(_TRIES):
            status, answer = await self._call("POST", path, {"choices": choices}, headers)
            if status != 503:  # noqa: PLR2004 - come back later
                break
            ballot.sent_again = True
            self.outcome.sent_again += 1
            await asyncio.sleep(self._random.uniform(0.5, 1.5))
        return status, answer

    def _is(
        self, status: int, answer: dict[str, Any], expected: int, code: str | None, what: str
    ) -> bool:
        """Whether an answer is the one that must come; any other is noted."""
        if (status, answer.get("code")) == (expected, code):
            return True
        said = f"{what} answered {status} {answer.get('code', '')}".rstrip()
        self.outcome.unexpected[said] += 1
        return False

    async def _settle(self) -> None:
        """Read the count, and wait until every dashboard shows it or the time is over."""
        outcome, links = self.outcome, self._poll["links"]
        path = f"{links['self']}integrity/"
        outcome.integrity = await self._must("GET", path, headers=self._owner)
        outcome.results = await self._must("GET", links["results"])
        seq = outcome.results["seq"]
        until = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < until:
            if all(dashboard.last.get("seq") == seq for dashboard in outcome.dashboards):
                return
            await asyncio.sleep(0.05)


def _spread(url: str, ports: set[int]) -> str:
    """Return how many of our connections each process of a local service holds."""
    unseen = "the service's processes cannot be seen from here"
    found: Counter[int] = Counter()
    pairs = {(urlsplit(url).port, port) for port in ports}
    try:
        for connection in psutil.net_connections("tcp"):
            ends: Any = connection.laddr, connection.raddr
            if connection.pid and all(ends) and (ends[0][1], ends[1][1]) in pairs:
                found[connection.pid] += 1
    except psutil.AccessDenied:
        return unseen
    if found.total() != len(ports):
        return unseen
    held = ", ".join(f"process {pid} holds {count}" for pid, count in sorted(found.items()))
    return f"of the dashboards, {held}"
