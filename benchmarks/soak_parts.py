"""Parts of a soak run: many votes in one poll, while servers are killed and started again."""

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from benchmarks.audit import audit
from benchmarks.soak_client import CONNECTIONS, Crowd, SoakError
from benchmarks.soak_stack import SoakService, on_own_postgres, on_postgres
from benchmarks.soak_votes import SHARE_MALFORMED, BallotPapers, Votes, voter_tokens

OPTIONS = 5
_STILL_SECONDS = 120  # without one last answer: something hangs
_LOOK_SECONDS = 0.01


@dataclass
class Result:
    """What came of a part: a line of figures, and what does not hold."""

    name: str
    figures: str = ""
    wrong: list[str] = field(default_factory=list)


class Volley:
    """A crowd that votes in one new poll, watched by the main thread."""

    def __init__(self, service: SoakService, votes: int, log: Path) -> None:
        poll = service.make_poll(service.organiser(), OPTIONS)
        malformed = round(votes * SHARE_MALFORMED)
        tokens = voter_tokens(service.secret, votes + malformed)
        self.log = log
        self.service = service
        self.voters = len(tokens)
        self.votes = Votes(BallotPapers(service.port, poll), tokens, malformed)
        self.crowd = Crowd(service.port, self.votes.shots(), log)
        self.began = time.monotonic()
        self.crowd.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let nobody vote on, whatever has happened."""
        self.crowd.stop()

    def wait(self, share: float) -> None:
        """Wait until this share of the voters have their last answer."""
        target, seen, since = self.voters * share, -1, time.monotonic()
        while self.crowd.is_alive() and self.crowd.settled < target:
            now = time.monotonic()
            if self.crowd.settled != seen:
                seen, since = self.crowd.settled, now
            elif now > since + _STILL_SECONDS:
                raise SoakError(
                    f"No vote has had a last answer for {_STILL_SECONDS} s. "
                    f"The service said: {self.service.said[-2000:]}"
                )
            time.sleep(_LOOK_SECONDS)
        if self.crowd.fault is not None:
            raise SoakError(f"The clients failed: {self.crowd.fault!r}")

    def finish(self, result: Result) -> None:
        """Wait for all answers, audit them, and add figures and findings to the result."""
        self.wait(float("inf"))
        seconds = time.monotonic() - self.began
        crowd, votes = self.crowd, self.votes
        began = time.monotonic()
        verdict = audit(self.service.store, self.log)
        audited = time.monotonic() - began
        result.wrong += verdict.findings
        if crowd.given_up:
            result.wrong.append(f"never answered but by 503: {crowd.given_up:,} requests")
        expected = self.voters - votes.malformed
        if not crowd.given_up and verdict.figures["ballots"] != expected:
            result.wrong.append(f"ballots: {verdict.figures['ballots']:,}, expected {expected:,}")
        if result.wrong:
            self.log.with_name("service").write_text(self.service.said, encoding="utf-8")
        took = statistics.quantiles(crowd.took, n=100)
        result.figures += (
            f"{verdict.figures['ballots']:,} ballots of {expected:,} voters "
            f"({votes.retries:,} retried, {votes.doubles:,} doubled, {votes.malformed:,} "
            f"malformed) by {CONNECTIONS} connections in {seconds:.1f} s, "
            f"{crowd.statuses.total() / seconds:,.0f} answers/s; answers: "
            + ", ".join(
                f"{count:,} x {status or 'lost'}"
                for status, count in sorted(crowd.statuses.items())
            )
            + f"; median {took[49] * 1000:.0f} ms, 99 % {took[98] * 1000:.0f} ms, "
            f"longest {max(crowd.took) * 1000:.0f} ms; "
            f"{verdict.figures['perhaps']:,} votes were once unknown; audited in {audited:.1f} s"
        )


@contextmanager
def a_log(result: Result) -> Iterator[Path]:
    """Give a file for a log; it is kept where something does not hold."""
    folder = Path(tempfile.mkdtemp(prefix="polls-soak-"))
    try:
        yield folder / "log"
    except BaseException:
        shutil.rmtree(folder)
        raise
    if result.wrong:
        result.wrong.append(f"the log of all answers is kept: {folder / 'log'}")
    else:
        shutil.rmtree(folder)


def run(votes: int) -> Result:
    """Vote in one poll, undisturbed."""
    result = Result("run")
    with on_postgres() as service, a_log(result) as log, Volley(service, votes, log) as volley:
        volley.finish(result)
        if volley.crowd.statuses[0]:
            result.wrong.append(f"connections lost undisturbed: {volley.crowd.statuses[0]:,}")
    return result


def _disturbed(volley: Volley, times: int, disturb: Callable[[], None], result: Result) -> None:
    """Disturb the voting so many times, evenly over its votes, then finish."""
    away = []
    for number in range(1, times + 1):
        volley.wait(number / (times + 1))
        if not volley.crowd.is_alive():
            result.wrong.append(
                f"the voting was over before it was disturbed for the {number}. time"
            )
            break
        began = time.monotonic()
        disturb()
        away.append(time.monotonic() - began)
    mean = statistics.fmean(away) if away else 0
    result.figures += f"{len(away)} times killed, ready again after {mean:.1f} s; "
    volley.finish(result)


def kill(votes: int, times: int) -> Result:
    """Kill the service's processes in the middle of the voting, on PostgreSQL."""
    result = Result("kill")
    with on_postgres() as service, a_log(result) as log, Volley(service, votes, log) as volley:
        _disturbed(volley, times, lambda: _kill(service), result)
    return result


def kill_embedded(votes: int, times: int) -> Result:
    """Do the same on the embedded default."""
    result = Result("kill (embedded)")
    with SoakService() as service, a_log(result) as log, Volley(service, votes, log) as volley:
        _disturbed(volley, times, lambda: _kill(service), result)
    return result


def _kill(service: SoakService) -> None:
    service.kill()
    service.start_again()


def postgres(votes: int, times: int) -> Result:
    """Kill PostgreSQL's processes in the middle of the voting."""
    result = Result("postgres")
    with (
        on_own_postgres() as (service, server),
        a_log(result) as log,
        Volley(service, votes, log) as volley,
    ):

        def crash() -> None:
            server.crash()
            server.start_again()

        _disturbed(volley, times, crash, result)
    return result
