"""A part of a soak run: dashboards under votes and faults of Redis, and what they leave behind."""

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psycopg2

from benchmarks import figures
from benchmarks.audit import audit
from benchmarks.live.faults import Fault, Link, flushed, frozen, killed, proxied
from benchmarks.soak_dashboards import Audience
from benchmarks.soak_mix import GRACE_SECONDS, OPTIONS, PROMISED_SECONDS, Mix, Voting
from benchmarks.soak_parts import Result, a_log
from benchmarks.soak_stack import SoakService, on_postgres
from benchmarks.soak_usage import Usage, at_rest, back_within, grown, tracebacks, usages
from devtools.servers import RedisServer
from devtools.tcp_proxy import Mode, TcpProxy

POLLS = 5
DASHBOARDS = 60
VOTES_A_SECOND = 300.0
_REST_SECONDS = 30.0  # in which everything of those who have left is let go
_AT_ONCE = 32  # requests, which is more than both processes have threads
_SHOWN = 5  # lines of one kind of finding
FAULTS: dict[str, tuple[str, Fault]] = {
    "killed": ("Redis is killed", killed),
    "flushed": ("Redis is flushed, and its subscribers dropped", flushed),
    "frozen": ("Redis is frozen", frozen),
    "partition": ("nothing passes between the service and Redis", proxied(Mode.FREEZE)),
    "slow": ("Redis answers half a second late, both ways", proxied(Mode.SLOW)),
    "cut": ("every connection to Redis is reset", proxied(Mode.CUT)),
    "half_open": ("connections to Redis stand, its end is gone", proxied(Mode.HALF_OPEN)),
}


@dataclass(frozen=True)
class Plan:
    """How long what takes, in seconds."""

    whole: float
    warm: float  # of the whole: what is held after it is what may be held at the end
    every: float  # from one fault to the next
    fault: float

    @classmethod
    def of(cls, minutes: float) -> Self:
        """Plan a run: short ones have each fault once, too."""
        whole = minutes * 60
        warm = min(120.0, whole / 3)
        every = min(60.0, (whole - warm) / len(FAULTS))
        return cls(whole, warm, every, min(10.0, every * 0.6))


