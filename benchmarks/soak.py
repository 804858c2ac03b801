"""`make soak`: long runs that try to lose a vote, double one, move a count, or leak.

Each part votes over real HTTP, logs every answer, and has the audit set that log beside the
database. The exit status is 1 where anything does not hold, and each finding is named.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import psycopg2

from benchmarks.audit_control import self_test
from benchmarks.soak_client import SoakError
from benchmarks.soak_closes import closes
from benchmarks.soak_doubles import RUNGS, doubles
from benchmarks.soak_freeze import freeze
from benchmarks.soak_live import live
from benchmarks.soak_parts import Result, kill, kill_embedded, postgres, run
from devtools.children import exit_on_sigterm
from devtools.errors import ServerMissingError
from devtools.service import ServiceFailedError

VOTES = 1_000_000
DISTURBED_VOTES = 200_000  # enough for each kill to meet full traffic
KILLS = 10
FREEZE_SECONDS = 30
ROUNDS = 100
LIVE_MINUTES = 30
DOUBLE_VOTERS, DOUBLE_REQUESTS = 1_000, 200
PARTS = ("run", "kill", "postgres", "freeze", "closes", "doubles", "live")


def say(line: str) -> None:
    """Print a line now, also into a pipe."""
    print(line, flush=True)


def _chosen(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Long runs that try to break the count")
    parser.add_argument("--only", choices=PARTS, action="append", help="may be given repeatedly")
    parser.add_argument("--votes", type=int, default=VOTES, help="of the part run")
    parser.add_argument("--disturbed-votes", type=int, help="of kill, postgres and freeze")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--freeze", type=float, default=FREEZE_SECONDS, help="seconds")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of the part closes")
    parser.add_argument("--voters", type=int, default=DOUBLE_VOTERS, help="of the part doubles")
    parser.add_argument(
        "--requests", type=int, default=DOUBLE_REQUESTS, help="of each of these voters"
    )
    parser.add_argument(
        "--rung",
        choices=[rung.name for rung in RUNGS],
        action="append",
        help="of the part doubles; may be given repeatedly",
    )
    parser.add_argument("--live-minutes", type=float, default=LIVE_MINUTES, help="of the part live")
    parser.add_argument("--no-write", action="store_true", help="leave RESULTS.md as it is")
    parser.add_argument("--self-test", action="store_true", help="try the audit alone")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen parts and return the exit status."""
    chosen = _chosen(arguments)
    exit_on_sigterm()
    missed = self_test()
    for line in missed:
        say(f"FAILED  audit: {line}")
    if missed:
        return 1
    say("audit: finds what was put wrong on purpose, and only that.")
    if chosen.self_test:
        return 0
    rungs = [rung for rung in RUNGS if rung.name in (chosen.rung or {rung.name})]
    votes = chosen.disturbed_votes or min(chosen.votes, DISTURBED_VOTES)
    parts: dict[str, list[Callable[[], Result]]] = {
        "run": [lambda: run(chosen.votes)],
        "kill": [lambda: kill(votes, chosen.kills), lambda: kill_embedded(votes, chosen.kills)],
        "postgres": [lambda: postgres(votes, chosen.kills)],
        "freeze": [lambda: freeze(votes, chosen.freeze)],
        "closes": [lambda: closes(chosen.rounds)],
        "doubles": [partial(doubles, rung, chosen.voters, chosen.requests) for rung in rungs],
        "live": [lambda: live(chosen.live_minutes, say, write=not chosen.no_write)],
    }
    try:
        return _hold(chosen.only or PARTS, parts)
    except KeyboardInterrupt:
        say("Ended before it was done.")
        return 1


def _hold(names: Sequence[str], parts: Mapping[str, list[Callable[[], Result]]]) -> int:
    """Run these parts, each whatever came of the one before."""
    failed = [name for name in names for part in parts[name] if not _held(name, part)]
    if failed:
        say(f"FAILED: {', '.join(dict.fromkeys(failed))}")
        return 1
    say("Nothing was lost, nothing doubled, no count moved, nothing leaked.")
    return 0


def _held(name: str, part: Callable[[], Result]) -> bool:
    """Run a part, print what came of it, and return whether all holds."""
    began = time.monotonic()
    try:
        result = part()
    except (SoakError, ServerMissingError, ServiceFailedError) as error:
        result = Result(name, wrong=[str(error)])
    except (OSError, psycopg2.Error) as error:  # requests' errors are OSErrors
        result = Result(name, wrong=[f"a server cannot be talked to: {error!r}"])
    say(f"{result.name}: {result.figures or 'broken off'} [{time.monotonic() - began:.0f} s]")
    for line in result.wrong:
        say(f"FAILED  {result.name}: {line}")
    return not result.wrong


if __name__ == "__main__":
    sys.exit(main())
