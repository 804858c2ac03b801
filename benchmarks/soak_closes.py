"""A part of a soak run: votes race the closing of their polls, and each count at close is final."""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.audit import NO_VOTE, audit
from benchmarks.soak_client import Crowd, Shot, SoakError
from benchmarks.soak_parts import Result, a_log
from benchmarks.soak_stack import SoakService, on_postgres
from benchmarks.soak_votes import BallotPapers, request, voter_tokens

POLLS = 50
VOTES = 1000
OPTIONS = 3
_WIDTH = 300  # a poll's votes are sent within so many requests around its close
_ROUND_SECONDS = 120
_COUNTED, _CLOSED = {"201", "200"}, "410"  # 200 where a 503 had to be sent again


@dataclass
class Race:
    """One round: polls, their votes and their closes."""

    service: SoakService
    owner: dict[str, str]
    polls: list[dict[str, Any]]
    closed: dict[str, dict[str, Any]] = field(default_factory=dict)  # the close's own answer
    at_close: dict[str, dict[str, Any]] = field(default_factory=dict)  # the results right after it
    wrong: list[str] = field(default_factory=list)

    def shots(self, draw: random.Random) -> Iterator[Shot]:
        """Yield votes and closes, each poll's votes on both sides of its close."""
        tokens = iter(voter_tokens(self.service.secret, VOTES))
        timed: list[tuple[float, int, Shot]] = []
        for poll in self.polls:
            papers = BallotPapers(self.service.port, poll)
            at = draw.uniform(0.2, 0.8) * VOTES
            timed.append((at, len(timed), self._close(poll)))
            for _ in range(VOTES // POLLS):
                key = b"close-%011d" % len(timed)
                vote = papers.vote(next(tokens), key, draw.randrange(OPTIONS))
                timed.append((at + draw.uniform(-_WIDTH, _WIDTH) / 2, len(timed), vote))
        for _, _, shot in sorted(timed):
            yield shot

    def _close(self, poll: dict[str, Any]) -> Shot:
        port, name = self.service.port, poll["id"]
        owner = f"Authorization: {self.owner['Authorization']}\r\n".encode()

        def note(status: int, body: bytes) -> None:
            if status != 200:  # noqa: PLR2004 - HTTP
                self.wrong.append(f"the results after a close answered {status}: {body!r}")
            else:
                self.at_close[name] = json.loads(body)

        def ask(status: int, body: bytes) -> Shot | None:
            if status != 200:  # noqa: PLR2004 - HTTP
                self.wrong.append(f"a close answered {status}: {body!r}")
                return None
            self.closed[name] = json.loads(body)
            return Shot(_label("results"), request(port, "GET", poll["links"]["results"]), note)

        path = f"/api/v1/polls/{name}/close/"
        return Shot(_label("close"), request(port, "POST", path, headers=owner), ask)

    def judge(self) -> None:
        """Read each count again, now that all votes are answered: it must not have moved."""
        for poll in self.polls:
            name = poll["id"]
            if name not in self.closed or name not in self.at_close:
                self.wrong.append(f"poll {name} has no count at close")
                continue
            first = _counts(self.at_close[name])
            if not self.at_close[name]["final"]:
                self.wrong.append(f"poll {name}: the results after its close are not final")
            if self.closed[name]["ballots"] != first["ballots"]:
                self.wrong.append(
                    f"poll {name}: {self.closed[name]['ballots']} ballots in the close's answer, "
                    f"{first['ballots']} in the results after it"
                )
            last = _counts(self.service.call("GET", poll["links"]["results"]))
            if last != first:
                self.wrong.append(f"poll {name}: {first} at close, {last} in the end")
            integrity = self.service.call("GET", f"/api/v1/polls/{name}/integrity/")
            if not integrity["equal"] or integrity["tally"] != first["votes"]:
                self.wrong.append(f"poll {name}: {first} at close, integrity says {integrity}")

    def judge_log(self, log: Path) -> Counter[str]:
        """Set what was acknowledged beside the counts at close; return how often which came."""
        counted: Counter[str] = Counter()
        answers: Counter[str] = Counter()
        with log.open(encoding="ascii") as lines:
            for line in lines:
                poll, _, _, _, status, _, _, _, _ = line.split(" ")
                if poll != NO_VOTE:
                    answers[status] += 1
                    counted[poll] += status in _COUNTED
        for name, results in self.at_close.items():
            acknowledged = counted[name.replace("-", "")]
            if acknowledged != results["ballots"]:
                self.wrong.append(
                    f"poll {name}: {acknowledged} votes acknowledged, "
                    f"{results['ballots']} ballots at close"
                )
        return answers


def _label(what: str) -> bytes:
    """Return the columns of a request that is no vote; its lines are kept out of the audit."""
    return f"{NO_VOTE} - {what} -".encode()


def _counts(results: dict[str, Any]) -> dict[str, Any]:
    return {
        "ballots": results["ballots"],
        "votes": {option["id"]: option["votes"] for option in results["options"]},
    }


def closes(rounds: int) -> Result:
    """Hold so many rounds."""
    result = Result("closes")
    answers: Counter[str] = Counter()
    ballots = 0
    began = time.monotonic()
    draw = random.Random(2009)  # noqa: S311 - the same order each time
    with on_postgres() as service:
        for number in range(1, rounds + 1):
            with a_log(result) as log:
                race, seen = _hold(service, draw, log)
                result.wrong += [f"round {number}: {line}" for line in race.wrong]
            answers += seen
            ballots += sum(results["ballots"] for results in race.at_close.values())
            if result.wrong:
                break
    if not (answers["201"] and answers[_CLOSED]):
        result.wrong.append(f"no race: the votes were answered {dict(answers)}")
    told = ", ".join(f"{count:,} x {status}" for status, count in sorted(answers.items()))
    result.figures = (
        f"{rounds} rounds of {VOTES:,} votes against {POLLS} closes in "
        f"{time.monotonic() - began:.1f} s: {told}; {ballots:,} ballots at close, all final"
    )
    return result


def _hold(service: SoakService, draw: random.Random, log: Path) -> tuple[Race, Counter[str]]:
    """Hold one round and judge it."""
    owner = service.organiser()
    race = Race(service, owner, [service.make_poll(owner, OPTIONS) for _ in range(POLLS)])
    crowd = Crowd(service.port, race.shots(draw), log)
    crowd.start()
    crowd.join(_ROUND_SECONDS)
    late = crowd.is_alive()
    crowd.stop()
    if late or crowd.fault is not None:
        raise SoakError(f"The clients failed: {crowd.fault or 'no end to the answers'!r}")
    race.judge()
    race.wrong += audit(service.store, log).findings
    return race, race.judge_log(log)
