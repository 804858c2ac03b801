"""Frames of every shape on every kind of socket, and nothing of them is left inside."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.frames import (
    EVENT,
    MALFORMED,
    MANY,
    MOST_BYTES,
    POLL,
    draw_message,
    draw_query,
    meaning_of,
)
from realtime.asyncapi import close_codes
from tests.cast import Person
from tests.realtime.inside import InnerSocket, Inside, live_path

DOCUMENTED = {entry["code"] for entry in close_codes()} - {1011}


class Talking:
    """Polls and an event, and whoever says anything about them."""

    def __init__(self, inside: Inside, alice: Person) -> None:
        self.inside = inside
        shown, self.hidden = alice.make_poll(), alice.make_poll(results_visibility="owner")
        draft = alice.make_poll(status="draft")
        self.ids = [poll["id"] for poll in (shown, self.hidden, draft)]
        event = alice.make_event(shown, self.hidden, current=shown["id"])
        self.paths = {POLL: live_path(shown), MANY: "/ws/", EVENT: live_path(event)}
        self.tasks = inside.tasks()

    def talk(self, draw: random.Random, kind: str) -> tuple[InnerSocket, set[int]]:
        """Say a few things on a new socket; return it and how it may end."""
        query, taken = draw_query(draw, kind)
        socket = InnerSocket(self.inside, self.paths[kind], query)
        if not taken:
            return socket, {MALFORMED}
        for _ in range(draw.randrange(1, 5)):
            payload = draw_message(draw, self.ids)
            try:
                text = payload.decode()
            except UnicodeDecodeError:
                continue  # the server's protocol ends such a socket before we see it
            message: dict[str, Any] = {"type": "websocket.receive", "text": text}
            self.inside.do(socket._incoming.put_nowait, message)
            # What is too long for the protocol is malformed to us.
            too_long = len(text) > MOST_BYTES
            ends = {MALFORMED} if too_long else set(meaning_of(payload, kind).ends)
            if ends:
                return socket, ends
        return socket, set()


@pytest.mark.parametrize("kind", [POLL, MANY, EVENT])
def test_any_frames_end_as_documented_and_leave_nothing_behind(
    inside: Inside, alice: Person, kind: str
) -> None:
    talking = Talking(inside, alice)

    @settings(
        max_examples=15,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def hold(draw: random.Random) -> None:
        socket, ends = talking.talk(draw, kind)
        if not ends:
            socket.say({"type": "ping"})
            inside.wait_until(lambda: {"type": "pong"} in socket.frames or socket.code is not None)
            socket.leave()
        code = socket.until_over()
        assert code is None or code in DOCUMENTED
        assert (code in ends) if ends else code is None
        counts = [frame for frame in socket.frames if "ballots" in frame]
        assert {frame["poll"] for frame in counts} <= {talking.ids[0]}

    hold()
    inside.nothing_is_left(talking.tasks)
    assert inside.faults == []
