"""`make bench-live`: the live path beside other ways to do the same, in one run on one machine.

The server under test has one core; the receivers and the load generator share another. Nothing is
believed that has not arrived: a lost frame, a wrong last count or an answer other than the one that
must come make the exit status 1. A floor that is missed does not; the table says so.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial

import psutil

from benchmarks import figures
from benchmarks.contenders import CORES
from benchmarks.ground import RunFailedError
from benchmarks.live import fanout, heal, idle, latency, storm, stuck
from benchmarks.live.book import Book
from benchmarks.live.site import Place
from benchmarks.live.tables import tables
from benchmarks.live.ways import WAYS
from devtools.children import exit_on_sigterm
from devtools.errors import ServerMissingError
from devtools.service import ServiceFailedError

PARTS = ("fanout", "latency", "idle", "stuck", "heal", "storm")
SOCKETS = 2_000  # of fanout and storm
DASHBOARDS = 1_000  # of latency
VOTES_A_SECOND = 2_000
IDLE = 10_000
READERS = 200  # stuck ones, healthy ones, and those of each process that heals

# The last two: a server that is not there any more.
_FAILURES = (RunFailedError, ServiceFailedError, ServerMissingError, OSError, psutil.Error)

Run = tuple[str, Callable[[], None]]


def say(text: str) -> None:
    """Print at once, for a run takes minutes."""
    print(text, flush=True)


class Live:
    """All that is run, and what came of it."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.book = Book()
        self.place = Place(embedded=arguments.embedded)
        self.receivers = ""  # what they can do
        self._given = arguments
        self._parts: list[str] = arguments.only or list(PARTS)

    def _number(self, whole: int) -> int:
        scale: float = self._given.scale
        return max(2, round(whole * scale))

    def _rounds(self) -> Iterator[list[Run]]:
        """Yield what each round runs: the long ones are run in the first alone."""
        given = self._given
        for number in range(given.rounds):
            runs: list[Run] = []
            if "fanout" in self._parts:
                ways = fanout.ways(given.contenders or [])
                turn = number * len(ways) // given.rounds
                for way in ways[turn:] + ways[:turn]:
                    sockets = self._number(SOCKETS)
                    work = partial(fanout.run, way, self.place, sockets, given.seconds, self.book)
                    runs.append((f"fanout.{way.key}", work))
            if "latency" in self._parts:
                sizes = self._number(DASHBOARDS), self._number(VOTES_A_SECOND)
                work = partial(latency.run, self.place, *sizes, given.seconds, self.book)
                runs.append(("latency.answered.p99", work))
            if "heal" in self._parts:
                runs.append(("heal.longest", self._heal))
            yield runs + (self._once() if number == 0 else [])

    def _heal(self) -> None:
        given = self._given
        if self.place.ground is None:
            self.book.skip("heal.none", "skipped: two processes need PostgreSQL and Redis")
            return
        seconds, chosen = min(given.seconds, 3.0), given.disturbances or []
        heal.run(self.place.ground, self._number(READERS), seconds, chosen, self.book)

    def _once(self) -> list[Run]:
        given, book, readers = self._given, self.book, self._number(READERS)
        found: dict[str, Run] = {
            "idle": (
                "idle.kb",
                partial(idle.run, self.place, self._number(IDLE), given.idle_seconds, book),
            ),
            "stuck": ("stuck.ratio", partial(stuck.run, self.place, readers, given.minutes, book)),
            "storm": ("storm.queries", partial(storm.run, self._number(SOCKETS), book)),
        }
        return [found[part] for part in PARTS if part in found and part in self._parts]

    def run(self) -> None:
        """Run every round; what fails is named, and the others go on."""
        if "fanout" in self._parts:
            seconds = min(self._given.seconds, 3.0)
            self.receivers = fanout.measure_receivers(self.place, self._number(SOCKETS), seconds)
            say(self.receivers)
        for number, runs in enumerate(self._rounds()):
            say(f"Round {number + 1} of {self._given.rounds}")
            for key, work in runs:
                try:
                    work()
                except _FAILURES as error:
                    self.book.failures.append(f"{key}: {error or repr(error)}")
                    say(f"  FAILED: {self.book.failures[-1]}")
                    continue
                found = self.book.found.get(key)
                say(f"  {found[-1]:>10,.2f}  {key}" if found else f"  {'skipped':>10}  {key}")

    def section(self) -> str:
        """Return what goes into RESULTS.md."""
        origin = figures.provenance("benchmarks.live", self.place.version)
        failed = "".join(f"\nFailed: {failure}\n" for failure in self.book.failures)
        return (
            f"## `make bench-live`: the live path beside other ways\n\n{origin}\n\n{_METHOD}\n"
            f"{self.receivers}\n\n{tables(self.book)}\n{failed}"
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-live ARGS=...", description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="may be given repeatedly")
    parser.add_argument("--rounds", type=int, default=5, help="of fanout, latency and heal")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="of each run of fanout and latency"
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="of stuck")
    parser.add_argument("--idle-seconds", type=float, default=60.0, help="of idle")
    parser.add_argument("--scale", type=float, default=1.0, help="of all sockets and votes")
    ways = [way.key for way in WAYS]
    parser.add_argument("--contenders", nargs="+", choices=ways, metavar="KEY", help=f"of {ways}")
    disturbances = list(heal.DISTURBANCES)
    parser.add_argument(
        "--disturbances", nargs="+", choices=disturbances, metavar="KEY", help=f"of {disturbances}"
    )
    parser.add_argument("--embedded", action="store_true", help="on SQLite and memory, one process")
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
        say("There is one core, so the receivers share it with what they measure.")
    try:
        live = Live(arguments)
        live.run()
    except _FAILURES as error:
        say(f"\n{error or repr(error)}")
        return 1
    except KeyboardInterrupt:
        return 130
    section = live.section()
    say(f"\n{section}")
    parts_left_out = arguments.only or arguments.contenders or arguments.disturbances
    whole = not parts_left_out and arguments.scale == 1 and not arguments.embedded
    if arguments.write or (arguments.write is None and whole and not live.book.failures):
        figures.write(section, "make bench-live")
    return 1 if live.book.failures else 0


