"""Polls whose time has come while nobody looked: who changes one finds it as the voters do."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

import psycopg2
import pytest
from django.db import connection

from polls import events
from polls.domain import lifecycle, polls
from polls.domain.database import clock
from polls.errors import Code, Refusal
from polls.models import Poll
from tests.cast import Person
from tests.polls.ballots import new_paper, stored
from tests.polls.stacks import on_postgres_alone


def _due(alice: Person, **times: timedelta) -> uuid.UUID:
    """Make a poll, then move its times so that they have passed and nobody has noticed."""
    ahead: dict[str, Any] = {name: clock() + timedelta(hours=1) for name in times}
    if "opens_at" in times and "closes_at" in times:
        ahead["closes_at"] += timedelta(hours=1)
    paper = new_paper(alice, **ahead)
    passed = {name: clock() + offset for name, offset in times.items()}
    Poll.objects.filter(id=paper.poll_id).update(**passed)
    return paper.poll_id


OVER = {"closes_at": timedelta(seconds=-5)}
BEGUN = {"opens_at": timedelta(seconds=-5)}


def _refused(work: Callable[[], object]) -> Code:
    with pytest.raises(Refusal) as caught:
        work()
    return caught.value.code


@pytest.mark.parametrize(
    "changes",
    [
        {"closes_at": timedelta(hours=1)},
        {"closes_at": None},
        {"options": ["Pizza", "Bread"]},
        {"kind": "multiple"},
    ],
    ids=str,
)
def test_poll_past_its_deadline_cannot_be_edited_open_again(
    alice: Person, changes: dict[str, Any]
) -> None:
    poll_id = _due(alice, **OVER)
    moved = {
        name: clock() + value if isinstance(value, timedelta) else value
        for name, value in changes.items()
    }
    assert _refused(lambda: polls.edit_poll(poll_id, moved)) == Code.POLL_FROZEN
    lifecycle.settle_poll(poll_id)
    poll = Poll.objects.get(id=poll_id)
    assert (poll.status, poll.closed_at) == ("closed", poll.closes_at)


def test_title_of_a_poll_past_its_deadline_changes_and_the_poll_is_closed(alice: Person) -> None:
    poll_id = _due(alice, **OVER)
    polls.edit_poll(poll_id, {"title": "Dinner?"})
    poll = Poll.objects.get(id=poll_id)
    assert (poll.title, poll.status, poll.closed_at) == ("Dinner?", "closed", poll.closes_at)
    assert stored(poll_id).seq == 3  # once for the closing, once for the title


def test_poll_past_its_opening_cannot_be_scheduled_anew(alice: Person) -> None:
    poll_id = _due(alice, **BEGUN)
    later = {"opens_at": clock() + timedelta(hours=1)}
    assert _refused(lambda: polls.edit_poll(poll_id, later)) == Code.POLL_FROZEN


def test_poll_past_its_deadline_is_not_opened_and_closes_at_its_deadline(alice: Person) -> None:
    poll_id = _due(alice, **OVER)
    assert _refused(lambda: lifecycle.open_poll(poll_id)) == Code.POLL_CLOSED
    lifecycle.close_poll(poll_id)
    poll = Poll.objects.get(id=poll_id)
    assert (poll.status, poll.closed_at) == ("closed", poll.closes_at)


def test_poll_past_its_opening_has_opened_then_however_it_is_closed(alice: Person) -> None:
    poll_id = _due(alice, **BEGUN)
    lifecycle.close_poll(poll_id)
    poll = Poll.objects.get(id=poll_id)
    assert (poll.status, poll.opened_at) == ("closed", poll.opens_at)


def test_settling_under_the_lock_is_told_after_commit(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[events.Event] = []

    def hear(_: uuid.UUID, event: events.Event) -> None:
        assert not connection.in_atomic_block
        heard.append(event)

    monkeypatch.setattr(events, "_sinks", [hear])
    polls.edit_poll(_due(alice, **OVER), {"title": "Dinner?"})
    assert heard == [events.Event.CLOSED, events.Event.EDITED]


# -- one poll that is stuck -------------------------------------------------------------------


@contextmanager
def _held(poll_id: uuid.UUID) -> Iterator[None]:
    """Lock a poll's row from outside, and let nobody here wait long for it."""
    with closing(psycopg2.connect(**connection.get_connection_params())) as other:
        with other.cursor() as cursor:
            cursor.execute("SELECT 1 FROM polls_poll WHERE id = %s FOR UPDATE", [str(poll_id)])
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("RESET lock_timeout")


@on_postgres_alone
def test_poll_that_somebody_holds_keeps_no_other_from_closing(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "_stuck", lifecycle.LeftAlone(60))
    held, free = (_due(alice, **OVER) for _ in range(2))
    assert held < free  # it comes first
    with _held(held):
        lifecycle.settle_due_polls()
        assert Poll.objects.get(id=free).status == "closed"
        assert Poll.objects.get(id=held).status == "open"
    lifecycle.settle_due_polls()
    assert Poll.objects.get(id=held).status == "open"  # it is left alone for a while
    monkeypatch.setattr(lifecycle, "_stuck", lifecycle.LeftAlone(0))
    lifecycle.settle_due_polls()
    assert Poll.objects.get(id=held).status == "closed"


def test_list_settles_the_polls_of_its_owner_alone(alice: Person, bob: Person) -> None:
    own, others = _due(alice, **OVER), _due(bob, **OVER)
    assert [poll["status"] for poll in alice.get("/api/v1/polls/").json()["results"]] == ["closed"]
    assert Poll.objects.get(id=own).status == "closed"
    assert Poll.objects.get(id=others).status == "open"
