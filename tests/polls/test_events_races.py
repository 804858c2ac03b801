"""Events under concurrency: no code and no poll in two places, and no change lost."""

import threading
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection, transaction

from polls.domain import agenda, join_codes, lifecycle
from polls.domain.join_codes import claim_join_code
from polls.errors import Refusal
from polls.models import Event, EventPoll, JoinCode, Poll
from tests.cast import Person, assert_problem
from tests.polls.stacks import on_postgres_alone
from tests.polls.threads import PATIENCE, together


def _draw(monkeypatch: pytest.MonkeyPatch, *codes: str) -> None:
    """Let these be drawn, each time anew and whoever draws; the last of them for ever."""
    mutex, waiting = threading.Lock(), list(codes)

    def draw() -> str:
        with mutex:
            return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    monkeypatch.setattr(join_codes, "new_join_code", draw)


# -- codes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["poll", "event"])
@pytest.mark.parametrize("second", ["poll", "event"])
def test_code_that_is_taken_is_drawn_anew(
    alice: Person, monkeypatch: pytest.MonkeyPatch, first: str, second: str
) -> None:
    make: dict[str, Any] = {"poll": alice.make_poll, "event": alice.make_event}
    _draw(monkeypatch, "AAAAAA", "AAAAAA", "AAAAAA", "CCCCCC")
    assert [make[first]()["join_code"], make[second]()["join_code"]] == ["AAAAAA", "CCCCCC"]
    for code, kind in (("AAAAAA", first), ("CCCCCC", second)):
        assert alice.get(f"/api/v1/join/{code}/").json()["type"] == kind