@dataclass
class Run:
    """A run: its servers, what goes on, and what came of it."""

    plan: Plan
    link: Link
    service: SoakService
    mix: Mix
    voting: Voting
    healed: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    before: Mapping[int, Usage] = field(default_factory=dict)
    after: Mapping[int, Usage] = field(default_factory=dict)
    peak: Mapping[int, Usage] = field(default_factory=dict)

    def hold(self) -> None:
        """Warm up, let everybody leave, go through the faults, and let everybody leave again."""
        plan = self.plan
        self._fill_pools()
        self._disturb("killed", plan.warm - plan.fault)
        self._end()
        self.before = at_rest(self.service.pid, _REST_SECONDS)
        rounds = round((plan.whole - plan.warm) / plan.every)
        for key in itertools.islice(itertools.cycle(FAULTS), rounds):
            self.healed[key].append(self._disturb(key, plan.every - plan.fault))
        self.peak = usages(self.service.pid)
        self._end()
        self.after = back_within(self.before, self.service.pid, _REST_SECONDS)
        self.mix.wrong += grown(self.before, self.after)

    def _fill_pools(self) -> None:
        """Ask so much at once that every thread which starts when it is needed has started."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for path in ("/api/v1/polls/", "/readyz") * (_AT_ONCE * 5):
                pool.submit(self.service.call, "GET", path, None, self.mix.owner)

    def _disturb(self, key: str, quiet: float) -> float:
        """Have everything go on, quietly, then in a fault; return how long healing took."""
        self.voting.start(VOTES_A_SECOND)
        self.mix.go_on(quiet)
        with FAULTS[key][1](self.link):
            self.mix.go_on(self.plan.fault)
        return self._settle()

    def _settle(self) -> float:
        """Stop the votes, and expect the count on every dashboard from then on."""
        over = time.monotonic()
        self.voting.stop()
        return self.mix.settle(over)

    def _end(self) -> None:
        """See that all are right, now that nothing disturbs them, then have everybody leave."""
        self.voting.start(VOTES_A_SECOND)
        self.mix.go_on(min(5.0, self.plan.every))
        self.healed["none"].append(self._settle())
        self.mix.end()

    def tables(self) -> str:
        """Return what came of it as Markdown."""
        titles = {"none": "5 s after a fault, which has been healed once"}
        titles |= {key: title for key, (title, _) in FAULTS.items()}
        lines = ["| | times | until every dashboard is right, longest |", "|---|---:|---:|"]
        for key, title in titles.items():
            if took := self.healed.get(key):
                lines.append(f"| {title} | {len(took)} | {max(took):.2f} s |")
        lines += ["", "| held by | when | memory | threads | open files | connections |"]
        lines.append("|---|---|---:|---:|---:|---:|")
        for number, pid in enumerate(self.before):
            for when, found in (
                ("after warm-up", self.before),
                ("in the mix", self.peak),
                ("at the end", self.after),
            ):
                if pid in found:
                    lines.append(f"| process {number} | {when} | {_row(found[pid])} |")
        return "\n".join(lines)

    def figures(self) -> str:
        """Return what happened in a line."""
        counted, voting = self.mix.figures, self.voting
        longest = max(took for every in self.healed.values() for took in every)
        answers = ", ".join(
            f"{count:,} x {status or 'lost'}" for status, count in sorted(voting.statuses.items())
        )
        return (
            f"{self.plan.whole / 60:g} minutes, {counted['joined']:,} dashboards, "
            f"{counted['frames']:,} frames, {counted['brief polls']:,} brief polls (closing told "
            f"after {self.mix.longest_close:.2f} s at most); answers to votes: {answers}, the "
            f"longest after {voting.longest * 1000:.0f} ms; "
            f"{sum(map(len, self.healed.values()))} times all dashboards were set beside the "
            f"database, the last was right after {longest:.2f} s"
        )


def _row(usage: Usage) -> str:
    figures_ = (usage.threads, usage.files, usage.connections)
    return " | ".join([f"{usage.memory / (1 << 20):.0f} MiB", *map(str, figures_)])


def live(minutes: float, say: Callable[[str], None], *, write: bool) -> Result:
    """Hold the live part on PostgreSQL, with a Redis of its own; it is printed, and written."""
    result = Result("live")
    server = RedisServer()
    try:
        with ExitStack() as stack:
            proxy = stack.enter_context(TcpProxy(server.port))
            service = stack.enter_context(on_postgres(f"redis://127.0.0.1:{proxy.port}"))
            log = stack.enter_context(a_log(result))
            audience = stack.enter_context(Audience(service.port))
            owner = service.organiser()
            polls = [service.make_poll(owner, OPTIONS) for _ in range(POLLS)]
            mix = Mix(service, audience, owner, polls, DASHBOARDS, [])
            voting = Voting(service, polls, log)
            run = Run(Plan.of(minutes), Link(server, proxy), service, mix, voting)
            try:
                run.hold()
            finally:
                voting.stop()
            _judge(run, log, result)
            say(run.tables())
            if write and not result.wrong:
                _write(run, result)
    finally:
        server.kill()
    return result


def _judge(run: Run, log: Path, result: Result) -> None:
    """Add up what does not hold."""
    verdict = audit(run.service.store, log)
    result.wrong += [*_first_of_each(run.mix.wrong), *verdict.findings]
    if set(run.voting.statuses) != {201}:
        result.wrong.append(f"votes were answered otherwise than by 201: {run.voting.statuses}")
    if verdict.figures["ballots"] != run.voting.statuses[201]:
        result.wrong.append(f"ballots stored: {verdict.figures['ballots']:,}")
    unexpected = tracebacks(run.service.said)
    result.wrong += [f"the service's log: {record[-1000:]}" for record in unexpected[:_SHOWN]]
    if result.wrong:
        log.with_name("service").write_text(run.service.said, encoding="utf-8")
    result.figures = run.figures()


def _first_of_each(wrong: list[str]) -> list[str]:
    """Return the first few findings, and the number of the others."""
    more = [f"and {len(wrong) - _SHOWN:,} more such"] if len(wrong) > _SHOWN else []
    return wrong[:_SHOWN] + more


def _write(run: Run, result: Result) -> None:
    connection = psycopg2.connect(run.service.database)
    version = str(connection.info.parameter_status("server_version"))
    connection.close()
    promise = f"{PROMISED_SECONDS:g} s, with a grace of {GRACE_SECONDS:g} s"
    figures.write(
        f"## `make soak`, live: what dashboards show and leave behind\n\n"
        f"{figures.provenance('benchmarks.soak', version)} Two processes, {DASHBOARDS} dashboards "
        f"at a time, {VOTES_A_SECOND:g} votes a second, a fault of {run.plan.fault:.0f} s every "
        f"{run.plan.every:.0f} s; right means the database's count within {promise}.\n\n"
        f"{run.tables()}\n\n{result.figures}.",
        "make soak, live",
    )
