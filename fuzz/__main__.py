"""`make fuzz`: a million bad inputs to real servers, on both stacks.

No input may be answered by a fault of the server's own, none be accepted wrongly, and no count
differ from what was acknowledged. Answers of an overloaded service are counted, and seldom
(`fuzz.overload`). The exit status is 1 where anything does not hold.
"""

import argparse
import asyncio
import contextlib
import random
import sys
from collections.abc import Callable, Iterator, Sequence

import psutil

from benchmarks import figures
from benchmarks.soak_client import SoakError
from benchmarks.soak_stack import SoakService, on_postgres
from benchmarks.soak_usage import tracebacks
from devtools.children import exit_on_sigterm
from devtools.errors import ServerMissingError
from devtools.servers import RedisServer
from devtools.service import ServiceFailedError
from fuzz import api, by_schema, raw, sockets, votes
from fuzz.report import Report
from fuzz.results import section
from fuzz.scenes import BEHIND_PROXY, SceneError

INPUTS = 1_000_000
# How many of all inputs each part sends; `schema` adds as many as it generates.
SHARES = {"votes": 0.25, "api": 0.1, "sockets": 0.3, "bytes": 0.35, "schema": 0.0}
STACKS = ("servers", "embedded")
_EXAMPLES = 50  # of each operation, mode and caller


def say(line: str) -> None:
    """Print a line now, also into a pipe."""
    print(line, flush=True)


def _chosen(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Bad inputs to real servers")
    parser.add_argument("--inputs", type=int, default=INPUTS, help="of all parts, on both stacks")
    parser.add_argument("--seed", type=int, help="the same seed sends the same inputs")
    parser.add_argument("--only", choices=SHARES, action="append", help="may be given repeatedly")
    parser.add_argument("--stack", choices=STACKS, action="append", help="the same")
    parser.add_argument("--no-write", action="store_true", help="leave RESULTS.md as it is")
    return parser.parse_args(arguments)


@contextlib.contextmanager
def serving(stack: str) -> Iterator[SoakService]:
    """Give a service: two processes on PostgreSQL and Redis, or the embedded default."""
    if stack == "servers":
        redis = RedisServer()  # of its own: what others say on a shared one is not this run's
        try:
            with on_postgres(redis.url, **BEHIND_PROXY) as service:
                yield service
        finally:
            redis.kill()
    else:
        with SoakService(**BEHIND_PROXY) as service:
            yield service


def _part(name: str, service: SoakService, seed: int, inputs: int) -> Report:
    """Run one part against a running service."""
    port = service.port
    first = psutil.Process(service.pid)
    pids = [first.pid, *(child.pid for child in first.children(recursive=True))]
    parts: dict[str, Callable[[], Report]] = {
        "votes": lambda: asyncio.run(votes.run(port, service.store.sums, seed=seed, inputs=inputs)),
        "api": lambda: asyncio.run(api.run(port, seed=seed, inputs=inputs)),
        "sockets": lambda: asyncio.run(sockets.run(port, pids, seed=seed, inputs=inputs)),
        "bytes": lambda: asyncio.run(raw.run(port, seed=seed, inputs=inputs)),
        "schema": lambda: by_schema.run(port, seed=seed, examples=_EXAMPLES),
    }
    return parts[name]()


def _on(stack: str, names: Sequence[str], seed: int, inputs: dict[str, int]) -> list[Report]:
    """Run these parts on a stack, and read what the service has said meanwhile."""
    reports = []
    with serving(stack) as service:
        for name in names:
            try:
                report = _part(name, service, seed, inputs[name])
            except* (SoakError, SceneError, OSError, LookupError) as group:
                report = Report(name)
                report.find("broken off", repr(group.exceptions))
            report.name = f"{name}, {stack}"
            reports.append(report)
            say(f"{report.name}: {report.summary}")
            for line in report.findings:
                say(f"FAILED  {report.name}: {line}")
        for line in complaints(service.said):
            reports[-1].find("the service's log tells of a fault", line[-1500:])
            say(f"FAILED  {stack}: {line[-1500:]}")
    return reports


def complaints(said: str) -> list[str]:
    """Return the records of a log with tracebacks, less those of requests that Django refuses."""
    return [record for record in tracebacks(said) if "django.security" not in record]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen parts on the chosen stacks and return the exit status."""
    chosen = _chosen(arguments)
    exit_on_sigterm()
    seed = random.SystemRandom().randrange(10**9) if chosen.seed is None else chosen.seed
    names, stacks = chosen.only or list(SHARES), chosen.stack or list(STACKS)
    weight = sum(SHARES[name] for name in names) * len(stacks)
    inputs = {name: round(chosen.inputs * SHARES[name] / weight) if weight else 0 for name in names}
    say(f"seed {seed}")
    try:
        reports = [report for stack in stacks for report in _on(stack, names, seed, inputs)]
    except (ServerMissingError, ServiceFailedError) as error:
        say(f"FAILED: {error}")
        return 1
    failed = [report.name for report in reports if report.found]
    total = sum(report.inputs for report in reports)
    say(f"{total:,} inputs; " + (f"FAILED: {', '.join(failed)}" if failed else "nothing found."))
    if not chosen.no_write and not failed:
        figures.write(section(reports, seed), "make fuzz")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
