"""The load generator: ready-made requests over kept connections, from one process of its own.

`python -m benchmarks.load` takes a job as JSON on stdin and prints a report as JSON. It parses no
more of an answer than where it ends, so that it is never what a run measures.
"""

import asyncio
import itertools
import json
import os
import re
import secrets
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import cast

import uvloop

DRAIN_SECONDS = 15.0  # for the answers that are outstanding when the time is over
VOTERS_A_SECOND = 25_000  # more than any contender takes
_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_SEQ = re.compile(rb'"seq":(\d+)')


@dataclass(slots=True)
class Job:
    """What to send, and how hard."""

    port: int
    # Each is [before, after]: what makes the request unique goes between. Sent in turn.
    requests: list[tuple[str, str]]
    unique: str = "key"  # key, device (a voter token and a key), code, or none
    secret: str = ""  # the service's SECRET_KEY, for voter tokens
    expect: int = 201
    connections: int = 64
    seconds: float = 5.0
    warm: float = 1.0  # sent and checked, not measured
    rate: float | None = None  # requests a second; None: each connection sends when answered
    core: int | None = None
    notes: bool = False  # whether the report names each vote that was measured


@dataclass(slots=True)
class Report:
    """What came of it."""

    answered: int = 0  # all that came as expected, warm-up and drain included
    measured: int = 0
    seconds: float = 0.0
    p50: float = 0.0  # milliseconds
    p99: float = 0.0
    longest: float = 0.0
    cpu: float = 0.0  # of one core
    errors: dict[str, int] = field(default_factory=dict)
    # Each vote that was measured, where they are noted: when it was due, when it was answered (by
    # the clock that all processes of a machine share), and its seq.
    votes: list[tuple[float, float, int]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.measured / self.seconds if self.seconds else 0.0


def voting_codes() -> Iterator[str]:
    """Yield the codes that a poll's voters have, one after another."""
    return (f"{number:016}" for number in itertools.count())


def _uniques(job: Job) -> Iterator[bytes]:
    """Yield what makes each request unique."""
    if job.unique == "none":
        return itertools.repeat(b"")
    if job.unique == "code":
        return (code.encode() for code in voting_codes())
    run = secrets.token_hex(8)
    keys = (f"{run}{number:010x}".encode() for number in itertools.count())
    if job.unique == "key":
        return keys
    from django.conf import settings  # noqa: PLC0415 - only voter tokens need it

    settings.configure(SECRET_KEY=job.secret, SECRET_KEY_FALLBACKS=[])
    from polls.domain.voters import issue_voter_token  # noqa: PLC0415 - configured by now

    # Made beforehand: an HMAC a vote is the voters' work, not the generator's.
    count = int((job.seconds + job.warm) * VOTERS_A_SECOND)
    tokens = [issue_voter_token() for _ in range(count)]
    made = [f"{token}\r\nIdempotency-Key: ".encode() for token in tokens]
    return (token + key for token, key in zip(made, keys, strict=False))


class Load:
    """One run."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.expected = str(job.expect).encode()
        self.errors: Counter[str] = Counter()
        self.answered = 0
        self.outstanding = 0
        self.sending = True
        self.paced = False
        self.measuring = False
        self.latencies: list[float] = []
        self.votes: list[tuple[float, float, int]] = []
        self.idle: deque[Connection] = deque()
        self.due: deque[float] = deque()  # when requests that wait for a connection were due
        self.done = asyncio.Event()
        pairs = [(before.encode(), after.encode()) for before, after in job.requests]
        self._requests = itertools.cycle(pairs)
        self._uniques = _uniques(job)

    def next_request(self) -> bytes:
        """Return the bytes of one more request."""
        before, after = next(self._requests)
        return before + next(self._uniques) + after

    def fail(self, what: str) -> None:
        """Note what must not happen; the run ends, for its figures are worth nothing."""
        self.errors[what] += 1
        self.sending = False
        self.done.set()

    def free(self, connection: "Connection") -> None:
        """Give a connection that has its answer something to do."""
        if not self.sending:
            if self.outstanding == 0:
                self.done.set()
        elif not self.paced:
            connection.send(time.perf_counter())
        elif self.due:
            connection.send(self.due.popleft())
        else:
            self.idle.append(connection)

    async def run(self) -> Report:
        """Load the server and return what was seen."""
        job, loop = self.job, asyncio.get_running_loop()
        connections: list[Connection] = []
        for _ in range(job.connections):
            _, made = await loop.create_connection(lambda: Connection(self), "127.0.0.1", job.port)
            connections.append(made)
        for connection in connections:
            self.free(connection)
        pace = None
        if job.rate is None:
            await self._sleep(job.warm)
        else:  # a server that is still cold would leave a queue that outlasts it
            await self._sleep(job.warm / 2)
            self.paced = True
            pace = asyncio.create_task(self._pace(job.rate))
            await self._sleep(job.warm / 2)
        self.measuring, began, used = True, time.perf_counter(), time.process_time()
        await self._sleep(job.seconds)
        self.measuring = False
        seconds, used = time.perf_counter() - began, time.process_time() - used
        if pace is not None:
            pace.cancel()
        await self._drain()
        for connection in connections:
            connection.close()
        return self._report(seconds, used)

    async def _sleep(self, seconds: float) -> None:
        """Wait, no longer than until something has failed."""
        if self.sending:
            await asyncio.wait([asyncio.create_task(self.done.wait())], timeout=seconds)

    async def _drain(self) -> None:
        """Wait for the answers to what was sent: each of them is in the database."""
        self.sending = False
        if self.outstanding == 0 or self.errors:
            return
        try:
            await asyncio.wait_for(self.done.wait(), DRAIN_SECONDS)
        except TimeoutError:
            self.fail(f"{self.outstanding} requests without an answer")

    async def _pace(self, rate: float) -> None:
        """Send at a fixed rate, whether or not answers come: open loop.

        A request that finds no idle connection waits, and its time counts from when it was due.
        """
        began = time.perf_counter()
        for number in itertools.count():
            at = began + number / rate
            while at > time.perf_counter():  # noqa: ASYNC110 - what is waited for is the time
                await asyncio.sleep(0.001)  # what uvloop can tell apart: less would spin
            if self.idle:
                self.idle.popleft().send(at)
            else:
                self.due.append(at)

    def _report(self, seconds: float, used: float) -> Report:
        found = sorted(self.latencies)

        def quantile(share: float) -> float:
            return found[min(len(found) - 1, int(share * len(found)))] * 1000 if found else 0.0

        return Report(
            answered=self.answered,
            measured=len(found),
            seconds=seconds,
            p50=quantile(0.5),
            p99=quantile(0.99),
            longest=quantile(1),
            cpu=used / seconds,
            errors=dict(self.errors),
            votes=self.votes,
        )


class Connection(asyncio.Protocol):
    """One kept connection with one request on its way."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: asyncio.Transport
        self._rest = b""
        self._since = 0.0
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is written to."""
        self._transport = cast("asyncio.Transport", transport)

    def send(self, since: float) -> None:
        """Send a request; its time counts from `since`."""
        self._since = since
        self._load.outstanding += 1
        self._transport.write(self._load.next_request())

    def data_received(self, data: bytes) -> None:
        """Find the end of the answer; then the next request may go."""
        if self._rest:
            data = self._rest + data
        end = data.find(_END)
        if end < 0:
            self._rest = data
            return
        head = data[:end].lower()
        at = head.find(_LENGTH)
        if at < 0:
            self._load.fail("an answer without Content-Length")
            return
        line_end = head.find(b"\r\n", at)
        length = int(head[at + len(_LENGTH) : line_end if line_end > 0 else end])
        if len(data) < end + len(_END) + length:
            self._rest = data
            return
        self._rest = b""
        load = self._load
        load.outstanding -= 1
        if data[9:12] != load.expected:
            said = data[end + len(_END) :][:200].decode(errors="replace")
            load.fail(f"status {data[9:12].decode(errors='replace')}: {said}")
            return
        load.answered += 1
        if load.measuring:
            now = time.perf_counter()
            load.latencies.append(now - self._since)
            if load.job.notes and (found := _SEQ.search(data, end)) is not None:
                load.votes.append((self._since, now, int(found[1])))
        load.free(self)

    def connection_lost(self, error: Exception | None) -> None:
        """Note a connection that was not closed by us."""
        if not self._closing:
            self._load.fail(f"connection lost: {error or 'closed by the server'}")

    def close(self) -> None:
        """Close it."""
        self._closing = True
        self._transport.close()


def main() -> None:
    """Run the job on stdin."""
    given = json.load(sys.stdin)
    given["requests"] = [(before, after) for before, after in given["requests"]]
    job = Job(**given)
    if job.core is not None:
        os.sched_setaffinity(0, {job.core})

    async def run() -> Report:
        return await Load(job).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(run())
    json.dump(asdict(report), sys.stdout)


if __name__ == "__main__":
    main()
