"""What goes on in the live part of a soak run: votes, dashboards that come and go, brief polls."""

import itertools
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.soak_client import Crowd, Shot, SoakError
from benchmarks.soak_dashboards import Audience, Count, Dashboard, Seat
from benchmarks.soak_stack import SoakService
from benchmarks.soak_votes import BallotPapers, voter_tokens

OPTIONS = 5
PROMISED_SECONDS = 6.0  # after any disturbance
GRACE_SECONDS = 4.0  # for a machine that does other things, too
_LATE = PROMISED_SECONDS + GRACE_SECONDS
_CLOSE_SECONDS = 5.0  # from a poll's closing to that of its sockets
_STEP_SECONDS = 0.2
_LOOK_SECONDS = 0.01
_LEAVING = 2  # dashboards a step
_BRIEF_SECONDS = 4.0  # that a brief poll is open
_BRIEF_EVERY = 2.0  # seconds
_CONNECTIONS = 8
_ANSWER_SECONDS = 60
_TOKENS = 200  # drawn at once
_random = random.Random()  # noqa: S311 - who comes and goes


class Voting:
    """Votes at an even rate by connections of their own, until it is stopped."""

    def __init__(self, service: SoakService, polls: Sequence[dict[str, Any]], log: Path) -> None:
        self._secret = service.secret
        self._port = service.port
        self._papers = [BallotPapers(service.port, poll) for poll in polls]
        self._log = log
        self._numbers = itertools.count()
        self._over = threading.Event()
        self._crowd: Crowd | None = None
        self.statuses: Counter[int] = Counter()
        self.longest = 0.0

    def start(self, rate: float) -> None:
        """Let so many votes a second flow."""
        self._over.clear()
        shots = self._shots(rate)
        self._crowd = Crowd(self._port, shots, self._log, connections=_CONNECTIONS)
        self._crowd.start()

    def _shots(self, rate: float) -> Iterator[Shot]:
        """Yield each vote when its time has come: this holds the clients' own loop, no other."""
        due = time.monotonic()
        while True:
            for token in voter_tokens(self._secret, _TOKENS):
                if self._over.is_set():
                    return
                time.sleep(max(0.0, due - time.monotonic()))
                due = max(due, time.monotonic() - 1) + 1 / rate
                paper = _random.choice(self._papers)
                key = b"soak-%011d-a" % next(self._numbers)
                yield paper.vote(token, key, _random.randrange(len(paper.options)))

    def stop(self) -> None:
        """Send no more, and wait until each has its answer."""
        self._over.set()
        crowd, self._crowd = self._crowd, None
        if crowd is None:
            return
        crowd.join(_ANSWER_SECONDS)
        if crowd.is_alive():
            crowd.stop()
            raise SoakError(f"Votes have had no answer for {_ANSWER_SECONDS} s.")
        if crowd.fault is not None:
            raise SoakError(f"The clients failed: {crowd.fault!r}")
        self.statuses += crowd.statuses
        self.longest = max(self.longest, max(crowd.took, default=0.0))


@dataclass
class Brief:
    """A poll that is made, watched, voted in, closed or not, and deleted."""

    poll: dict[str, Any]
    watchers: list[Dashboard]
    began: float
    stage: str = "open"  # then closed, final, deleted
    since: float = 0.0  # when it was closed or deleted
    told: bool = False  # whether closing was told right, and judged

    @property
    def id(self) -> str:
        """The poll's id."""
        return str(self.poll["id"])


