"""Which polls a process reads each tick."""

import time
import uuid
from collections.abc import Collection
from typing import Any

import pytest

from polls.domain.results import Count, read_counts
from realtime import broadcaster
from tests.cast import Person, voter
from tests.realtime.inside import TICK, InnerSocket, Inside, live_path


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[set[uuid.UUID]]:
    """What is read each tick."""
    found: list[set[uuid.UUID]] = []

    def note(poll_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Count]:
        found.append(set(poll_ids))
        return read_counts(poll_ids)

    monkeypatch.setattr(broadcaster, "read_counts", note)
    return found


def _vote(*polls: dict[str, Any]) -> None:
    for poll in polls:
        assert voter().vote(poll, 0).status_code == 201


def test_only_what_somebody_watches_is_read_and_not_for_votes(
    inside: Inside, alice: Person, readings: list[set[uuid.UUID]]
) -> None:
    watched, other = alice.make_poll(), alice.make_poll()
    socket = InnerSocket(inside, live_path(watched))
    socket.until(1)
    for ballots in range(3):
        _vote(other, watched, other)
        assert socket.until(ballots + 2)[-1]["ballots"] == ballots + 1
    time.sleep(TICK * 2)
    assert readings == []  # what the flush has left of the counts is told as it is
    for poll in (watched, other):
        alice.patch(poll["links"]["self"], {"title": "Supper?"})
    socket.until(5)
    time.sleep(TICK * 2)
    assert readings == [{uuid.UUID(watched["id"])}]
