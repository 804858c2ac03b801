"""Whatever is done to a poll, and whatever becomes of the frames, dashboards end at its count.

Each example is a history: things done to a poll, of which this process may or may not hear, updates
of other processes that come late, twice and in any order, and sockets that join with whatever they
had. Every frame must be of a count that the poll once had, and the last of them of the one it has.
"""

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polls.domain import lifecycle
from polls.domain.results import read_counts
from realtime import hub, runtime, subscription
from realtime.frames import Update
from tests.cast import Person, voter
from tests.realtime.client import Frame, State, apply, counts_of
from tests.realtime.inside import InnerSocket, Inside

TICK_MS = 10
EXAMPLES = int(os.environ.get("HISTORIES", "40"))


@dataclass
class History:
    """A poll, all it ever was, and those who watch it."""

    owner: Person
    inside: Inside
    offers_frames: bool
    poll: dict[str, Any] = field(init=False)
    truth: dict[int, State] = field(default_factory=dict)  # by seq
    updates: list[Update] = field(default_factory=list)  # as another process would send them
    sockets: dict[InnerSocket, int | None] = field(default_factory=dict)  # what each had

    def __post_init__(self) -> None:
        self.inside.offers_frames = self.offers_frames
        self.poll = self.owner.make_poll(kind="multiple")
        self.note()

    def note(self) -> None:
        """Write down what the poll is now."""
        poll_id = uuid.UUID(self.poll["id"])
        update = Update.of(read_counts([poll_id])[poll_id])
        self.updates.append(update)
        self.truth[update.seq] = counts_of(json.loads(update.snapshot.text))

    def join(self, seq: int | None, *, at_rest: bool) -> None:
        """Open a socket by somebody who has the count of such a seq, or none.

        At rest, it has its first frame before anything else is done.
        """
        ticket = self.owner.post("/api/v1/live-tickets/", {"polls": [self.poll["id"]]}).json()
        query = "" if seq is None else f"since={seq}"
        socket = InnerSocket(self.inside, self.poll["links"]["live"], query)
        socket.say({"type": "auth", "ticket": ticket["ticket"]})
        self.sockets[socket] = seq
        if at_rest:
            socket.until(1)

    def shown(self, socket: InnerSocket) -> State | None:
        """Return what a client shows, and make sure that no frame was ever wrong."""
        had = self.sockets[socket]
        state: State | None = None
        latest = 0
        for frame in socket.frames:
            if frame["type"] == "hello":
                assert frame["seq"] == had
                state = self.truth[frame["seq"]]
            if "options" in frame:
                assert counts_of(frame) == self.truth[frame["seq"]]
                assert frame["seq"] > latest, "a count goes back, or is told twice"
                latest = frame["seq"]
            state = apply(state, frame)
        return state


def vote(history: History, places: list[int]) -> None:
    voter().vote(history.poll, *places)


def _edit(**fields: Any) -> Callable[[History], None]:
    def edit(history: History) -> None:
        history.owner.patch(history.poll["links"]["self"], fields)

    return edit


def reset(history: History) -> None:
    history.owner.post(f"{history.poll['links']['self']}reset/")


def close(history: History) -> None:
    history.owner.post(f"{history.poll['links']['self']}close/")


def reach_deadline(history: History) -> None:
    soon = (timezone.now() + timedelta(milliseconds=150)).isoformat()
    history.owner.patch(history.poll["links"]["self"], {"closes_at": soon})
    history.note()
    time.sleep(0.2)
    lifecycle.settle_poll(uuid.UUID(history.poll["id"]))


votes = st.lists(st.integers(0, 1), min_size=1, max_size=2, unique=True).map(
    lambda places: lambda history: vote(history, places)
)
edits = st.sampled_from(
    [_edit(title="Supper?"), _edit(results_visibility="owner"), _edit(results_visibility="always")]
)
resets = st.just(reset)
ends = st.sampled_from([close, reach_deadline])
does = st.tuples(st.just("do"), st.one_of(votes, votes, edits, resets), st.booleans())
comes_late = st.tuples(st.just("late"), st.integers(0, 50), st.just(0))
joins = st.tuples(st.just("join"), st.none() | st.integers(0, 50), st.booleans())
compares = st.tuples(st.just("compare"), st.just(0), st.just(0))
waits = st.tuples(st.just("wait"), st.just(0), st.just(0))
steps = st.lists(st.one_of(does, does, comes_late, joins, compares, waits), max_size=25)


@contextmanager
def _deaf(patch: pytest.MonkeyPatch, *, deaf: bool) -> Iterator[None]:
    """Have this process hear nothing of what is done meanwhile."""
    with patch.context() as inner:
        if deaf:
            inner.setattr(runtime.Runtime, "hear", lambda *_: None)
            inner.setattr("polls.events._sinks", [])
        yield


def _act(history: History, step: tuple[str, Any, Any], patch: pytest.MonkeyPatch) -> None:
    match step:
        case ("do", action, deaf):
            with _deaf(patch, deaf=deaf):
                action(history)
                history.note()
        case ("late", number, _):
            update = history.updates[number % len(history.updates)]
            history.inside.do(runtime.runtime.hub.deliver, update)
        case ("join", seq, at_rest):
            history.join(seq, at_rest=at_rest)
        case ("compare", _, _):
            history.inside.call(runtime.runtime.hub.reconcile())
        case _:
            time.sleep(TICK_MS * 2 / 1000)


def _all_show(history: History, wanted: Frame) -> bool:
    return all(history.shown(socket) == wanted for socket in list(history.sockets))


def test_every_dashboard_ends_at_the_count_by_frames_that_were_true(
    database: None, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    del database
    monkeypatch.setattr(hub, "_VOTERS_SECONDS", 0.05)
    monkeypatch.setattr(subscription, "CLOSED_SECONDS", 60.0)
    monkeypatch.setattr(runtime, "RECONCILE_SECONDS", 3600.0)  # the history says when

    @settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
    @given(steps=steps, end=st.none() | ends, offers_frames=st.booleans())
    def hold(steps: list[Any], end: Any, *, offers_frames: bool) -> None:
        history = History(alice, inside, offers_frames)
        history.join(None, at_rest=True)
        for step in [*steps, *([] if end is None else [("do", end, True)])]:
            _act(history, step, monkeypatch)
        # What a process does every five seconds: the promise is that this is enough.
        inside.call(runtime.runtime.hub.reconcile())
        wanted = history.truth[max(history.truth)]
        inside.wait_until(lambda: _all_show(history, wanted), 5)
        for socket in history.sockets:
            socket.leave()
            socket.until_over()

    with override_settings(TICK_MS=TICK_MS):
        inside = Inside()
        try:
            hold()
        finally:
            inside.stop()
    assert inside.faults == []