_METHOD = """\
The server under test has one core, the receivers and the load generator another; PostgreSQL,
Redis, and the four and two processes where there are so many, are left to the scheduler. A frame's
cost is the CPU of the server's process alone, user and system by /proc/<pid>/stat, from when
counts begin until the last has arrived, over all frames that did, less what it used in a window as
long before it, with the same sockets and no counts: for this service one with as many votes (12 a
second) in a poll that nobody watches. "All it used" is the same with nothing taken off. The
kernel's work in sending over the loopback is in it, PostgreSQL and Redis are not. This service's
includes making each count and telling Redis; stock Channels' the way through Redis and back;
nats-server's the taking of what a program outside publishes. The other peers have a timer of their
own and no store, and all of them send a text as long as the service's, ten times a second, to 2,000
sockets. A contender that cannot keep up sends late, and is still charged for what
arrived. Nobody compresses.

Latency runs from the answer of a vote to the first count that holds it, on every one of 1,000
dashboards (every n-th vote, a million pairs at most); from when the vote was due it is an upper
bound, which holds the vote itself. Memory is that of 10,000 dashboards over what the process held
before, after some had come and left. Beside 200 readers that never read, in windows of a minute
that alternate with windows without them, 200 others are sent counts of 100 options. After each
disturbance of Redis two processes have 200 dashboards each, votes come to one of them, and the
time runs from the last answer until every dashboard shows the database's count; once while it
lasts and once when it is over. How long that takes depends on where in its five seconds the
comparison with the database stands, so the longest of all rounds is shown. In the storm 2,000
connections are reset at once and come back as the page of a poll does, with full jitter;
statements are counted in PostgreSQL's log. After every run each receiver's last count equals
`results/`, or what the peer sent last."""


if __name__ == "__main__":
    sys.exit(main())
