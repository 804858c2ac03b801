"""Sockets leave nothing behind, however they end, and are bounded in number and size."""

import time
import uuid
from collections.abc import Callable

import pytest
from django.test import override_settings

from realtime import subscription
from tests.cast import Person
from tests.realtime.inside import InnerSocket, Inside, live_path


def _leaves_at_once(socket: InnerSocket) -> None:
    socket.leave()


def _leaves_after_the_snapshot(socket: InnerSocket) -> None:
    socket.until(1)  # every socket leaves in the end


def _says_nonsense(socket: InnerSocket) -> None:
    socket.say([])


def _breaks_at_once(socket: InnerSocket) -> None:
    socket.failure = ConnectionResetError


def _breaks_while_being_written_to(error: type[Exception]) -> Callable[[InnerSocket], None]:
    def act(socket: InnerSocket) -> None:
        socket.until(1)
        socket.failure = error
        socket.say({"type": "ping"})

    return act


def _is_cancelled(socket: InnerSocket) -> None:
    socket.until(1)
    socket.inside.do(socket.task.cancel)


WAYS = {
    "leaves at once": _leaves_at_once,
    "leaves after the snapshot": _leaves_after_the_snapshot,
    "says nonsense": _says_nonsense,
    "breaks before it is accepted": _breaks_at_once,
    "the client has gone": _breaks_while_being_written_to(ConnectionResetError),
    "the server has closed it": _breaks_while_being_written_to(RuntimeError),
    "the server is being stopped": _is_cancelled,
}


@pytest.mark.parametrize("way", WAYS)
def test_two_hundred_sockets_leave_nothing_behind(inside: Inside, alice: Person, way: str) -> None:
    polls = [alice.make_poll() for _ in range(4)]
    tasks = inside.tasks()
    sockets = [InnerSocket(inside, live_path(polls[n % 4])) for n in range(200)]
    for socket in sockets:
        WAYS[way](socket)
    time.sleep(0.3)
    for socket in sockets:
        socket.leave()
    for socket in sockets:
        socket.until_over()
    inside.nothing_is_left(tasks)


@pytest.mark.parametrize("way", WAYS)
def test_sockets_of_events_leave_nothing_behind(inside: Inside, alice: Person, way: str) -> None:
    poll = alice.make_poll()
    event = alice.make_event(poll, current=poll["id"])
    tasks = inside.tasks()
    sockets = [InnerSocket(inside, live_path(event)) for _ in range(50)]
    for socket in sockets:
        WAYS[way](socket)
    alice.patch(event["links"]["self"], {"title": "Another"})
    time.sleep(0.3)
    for socket in sockets:
        socket.leave()
    for socket in sockets:
        socket.until_over()
    inside.nothing_is_left(tasks)


def test_sockets_that_wait_or_are_refused_leave_nothing_behind(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "AUTH_SECONDS", 0.2)
    hidden = alice.make_poll(results_visibility="owner")
    tasks = inside.tasks()
    paths = (live_path(hidden), f"/ws/polls/{uuid.uuid4()}/", "/ws/nothing/")
    waiting = [InnerSocket(inside, path) for path in paths for _ in range(20)]
    gone = [InnerSocket(inside, path) for path in paths for _ in range(20)]
    foreign = [InnerSocket(inside, path, origin="https://elsewhere") for path in paths]
    phones = [InnerSocket(inside, live_path(hidden), "view=status") for _ in range(20)]
    for socket in gone:
        socket.leave()
    for socket in phones:
        socket.until(1)
        socket.leave()
    assert {socket.until_over() for socket in waiting} == {4403, 4404}
    for socket in [*gone, *foreign, *phones]:
        socket.until_over()
    inside.nothing_is_left(tasks)


def test_row_15_process_holds_no_more_sockets_than_its_limit(inside: Inside, alice: Person) -> None:
    poll = alice.make_poll()
    with override_settings(MAX_SOCKETS=2):
        first, second = InnerSocket(inside, live_path(poll)), InnerSocket(inside, live_path(poll))
        first.until(1)
        second.until(1)
        third = InnerSocket(inside, live_path(poll))
        assert third.until_over() == 4429
        assert [(f["code"], f["poll"]) for f in third.frames] == [("too_many", poll["id"])]
        first.leave()
        first.until_over()
        fourth = InnerSocket(inside, live_path(poll))
        assert fourth.until(1)[0]["type"] == "snapshot"


def test_message_that_the_server_should_not_have_taken_is_refused(
    inside: Inside, alice: Person
) -> None:
    socket = InnerSocket(inside, live_path(alice.make_poll()))
    socket.until(1)
    socket.say({"type": "auth", "ticket": "x" * 5000})
    assert socket.until_over() == 4400
    assert [frame.get("code") for frame in socket.frames] == [None, "malformed"]