def test_creators_that_find_no_free_code_are_told_to_come_back(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    _draw(monkeypatch, "AAAAAA")
    alice.make_poll()
    answer = alice.post("/api/v1/events/", {"title": "An evening"})
    detail = "No free join code was found."
    assert_problem(answer, 503, "unavailable", detail=detail)
    assert (Event.objects.count(), JoinCode.objects.count()) == (0, 1)


def _make_at_once(alice: Person, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have six make a poll or an event at one moment, each of whom draws the same codes."""
    own = threading.local()

    def draw() -> str:
        own.drawn = getattr(own, "drawn", -1) + 1
        return "ACDEFG"[own.drawn] * 6

    monkeypatch.setattr(join_codes, "new_join_code", draw)

    def make(place: int) -> str:
        person = Person(alice.user)
        made = person.make_poll() if place % 2 else person.make_event()
        code: str = made["join_code"]
        return code

    return together(6, make)


def test_creators_at_once_get_a_code_each(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sorted(_make_at_once(alice, monkeypatch)) == [letter * 6 for letter in "ACDEFG"]


def test_control_without_the_claim_a_poll_and_an_event_share_a_code(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each table's own constraint knows nothing of the other's."""

    def draw_unclaimed() -> str:
        JoinCode.objects.get_or_create(code="AAAAAA")
        return "AAAAAA"

    monkeypatch.setattr("polls.domain.polls.claim_join_code", draw_unclaimed)
    monkeypatch.setattr("polls.domain.agenda.claim_join_code", draw_unclaimed)
    codes = {alice.make_poll()["join_code"], alice.make_event()["join_code"]}
    assert codes == {"AAAAAA"}


@pytest.mark.usefixtures("database")
def test_claim_is_given_back_with_its_transaction() -> None:
    with transaction.atomic():
        code = claim_join_code()
        transaction.set_rollback(True)
    assert not JoinCode.objects.filter(code=code).exists()


# -- changes -----------------------------------------------------------------------------------


def test_two_who_change_what_is_shown_both_do_and_the_last_one_wins(alice: Person) -> None:
    polls = [alice.make_poll() for _ in range(2)]
    event = alice.make_event(*polls)
    path = event["links"]["self"]

    def switch(place: int) -> list[int]:
        person, seqs = Person(alice.user), []
        for number in range(10):
            fields = {"current": polls[place]["id"], "title": f"{place}.{number}"}
            answer = person.patch(path, fields)
            assert answer.status_code == 200, answer.content
            seqs.append(answer.json()["seq"])
        return seqs

    seqs = together(2, switch)
    found = alice.get(path).json()
    assert found["seq"] == 21  # each of twenty was another version
    place = int(found["title"][0])
    assert found["title"] == f"{place}.9"
    assert found["current"] == polls[place]["id"]
    assert all(some == sorted(set(some)) for some in seqs)


@on_postgres_alone  # on SQLite BEGIN IMMEDIATE is the lock
def test_control_without_the_events_lock_changes_are_lost(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = alice.make_event()
    both_have_read = threading.Barrier(2)

    def read_without_lock(event_id: uuid.UUID) -> Event:
        found = Event.objects.get(id=event_id)
        both_have_read.wait(PATIENCE)
        return found

    monkeypatch.setattr(agenda, "_locked", read_without_lock)
    together(2, lambda place: agenda.edit_event(uuid.UUID(event["id"]), {"title": str(place)}))
    assert Event.objects.get().seq == 2  # of two changes


def _refused(event_id: uuid.UUID, changes: dict[str, Any]) -> list[str]:
    """Change an event; return why its polls are refused, if they are."""
    try:
        agenda.edit_event(event_id, changes)
    except Refusal as refusal:
        return [error.code for error in refusal.errors if error.field.startswith("polls")]
    return []


def test_poll_that_two_events_want_at_once_is_in_one_of_them(alice: Person) -> None:
    for _ in range(10):
        poll = alice.make_poll()
        events = [uuid.UUID(alice.make_event()["id"]) for _ in range(4)]

        def want(place: int, poll: dict[str, Any] = poll, events: Any = events) -> list[str]:
            return _refused(events[place], {"polls": [poll["id"]]})

        refused = together(4, want)
        assert sorted(refused) == [[]] + [["in_another_event"]] * 3
        assert EventPoll.objects.get(poll=poll["id"]).event_id == events[refused.index([])]


def test_poll_that_is_deleted_while_it_is_put_in_an_event_is_not_left_there(alice: Person) -> None:
    for _ in range(15):
        poll, event = alice.make_poll(), uuid.UUID(alice.make_event()["id"])
        changes = {"polls": [poll["id"]], "current": poll["id"]}

        def act(place: int, poll: Any = poll, event: Any = event, changes: Any = changes) -> None:
            if place:
                lifecycle.delete_poll(uuid.UUID(poll["id"]))
                return
            _refused(event, changes)

        together(2, act)
        assert not EventPoll.objects.filter(event=event).exists()
        assert Event.objects.get(id=event).current_id is None


def _delete_under_a_change(alice: Person) -> int:
    """Delete a poll that a change has checked and not yet put in its event; return what is left."""
    poll, event = alice.make_poll(), uuid.UUID(alice.make_event()["id"])
    place = agenda._place
    deleting: list[Any] = []

    def delete_first(*arguments: Any) -> None:
        thread = threading.Thread(target=_delete, args=[poll["id"]])
        thread.start()
        deleting.append(thread)
        thread.join(0.5)  # one that has to wait for this change cannot be waited for
        place(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agenda, "_place", delete_first)
        agenda.edit_event(event, {"polls": [poll["id"]]})
    deleting[0].join(PATIENCE)
    assert Poll.objects.get(id=poll["id"]).deleted_at is not None
    return EventPoll.objects.filter(event=event).count()


def _delete(poll_id: str) -> None:
    with transaction.atomic():
        lifecycle.delete_poll(uuid.UUID(poll_id))
    connection.close()


def test_delete_waits_for_the_change_that_has_checked_the_poll(alice: Person) -> None:
    assert _delete_under_a_change(alice) == 0


@on_postgres_alone  # the same
def test_control_without_the_polls_lock_a_deleted_poll_is_put_in_the_event(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agenda, "_hold_polls", lambda _: None)
    assert _delete_under_a_change(alice) == 1


# -- one poll at a time ------------------------------------------------------------------------


def _add_at_once(alice: Person, count: int) -> tuple[uuid.UUID, int]:
    """Have each add a poll of their own at one moment; return the event, and who was refused."""
    event = uuid.UUID(alice.make_event()["id"])
    polls = [alice.make_poll()["id"] for _ in range(count)]

    def add(place: int) -> int:
        try:
            agenda.add_poll(event, polls[place])
        except Refusal:
            return 1
        return 0

    return event, sum(together(count, add))


def test_polls_that_are_added_at_once_are_all_in_the_event(alice: Person) -> None:
    event, refused = _add_at_once(alice, 6)
    assert refused == 0
    assert len(agenda.order_of(Event.objects.get(id=event))) == 6
    assert Event.objects.get().seq == 7


@on_postgres_alone  # on SQLite BEGIN IMMEDIATE is the lock
def test_control_without_the_events_lock_a_poll_is_not_added(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_have_read, insert = threading.Barrier(2), agenda._insert

    def insert_together(places: Sequence[EventPoll]) -> None:
        if places:  # of the two, not of the event when it was made
            both_have_read.wait(PATIENCE)
        insert(places)

    monkeypatch.setattr(agenda, "_locked", lambda event_id: Event.objects.get(id=event_id))
    monkeypatch.setattr(agenda, "_insert", insert_together)
    event, refused = _add_at_once(alice, 2)
    assert refused == 1
    assert EventPoll.objects.filter(event=event).count() == 1


def test_moves_and_removals_at_once_lose_no_other_poll(alice: Person) -> None:
    polls = [alice.make_poll() for _ in range(6)]
    event_id = uuid.UUID(alice.make_event(*polls, current=polls[0]["id"])["id"])
    ids = [uuid.UUID(poll["id"]) for poll in polls]

    def work(place: int) -> None:
        if place < 2:
            agenda.take_out_poll(event_id, ids[place])
        elif place == 2:
            lifecycle.delete_poll(ids[place])
        else:
            agenda.move_poll(event_id, ids[place], -1)

    together(6, work)
    event = Event.objects.get()
    assert set(agenda.order_of(event)) == set(ids[3:])
    assert event.current_id is None
