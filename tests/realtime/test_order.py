"""Counts go forward: what is late, early or lost on its way is not what dashboards show."""

import asyncio
import threading
import time
import uuid
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

import pytest

from polls.domain.results import Count, Version, read_counts
from realtime import broadcaster, hub, reception
from realtime.admission import admit
from realtime.runtime import runtime
from realtime.subscription import Subscription
from tests.cast import Person, voter
from tests.realtime.client import PATIENCE
from tests.realtime.inside import TICK, InnerSocket, Inside, live_path, update_of

Counts = dict[uuid.UUID, Count]


@pytest.fixture
def without_comparing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is compared with the database unless the test says so."""
    with monkeypatch.context() as patch:
        patch.setattr(hub.Hub, "reconcile", _nothing)
        yield


async def _nothing(_: hub.Hub) -> None:
    pass


@pytest.mark.usefixtures("without_comparing")
def test_frame_that_another_process_sent_late_is_not_shown(inside: Inside, alice: Person) -> None:
    poll = alice.make_poll()
    socket = InnerSocket(inside, live_path(poll))
    socket.until(1)
    for seq in (12, 11, 12):
        inside.do(runtime.hub.deliver, update_of(poll, seq=seq))
        time.sleep(TICK * 1.2)
    assert [frame["seq"] for frame in socket.frames] == [1, 12]


@pytest.mark.usefixtures("without_comparing")
def test_restored_count_that_waits_for_its_tick_is_not_taken_for_an_older_one(
    inside: Inside, alice: Person
) -> None:
    poll = alice.make_poll()
    socket = InnerSocket(inside, live_path(poll))
    socket.until(1)
    for number in range(2, 4):
        voter().vote(poll, 0)
        assert socket.until(number)[-1]["seq"] == number  # which this process remembers
    restored = update_of(poll, seq=2, ballots=1)
    inside.do(runtime.hub.deliver, restored, replace=True)
    assert [(frame["type"], frame["seq"]) for frame in socket.until(4)] == [
        ("snapshot", 1),
        ("tally", 2),
        ("tally", 3),
        ("snapshot", 2),
    ]


def test_reading_from_before_the_last_frame_is_not_shown(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comparison reads, and before it has the answer a vote is counted and shown."""
    poll = alice.make_poll()
    poll_id = uuid.UUID(poll["id"])
    socket = InnerSocket(inside, live_path(poll))
    socket.until(1)
    voter().vote(poll, 0)
    assert socket.until(2)[-1]["seq"] == 2
    early = [{poll_id: replace(read_counts([poll_id])[poll_id], seq=1)}]

    def read_early(polls: Collection[uuid.UUID]) -> Counts:
        return early.pop() if early else read_counts(polls)

    monkeypatch.setattr(hub, "read_versions", lambda _: {poll_id: Version(1, "open", (0, None))})
    monkeypatch.setattr(hub, "read_counts", read_early)
    inside.call(runtime.hub.reconcile())
    assert early == []
    time.sleep(TICK * 1.2)
    assert [frame["seq"] for frame in socket.frames] == [1, 2]


def test_count_that_comes_by_itself_while_it_is_compared_is_told_once(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = alice.make_poll()
    poll_id = uuid.UUID(poll["id"])
    socket = InnerSocket(inside, live_path(poll))
    socket.until(1)
    told = threading.Event()

    def read_late(polls: Collection[uuid.UUID]) -> Counts:
        assert told.wait(PATIENCE)
        return read_counts(polls)

    monkeypatch.setattr(hub, "read_versions", lambda _: {poll_id: Version(2, "open", (0, None))})
    monkeypatch.setattr(hub, "read_counts", read_late)
    comparing = asyncio.run_coroutine_threadsafe(runtime.hub.reconcile(), inside.loop)
    voter().vote(poll, 0)
    assert socket.until(2)[-1]["seq"] == 2
    told.set()
    comparing.result(PATIENCE)
    time.sleep(TICK * 1.2)
    assert [frame["seq"] for frame in socket.frames] == [1, 2]


@pytest.mark.usefixtures("without_comparing")
def test_count_that_could_not_be_read_is_read_again(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = alice.make_poll()
    socket = InnerSocket(inside, live_path(poll))
    socket.until(1)
    failures = [OSError("as the test asked")]

    def fail_once(polls: Collection[uuid.UUID]) -> Counts:
        if failures:
            raise failures.pop()
        return read_counts(polls)

    monkeypatch.setattr(broadcaster, "read_counts", fail_once)
    alice.patch(poll["links"]["self"], {"title": "Supper?"})
    assert socket.until(2)[-1]["seq"] == 2
    assert failures == []


@pytest.mark.usefixtures("without_comparing")
@pytest.mark.parametrize("view", ["", "view=status"])
def test_vote_that_is_counted_while_a_ticket_is_looked_at_is_shown(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch, view: str
) -> None:
    """The poll was read before it, and the socket, which sees nothing yet, was told of it."""
    poll = alice.make_poll(results_visibility="after_vote")
    ann = voter()
    ann.vote(poll, 0)
    body = {"polls": [poll["id"]]}
    ticket = ann.post("/api/v1/live-tickets/", body).json()["ticket"]
    socket = InnerSocket(inside, live_path(poll), view)
    inside.until_watched(poll)
    if view:
        assert [frame["type"] for frame in socket.until(1)] == ["status"]
    begun = len(socket.frames)
    read, counted = threading.Event(), threading.Event()

    def admit_late(asked: Any) -> Any:
        found = admit(asked)
        read.set()
        assert counted.wait(PATIENCE)
        return found

    monkeypatch.setattr(reception, "admit", admit_late)
    socket.say({"type": "auth", "ticket": ticket})
    assert read.wait(PATIENCE)
    voter().vote(poll, 0)
    poll_id = uuid.UUID(poll["id"])
    inside.wait_until(lambda: (last := runtime.hub.last(poll_id)) is not None and last.seq == 3)
    counted.set()
    socket.until(begun + 1)
    inside.wait_until(lambda: socket.frames[-1].get("seq") == 3)


def test_socket_that_was_passed_over_is_told_by_the_next_comparison(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = alice.make_poll()
    poll_id = uuid.UUID(poll["id"])
    socket = InnerSocket(inside, live_path(poll))
    socket.until(1)
    watched = runtime.hub.watched[poll_id]
    (subscriber,) = watched.subscribers
    with monkeypatch.context() as patch:
        patch.setattr(hub.Hub, "reconcile", _nothing)
        patch.setattr(Subscription, "update", lambda *_, **__: None)
        inside.do(subscriber.fall_out)
        voter().vote(poll, 0)
        inside.wait_until(lambda: watched.last is not None and watched.last.seq == 2)
    assert [frame["seq"] for frame in socket.frames] == [1]
    inside.call(runtime.hub.reconcile())
    assert [frame["seq"] for frame in socket.until(2)] == [1, 2]
    voter().vote(poll, 0)
    assert [frame["seq"] for frame in socket.until(3)] == [1, 2, 3]
