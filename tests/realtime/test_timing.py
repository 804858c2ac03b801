"""What comes while a socket joins or does not read, seen from inside."""

import time
import uuid

import pytest
from django.db import transaction

from polls.models import LiveTicket
from realtime import outbox, subscription
from realtime.runtime import Runtime, runtime
from tests.cast import Person, voter
from tests.realtime.inside import TICK, InnerSocket, Inside, live_path, update_of


def test_ticket_that_came_in_time_counts_however_slow_the_database_is(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "AUTH_SECONDS", 0.5)
    poll = alice.make_poll(results_visibility="owner")
    ticket = alice.post("/api/v1/live-tickets/", {"polls": [poll["id"]]}).json()["ticket"]
    socket = InnerSocket(inside, live_path(poll))
    inside.until_watched(poll)
    with transaction.atomic():
        # Nobody else can use the ticket up meanwhile, and everybody can read.
        assert len(LiveTicket.objects.select_for_update()) == 1
        socket.say({"type": "auth", "ticket": ticket})
        time.sleep(1)
    assert socket.until(1)[0]["type"] == "snapshot"


def test_comparing_tells_no_draft_from_a_poll_that_is_not_there(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "AUTH_SECONDS", 1.0)
    draft = alice.make_poll(status="draft")
    sockets = [InnerSocket(inside, p) for p in (live_path(draft), f"/ws/polls/{uuid.uuid4()}/")]
    inside.wait_until(lambda: len(runtime.hub.watched) == 2)
    for _ in range(3):
        inside.call(runtime.hub.reconcile())
        time.sleep(0.1)
        assert [socket.told for socket in sockets] == [[{"type": "websocket.accept"}]] * 2
    assert [socket.until_over() for socket in sockets] == [4404, 4404]


def test_votes_between_joining_and_the_snapshot_are_not_lost(inside: Inside, alice: Person) -> None:
    poll = alice.make_poll()
    with inside.busy_database():
        socket = InnerSocket(inside, live_path(poll))
        inside.until_watched(poll)
        inside.do(runtime.hub.deliver, update_of(poll, seq=7))
    # By a snapshot all the same: nothing else tells a client to forget what it had.
    assert [(f["type"], f["seq"]) for f in socket.until(1)] == [("snapshot", 7)]


def test_stuck_reader_is_told_4408_if_it_wakes_up_in_time(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "STUCK_SECONDS", 0.3)
    poll = alice.make_poll()
    socket = InnerSocket(inside, live_path(poll))
    socket.until(1)
    socket.stop_reading()
    voter().vote(poll, 0)
    time.sleep(0.8)
    socket.read_on()
    assert socket.until_over() == 4408
    assert not socket.aborted
    inside.nothing_is_left(inside.tasks())


def test_stuck_reader_is_dropped_and_disturbs_nobody(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "STUCK_SECONDS", 0.3)
    poll = alice.make_poll()
    stuck, reading = InnerSocket(inside, live_path(poll)), InnerSocket(inside, live_path(poll))
    for socket in (stuck, reading):
        socket.until(1)
    stuck.stop_reading()
    voter().vote(poll, 0)
    assert reading.until(2)[-1]["ballots"] == 1
    inside.wait_until(lambda: stuck.aborted)
    stuck.until_over()
    assert len(stuck.frames) == 1
    inside.wait_until(lambda: runtime.sockets == 1)
    assert reading.code is None


def test_reader_that_is_behind_is_told_the_newest_alone(inside: Inside, alice: Person) -> None:
    poll = alice.make_poll()
    socket = InnerSocket(inside, live_path(poll))
    socket.until(1)
    socket.stop_reading()
    for seq in range(2, 5):
        inside.do(runtime.hub.deliver, update_of(poll, seq=seq))
        time.sleep(TICK * 1.2)
    socket.read_on()
    assert [frame["seq"] for frame in socket.until(3)] == [1, 2, 4]


def test_count_that_waited_for_its_tick_is_the_newest_by_then(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Runtime, "hear", lambda *_: None)
    monkeypatch.setattr("polls.events._sinks", [])
    poll = alice.make_poll()
    socket = InnerSocket(inside, live_path(poll))
    socket.until(1)
    time.sleep(TICK)  # joining has told of it, too
    for _ in range(2):
        voter().vote(poll, 0)
        inside.do(runtime.hub.deliver, update_of(poll))
    voter().vote(poll, 0)  # of which nobody tells before the tick is over
    assert [frame["ballots"] for frame in socket.until(3)] == [0, 1, 3]