@dataclass
class Mix:
    """The dashboards and brief polls of a run. All that does not hold is added to `wrong`."""

    service: SoakService
    audience: Audience
    owner: dict[str, str]
    polls: list[dict[str, Any]]
    size: int  # dashboards at a time
    wrong: list[str]
    present: list[Dashboard] = field(default_factory=list)
    leaving: list[tuple[float, Dashboard]] = field(default_factory=list)
    briefs: list[Brief] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)
    longest_close: float = 0.0
    _memories: deque[dict[str, Count]] = field(default_factory=lambda: deque(maxlen=20))
    _next_brief: float = 0.0

    def go_on(self, seconds: float) -> None:
        """Have everything go on for so long."""
        until = time.monotonic() + seconds
        while (began := time.monotonic()) < until:
            self._turn_over()
            self._live_briefly()
            time.sleep(max(0.0, began + _STEP_SECONDS - time.monotonic()))

    # -- dashboards --------------------------------------------------------------------------

    def _seat(self) -> Seat:
        """Draw what a new dashboard is."""
        lasting = [poll["id"] for poll in self.polls]
        one = _random.choice(lasting)
        draw = _random.random()
        if draw < 0.1:  # noqa: PLR2004 - the mix
            return Seat([one], deaf=True)
        if draw < 0.3:  # noqa: PLR2004 - the mix
            brief = [brief.id for brief in self.briefs if brief.stage == "open"][-1:]
            return Seat([*_random.sample(lasting, max(1, len(lasting) - 1)), *brief], many=True)
        if draw < 0.6 and self._memories:  # noqa: PLR2004 - the mix
            held = _random.choice(self._memories)
            return Seat(list(held), held=held)
        return Seat([one])

    def _turn_over(self) -> None:
        """Let some leave, each in its way, and others come."""
        for dashboard in [one for one in self.present if one.ended]:
            self.present.remove(dashboard)
            self.wrong += dashboard.wrong
            code = dashboard.close_code
            self.wrong.append(f"the service dropped {dashboard.seat.path}, code {code}")
        if len(self.present) >= self.size:
            self._dismiss(_random.sample(self.present, _LEAVING))
        seats = [self._seat() for _ in range(min(_LEAVING * 4, self.size - len(self.present)))]
        self.present += self.audience.join(seats)
        self.figures["joined"] += len(seats)
        self._check_gone()

    def _dismiss(self, dashboards: list[Dashboard]) -> None:
        """Have these leave: the one half politely, the other by reset."""
        self.present = [one for one in self.present if one not in dashboards]
        half = len(dashboards) // 2
        self.audience.leave(dashboards[:half], dashboards[half:])
        for dashboard in dashboards:
            self.wrong += dashboard.wrong
            self.figures["frames"] += dashboard.frames
            self.leaving.append((time.monotonic(), dashboard))
            if len(dashboard.seat.polls) == 1 and dashboard.told:
                self._memories.append(dict(dashboard.counts))

    def _check_gone(self) -> None:
        """Expect whoever has left to be rid of the connection."""
        self.leaving = [(left, one) for left, one in self.leaving if not one.ended]
        late = [one for left, one in self.leaving if time.monotonic() > left + _LATE]
        for dashboard in late:
            self.wrong.append(f"a goodbye on {dashboard.seat.path} did not end the connection")
        if late:
            self.audience.leave([], late)
            self.leaving = [(left, one) for left, one in self.leaving if one not in late]

    # -- brief polls -------------------------------------------------------------------------

    def _live_briefly(self) -> None:
        now = time.monotonic()
        if now >= self._next_brief:
            self._next_brief = now + _BRIEF_EVERY
            poll = self.service.make_poll(self.owner, OPTIONS)
            watchers = self.audience.join([Seat([poll["id"]]) for _ in range(3)])
            self.briefs.append(Brief(poll, watchers, now))
            self.figures["brief polls"] += 1
        for brief in list(self.briefs):
            getattr(self, f"_when_{brief.stage}")(brief)

    def _when_open(self, brief: Brief) -> None:
        if time.monotonic() > brief.began + _BRIEF_SECONDS:
            if _random.random() < 1 / 3:
                self._delete(brief)
                return
            self.service.call("POST", f"{brief.poll['links']['self']}close/", owner=self.owner)
            brief.stage, brief.since = "closed", time.monotonic()
            return
        (token,) = voter_tokens(self.service.secret, 1)
        choice = {"choices": [_random.choice(brief.poll["options"])["id"]]}
        voter = {"X-Voter-Token": token.decode()}
        self.service.call("POST", brief.poll["links"]["vote"], choice, voter)

    def _when_closed(self, brief: Brief) -> None:
        """Expect the final count at every watcher, then the end of its socket."""
        late = time.monotonic() - brief.since
        if not brief.told and all(brief.id in one.finals for one in brief.watchers):
            brief.told = True
            truth = self.truth(brief.poll)
            for one in brief.watchers:
                shown = one.counts[brief.id]
                if (shown.ballots, shown.votes) != (truth.ballots, truth.votes):
                    self.wrong.append(f"closed with {shown}, but the results are {truth}")
                after = one.finals[brief.id] - brief.since
                self.longest_close = max(self.longest_close, after)
        elif not brief.told and late > _LATE:
            brief.told = True
            self.wrong.append(f"closing was not told within {_LATE:g} s")
        if brief.told and all(one.ended for one in brief.watchers):
            self._delete(brief)
        elif late > _LATE + _CLOSE_SECONDS:
            self.wrong.append(f"sockets of a closed poll stood for {late:.0f} s")
            self._delete(brief)

    def _delete(self, brief: Brief) -> None:
        self.service.call("DELETE", brief.poll["links"]["self"], owner=self.owner)
        brief.stage, brief.since = "deleted", time.monotonic()

    def _when_deleted(self, brief: Brief) -> None:
        """Expect every watcher to be sent away."""
        standing = [one for one in brief.watchers if not one.ended]
        if standing and time.monotonic() < brief.since + _LATE:
            return
        if standing:
            self.wrong.append(f"{len(standing)} sockets of a deleted poll stood on")
            self.audience.leave([], standing)
        self.wrong += [line for one in brief.watchers for line in one.wrong]
        self.briefs.remove(brief)

    # -- what all come to --------------------------------------------------------------------

    def truth(self, poll: dict[str, Any]) -> Count:
        """Return the count as the database has it."""
        return Count.of(self.service.call("GET", poll["links"]["results"], owner=self.owner))

    def settle(self, since: float) -> float:
        """Wait until every healthy dashboard shows the database's count; return how long it took.

        Nobody may vote meanwhile. It is waited no longer than the promise and its grace.
        """
        open_ones = [brief for brief in self.briefs if brief.stage == "open"]
        polls = [*self.polls, *(brief.poll for brief in open_ones)]
        truths = {poll["id"]: self.truth(poll) for poll in polls}
        watchers = [one for brief in open_ones for one in brief.watchers]
        healthy = [one for one in self.present if not one.seat.deaf] + watchers
        behind = [(one, poll) for one in healthy for poll in one.seat.polls if poll in truths]
        while True:
            behind = [(one, poll) for one, poll in behind if not one.shows(poll, truths[poll])]
            took = time.monotonic() - since
            if not behind:
                return took
            if took > _LATE:
                one, poll = behind[0]
                self.wrong.append(
                    f"{len(behind)} of {len(healthy)} dashboards were wrong after {took:.1f} s: "
                    f"{one.seat.path} shows {one.counts.get(poll)}, the results are {truths[poll]}"
                )
                return took
            time.sleep(_LOOK_SECONDS)

    def end(self) -> None:
        """Have all brief polls live to their end, then everybody leave."""
        self._next_brief = float("inf")
        while self.briefs:
            self._live_briefly()
            time.sleep(_STEP_SECONDS)
        self._next_brief = 0.0
        self._dismiss(self.present)
        while self.leaving:
            self._check_gone()
            time.sleep(_STEP_SECONDS)
