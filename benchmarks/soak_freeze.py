"""A part of a soak run: PostgreSQL hangs for a while, and every client hears so in time."""

import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import requests

from benchmarks.soak_parts import Result, Volley, a_log
from benchmarks.soak_stack import on_own_postgres

PROMISED_SECONDS = 5.0
_LOOK_SECONDS = 0.25
_HEALTH_SECONDS = 10
_NOTICED_SECONDS = 5.0  # by then /readyz has seen it, and by then it has seen the end of it
_UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class Look:
    """One answer of a health check."""

    began: float
    took: float
    status: int  # 0: none


class Doctor(threading.Thread):
    """Asks one path of a service for its health again and again."""

    def __init__(self, url: str, path: str) -> None:
        super().__init__(name=f"doctor {path}", daemon=True)
        self._url = url + path
        self._over = threading.Event()
        self.looks: list[Look] = []

    def run(self) -> None:
        """Ask until it is over."""
        while not self._over.wait(_LOOK_SECONDS):
            began = time.monotonic()
            try:
                status = requests.get(self._url, timeout=_HEALTH_SECONDS).status_code
            except requests.RequestException:
                status = 0
            self.looks.append(Look(began, time.monotonic() - began, status))

    def end(self) -> None:
        """Let it end."""
        self._over.set()
        self.join()


def freeze(votes: int, seconds: float) -> Result:
    """Stop PostgreSQL for so long in the middle of the voting."""
    result = Result("freeze")
    with (
        on_own_postgres() as (service, server),
        a_log(result) as log,
        Volley(service, votes, log) as volley,
    ):
        doctors = [Doctor(service.url, path) for path in ("/livez", "/readyz")]
        for doctor in doctors:
            doctor.start()
        volley.wait(1 / 3)
        with server.frozen() as frozen:
            time.sleep(seconds)
            thawed = time.monotonic()
        settled = volley.crowd.settled
        volley.wait((settled + 1) / volley.voters)
        again = time.monotonic() - thawed
        result.figures = f"{seconds:.0f} s frozen, voting went on {again:.1f} s after; "
        volley.finish(result)
        while time.monotonic() < thawed + _NOTICED_SECONDS + 1:
            time.sleep(_LOOK_SECONDS)
        for doctor in doctors:
            doctor.end()
        _judge_answers(log, frozen, thawed, result)
        alive, ready = (doctor.looks for doctor in doctors)
        _judge_health(alive, ready, (frozen, thawed), result)
    return result


def _judge_answers(log: Path, frozen: float, thawed: float, result: Result) -> None:
    """Look at every answer that came while PostgreSQL stood still, or should have."""
    codes: Counter[str] = Counter()
    longest = 0.0
    late = 0
    with log.open(encoding="ascii") as lines:
        for line in lines:
            _, _, _, option, status, code, _, sent, took = line.split(" ")
            began, seconds = float(sent), float(took) / 1000
            if began + seconds < frozen or began > thawed:
                continue
            longest = max(longest, seconds)
            late += seconds > PROMISED_SECONDS
            # What was sent before may have been counted before, and may say so.
            within = frozen < began and began + seconds < thawed
            if within and not (option == "-" and status == "400"):
                codes[f"{status} {code}"] += 1
    others = {answer: number for answer, number in codes.items() if answer[:3] != "503"}
    if others:
        result.wrong.append(f"answered otherwise than by 503 while frozen: {others}")
    if late:
        result.wrong.append(f"answered later than {PROMISED_SECONDS:.0f} s while frozen: {late:,}")
    if not codes:
        result.wrong.append("nobody was answered while PostgreSQL stood still")
    told = ", ".join(f"{number:,} x {answer}" for answer, number in sorted(codes.items()))
    result.figures += f"; while frozen {told}, the longest after {longest:.2f} s"


def _judge_health(
    alive: list[Look], ready: list[Look], still: tuple[float, float], result: Result
) -> None:
    """Expect a process that lives all the time, and is not ready while the database hangs."""
    frozen, thawed = still
    dead = Counter(look.status for look in alive if look.status != 200)  # noqa: PLR2004 - HTTP
    if dead:
        result.wrong.append(f"/livez did not answer 200: {dict(dead)}")
    during = Counter(
        look.status
        for look in ready
        if look.began > frozen + _NOTICED_SECONDS and look.began + look.took < thawed
    )
    if set(during) != {_UNAVAILABLE}:
        result.wrong.append(f"/readyz while frozen, expected 503 alone: {dict(during)}")
    after = Counter(look.status for look in ready if look.began > thawed + _NOTICED_SECONDS)
    if set(after) != {200}:
        result.wrong.append(f"/readyz after it, expected 200 alone: {dict(after)}")
    longest = max(look.took for look in alive)
    result.figures += (
        f"; /livez {len(alive)} x asked, the longest {longest * 1000:.0f} ms; "
        f"/readyz {during[_UNAVAILABLE]} x 503 meanwhile"
    )
