"""`make bench`: votes and results beside other ways to do the same, in one run on one machine.

The server under test has one core and the load generator another; PostgreSQL is left to the
scheduler. Every round runs each contender once, each time in another order, so that a machine that
slows down slows down all of them. After each run the database must hold exactly what was
acknowledged; otherwise, and for any answer but the one that must come, the exit status is 1.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable

from benchmarks import figures
from benchmarks.contenders import CONTENDERS, CORES, LOAD_CORE, SERVER_CORE, peer, pgbench
from benchmarks.ground import Ground, RunFailedError
from benchmarks.load import Job, Report
from benchmarks.reads import LARGE_READINGS, READINGS, Reads
from benchmarks.votes import PGBENCH_CLIENTS, run_load, run_pgbench, run_votes
from devtools.children import exit_on_sigterm
from devtools.errors import ServerMissingError
from devtools.service import ServiceFailedError

PARTS = ("votes", "reads")
HALF = "half"
LEAST_SENT = 25_000  # requests a second that the load generator must be able to send

Run = Callable[[], list[tuple[str, Report]]]


def say(text: str) -> None:
    """Print at once, for a run takes minutes."""
    print(text, flush=True)


class Bench:
    """All that is run, and what came of it."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.seconds: float = arguments.seconds
        self.runs: dict[str, list[Report]] = defaultdict(list)
        self.titles: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self.failures: list[str] = []
        self.ground = Ground()
        self._parts: list[str] = arguments.only or list(PARTS)
        self._chosen: list[str] = arguments.contenders or []
        self._large: bool = arguments.ten_million
        self._reads: Reads | None = None

    def _is_chosen(self, key: str) -> bool:
        return not self._chosen or key in self._chosen

    def _plan(self) -> dict[str, Run]:
        """Return what each round runs, by key."""
        plan: dict[str, Run] = {}
        if "votes" in self._parts:
            for one in CONTENDERS:
                self._add(plan, one.key, one.title, self._votes_of(one.key))
                if one.key in plan and one.key == "express":
                    self.titles[HALF] = "express door at half of that, at a fixed rate"
            program = pgbench()
            for clients in PGBENCH_CLIENTS:
                key, title = f"pgbench_{clients}", f"pgbench, clients: {clients}"
                if program is not None:
                    self._add(plan, key, title, self._pgbench_of(program, clients, key))
                elif self._is_chosen(key):
                    self.titles[key], self.skipped[key] = title, "skipped: no pgbench here"
        if "reads" in self._parts:
            for reading in (*READINGS, *(LARGE_READINGS if self._large else ())):
                self._add(plan, reading.key, reading.title, self._reading_of(reading.key))
        return plan

    def _add(self, plan: dict[str, Run], key: str, title: str, run: Run) -> None:
        if self._is_chosen(key):
            plan[key], self.titles[key] = run, title

    def _votes_of(self, key: str) -> Run:
        one = next(one for one in CONTENDERS if one.key == key)

        def run() -> list[tuple[str, Report]]:
            found = [(key, run_votes(self.ground, one, self.seconds))]
            if key == "express":  # the load that it is halved from is this round's
                half = found[0][1].rate / 2
                found.append((HALF, run_votes(self.ground, one, self.seconds, half)))
            return found

        return run

    def _pgbench_of(self, program: str, clients: int, key: str) -> Run:
        return lambda: [(key, run_pgbench(self.ground, program, clients, self.seconds))]

    def _reading_of(self, key: str) -> Run:
        one = next(one for one in (*READINGS, *LARGE_READINGS) if one.key == key)

        def run() -> list[tuple[str, Report]]:
            if self._reads is None:
                large = self._large and self._is_chosen("results_large")
                self._reads = Reads(self.ground, large=large, say=say)
            return [(key, self._reads.run(one, self.seconds))]

        return run

    def run(self, rounds: int) -> None:
        """Run every round; what fails is named, and the others go on."""
        plan = self._plan()
        keys = list(plan)
        try:
            for number in range(rounds):
                say(f"Round {number + 1} of {rounds}")
                turn = number * len(keys) // rounds
                for key in keys[turn:] + keys[:turn]:
                    try:
                        found = plan[key]()
                    except (RunFailedError, ServiceFailedError) as error:
                        self.failures.append(f"{self.titles[key]}: {error}")
                        say(f"  FAILED: {self.failures[-1]}")
                        continue
                    for name, report in found:
                        self.runs[name].append(report)
                        say(f"  {report.rate:>9,.0f}/s  {self.titles[name]}")
        finally:
            if self._reads is not None:
                self._reads.close()


def measure_generator(seconds: float) -> str:
    """Return what the load generator can do; raise where it could be what a run measures."""
    with peer("trivial", "", SERVER_CORE, {}) as port:
        request = f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 2\r\nX-Key: "
        job = Job(port, [(request, "\r\n\r\n{}")], seconds=seconds, core=LOAD_CORE)
        report = run_load(job)
    possible = report.rate / max(report.cpu, 0.01)
    said = (
        f"The load generator sends {report.rate:,.0f} requests a second to an application that "
        f"does nothing and takes {report.cpu:.0%} of its core for it, so it could send "
        f"{possible:,.0f}."
    )
    if possible < LEAST_SENT:
        raise RunFailedError(f"{said} That is less than {LEAST_SENT:,}.")
    return said


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run")
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("--contenders", nargs="+", metavar="KEY", help="such as express fastify_4")
    parser.add_argument("--ten-million", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--write",
        action=argparse.BooleanOptionalAction,
        help="into RESULTS.md; a whole run does so by itself",
    )
    return parser.parse_args()


def main() -> int:
    """Run, print, write, and return the exit status."""
    arguments = _arguments()
    exit_on_sigterm(1)
    if len(CORES) == 1:
        say("There is one core, so the load generator shares it with what it measures.")
    try:
        generator = measure_generator(min(arguments.seconds, 3))
        say(generator)
        bench = Bench(arguments)
        bench.run(arguments.rounds)
        origin = figures.provenance("benchmarks.bench", bench.ground.version())
    except (RunFailedError, ServerMissingError) as error:
        say(f"\n{error}")
        return 1
    except KeyboardInterrupt:
        return 130
    failed = "".join(f"\nFailed: {failure}\n" for failure in bench.failures)
    section = (
        f"## `make bench`: votes and results beside other ways\n\n{origin}\n\n{_METHOD}\n"
        f"{generator}\n\n{figures.tables(bench.runs, bench.titles, bench.skipped)}\n{failed}"
    )
    say(f"\n{section}")
    whole = not arguments.only and not arguments.contenders and not bench.failures
    if whole if arguments.write is None else arguments.write:
        figures.write(section, "make bench")
    return 1 if bench.failures else 0


_METHOD = """\
The server under test has one core and the load generator another; PostgreSQL, and the four
processes where there are four, are left to the scheduler. 64 kept connections, one new voter per
vote, one of four options each. Peers work on the same tables with the same constraints and commit
before they answer; after each run the database held exactly the votes that were acknowledged."""


if __name__ == "__main__":
    sys.exit(main())
