"""Row 36: when a poll opens and closes is told by the database's clock, not by this machine's.

The application's clock goes five minutes wrong, ahead and behind, on both sides of either edge.
"""

import time
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from polls.domain.database import clock
from tests.cast import Person, assert_problem, voter

WRONG_BY = (timedelta(minutes=-5), timedelta(0), timedelta(minutes=5))
AHEAD = timedelta(seconds=1.5)


def _set_wrong(patch: pytest.MonkeyPatch, by: timedelta) -> None:
    now, seconds = timezone.now, time.time
    patch.setattr(timezone, "now", lambda: now() + by)
    patch.setattr(time, "time", lambda: seconds() + by.total_seconds())


def _wait_until(moment: datetime) -> None:
    while clock() <= moment:
        time.sleep(0.02)


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize("by", WRONG_BY, ids=str)
def test_row_36_vote_is_taken_up_to_closes_at_and_not_after(
    alice: Person, monkeypatch: pytest.MonkeyPatch, by: timedelta
) -> None:
    ann, ben = voter(), voter()
    closes_at = clock() + AHEAD
    poll = alice.make_poll(closes_at=_rfc3339(closes_at))
    _set_wrong(monkeypatch, by)
    assert ann.vote(poll, 0).status_code == 201
    _wait_until(closes_at)
    assert_problem(ben.vote(poll, 0), 410, "poll_closed")
    read = alice.read_poll(poll)
    assert (read["status"], read["closed_at"]) == ("closed", read["closes_at"])


@pytest.mark.parametrize("by", WRONG_BY, ids=str)
def test_row_36_vote_is_taken_from_opens_at_and_not_before(
    alice: Person, monkeypatch: pytest.MonkeyPatch, by: timedelta
) -> None:
    ann = voter()
    opens_at = clock() + AHEAD
    poll = alice.make_poll(opens_at=_rfc3339(opens_at))
    _set_wrong(monkeypatch, by)
    assert_problem(ann.vote(poll, 0), 409, "poll_not_open")
    _wait_until(opens_at)
    assert ann.vote(poll, 0).status_code == 201


def test_row_36_control_a_clock_that_is_asked_here_would_be_noticed(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks this machine's clock takes a poll that closes in a minute for closed."""
    _set_wrong(monkeypatch, WRONG_BY[-1])
    monkeypatch.setattr("polls.domain.definition.clock", timezone.now)
    answer = alice.post(
        "/api/v1/polls/",
        {
            "title": "Lunch?",
            "options": [{"text": "Pizza"}, {"text": "Sushi"}],
            "closes_at": _rfc3339(clock() + timedelta(minutes=1)),
        },
    )
    assert answer.status_code == 400
