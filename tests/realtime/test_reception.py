"""Joining: one reading for all who ask at once, begun after they asked, and not too often."""

import asyncio
import threading
import time
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from polls.domain import lifecycle
from polls.domain.access import ANYBODY, Viewer
from polls.domain.results import read_counts
from polls.errors import Code, Refusal
from polls.models import Poll
from realtime import reception
from realtime.admission import Admission, Asker, admit, admit_to
from realtime.runtime import runtime
from tests.cast import Person, voter
from tests.realtime.inside import Inside

Poll_ = dict[str, Any]
ASKER = Asker()


def _readings(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note when each reading begins."""
    began: list[float] = []

    def note(asked: Any) -> Any:
        began.append(time.monotonic())
        return admit(asked)

    del inside
    monkeypatch.setattr(reception, "admit", note)
    return began


async def _ask(poll: Poll_, count: int = 1) -> list[Admission]:
    poll_id = uuid.UUID(poll["id"])
    return await asyncio.gather(*(runtime.reception.admit(poll_id, ASKER) for _ in range(count)))


def test_those_who_ask_at_once_share_one_reading_and_one_update(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = alice.make_poll()
    readings = _readings(inside, monkeypatch)
    found = inside.call(_ask(poll, 500))
    assert len(readings) == 1
    assert len({id(one.update) for one in found}) == 1
    assert found[0].update.seq == poll["seq"]


def test_two_thousand_who_come_back_within_seconds_cost_less_than_two_readings_a_second(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = alice.make_poll()
    readings = _readings(inside, monkeypatch)

    async def come_back() -> list[float]:
        async def come(number: int) -> float:
            await asyncio.sleep(number * 0.002)
            asked = time.monotonic()
            await _ask(poll)
            return time.monotonic() - asked

        return list(await asyncio.gather(*(come(number) for number in range(2000))))

    waited = inside.call(come_back())
    assert len(readings) <= reception.READINGS_AT_ONCE + 4.6 / reception.READING_SECONDS
    assert max(waited) < reception.READING_SECONDS + 0.5


def test_reading_begins_after_whoever_it_is_for_has_asked(inside: Inside, alice: Person) -> None:
    poll = alice.make_poll()
    for ballots in range(1, 9):
        seq = voter().vote(poll, 0).json()["seq"]
        (found,) = inside.call(_ask(poll))
        assert found.update.seq == seq == ballots + 1


def test_one_poll_waits_and_the_others_do_not(inside: Inside, alice: Person) -> None:
    busy, other = alice.make_poll(), alice.make_poll()

    async def ask() -> tuple[float, float]:
        for _ in range(reception.READINGS_AT_ONCE):
            await _ask(busy)
        began = time.monotonic()
        waiting = asyncio.create_task(_ask(busy))
        await asyncio.sleep(0)
        await _ask(other)
        at_once = time.monotonic() - began
        await waiting
        return at_once, time.monotonic() - began

    at_once, in_turn = inside.call(ask())
    assert at_once < reception.READING_SECONDS / 2 < in_turn


def test_polls_that_were_asked_for_long_ago_are_forgotten(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reception, "_REMEMBERED", 10)
    monkeypatch.setattr(reception, "READING_SECONDS", 0.01)

    async def ask() -> None:
        for _ in range(50):
            with pytest.raises(Refusal):
                await runtime.reception.admit(uuid.uuid4(), ASKER)
            await asyncio.sleep(0.02)

    inside.call(ask())
    assert len(runtime.reception._next) <= 11
    assert runtime.reception._waiting == {}


def test_whoever_leaves_while_waiting_holds_up_nobody(inside: Inside, alice: Person) -> None:
    poll = alice.make_poll()

    async def ask() -> list[Admission]:
        leaving = asyncio.create_task(_ask(poll))
        staying = asyncio.create_task(_ask(poll))
        await asyncio.sleep(0)
        leaving.cancel()
        return await staying

    assert inside.call(ask())[0].update.seq == poll["seq"]


def test_reading_that_fails_is_told_to_all_and_the_next_one_works(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = alice.make_poll()

    def fail(asked: object) -> None:
        raise OSError(str(asked))

    with monkeypatch.context() as patch:
        patch.setattr(reception, "admit", fail)

        async def ask() -> list[Any]:
            poll_id = uuid.UUID(poll["id"])
            asking = [runtime.reception.admit(poll_id, ASKER) for _ in range(3)]
            return list(await asyncio.gather(*asking, return_exceptions=True))

        assert [type(one) for one in inside.call(ask())] == [OSError] * 3
    assert inside.call(_ask(poll))[0].hidden is None


def test_poll_that_cannot_be_settled_is_the_trouble_of_those_who_ask_for_it(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = (timezone.now() + timedelta(seconds=0.2)).isoformat()
    bad, good = alice.make_poll(closes_at=soon), alice.make_poll()
    time.sleep(0.3)
    locked = threading.Event()

    def wait_for_a_lock(_: uuid.UUID) -> None:
        locked.wait(5)
        raise OSError("lock timeout")

    monkeypatch.setattr(lifecycle, "settle_poll", wait_for_a_lock)

    async def ask() -> tuple[list[Admission], BaseException | None]:
        waiting = asyncio.create_task(_ask(bad))
        seen = [(await _ask(good))[0] for _ in range(2)]
        locked.set()
        await asyncio.wait([waiting])
        return seen, waiting.exception()

    seen, trouble = inside.call(ask())
    assert [one.hidden for one in seen] == [None, None]
    assert isinstance(trouble, OSError)


# -- who is let in ------------------------------------------------------------------------------


def _queries(asked: dict[uuid.UUID, list[Asker]]) -> int:
    with CaptureQueriesContext(connection) as queries:
        admit(asked)
    return len(queries)


def test_queries_do_not_grow_with_polls_or_askers(alice: Person) -> None:
    polls = [uuid.UUID(alice.make_poll()["id"]) for _ in range(3)]
    timed = uuid.UUID(
        alice.make_poll(closes_at=(timezone.now() + timedelta(hours=1)).isoformat())["id"]
    )
    everybody = [ASKER, Asker(Viewer(device="a")), Asker(Viewer(user_id=1))]
    assert _queries({polls[0]: everybody}) == 2  # polls, counts
    assert _queries({polls[0]: everybody}) == 1  # the count is kept for as long as it is true
    assert _queries({polls[1]: [ASKER], polls[2]: everybody}) == 2
    assert _queries({timed: [ASKER]}) == 2
    assert _queries({timed: everybody, **dict.fromkeys(polls, everybody)}) == 1


def test_each_asker_is_told_what_they_may_see(alice: Person, bob: Person) -> None:
    draft = alice.make_poll(status="draft")
    hidden = alice.make_poll(results_visibility="owner")
    seen = alice.make_poll()
    nowhere = uuid.uuid4()
    owner = Asker(Viewer(user_id=alice.row.user_id))
    other = Asker(Viewer(user_id=bob.row.user_id))
    askers = [owner, other, ASKER]
    found = admit(
        {
            **{uuid.UUID(poll["id"]): askers for poll in (draft, hidden, seen)},
            nowhere: askers,
        }
    )

    def told(poll_id: object) -> list[Code | None]:
        answers = found[uuid.UUID(str(poll_id))]
        return [
            (None if one.hidden is None else one.hidden.code)
            if isinstance(one, Admission)
            else one.code
            for one in answers
        ]

    no, hide = Code.NOT_FOUND, Code.RESULTS_HIDDEN
    assert [told(poll["id"]) for poll in (draft, hidden, seen)] + [told(nowhere)] == [
        [None, no, no],
        [None, hide, hide],
        [None, None, None],
        [no, no, no],
    ]


@pytest.mark.parametrize("field", ["opens_at", "closes_at"])
def test_poll_whose_time_has_come_is_settled_first(alice: Person, field: str) -> None:
    soon = timezone.now() + timedelta(seconds=0.5)
    poll = alice.make_poll(**{field: soon.isoformat()})
    poll_id = uuid.UUID(poll["id"])
    time.sleep(0.6)
    assert admit({poll_id: [ASKER]}) == {}  # nobody else waits for its lock
    (found,) = admit_to(poll_id, [ASKER])
    assert isinstance(found, Admission)
    assert found.update.status == ("open" if field == "opens_at" else "closed")
    assert found.update.seq == read_counts([poll_id])[poll_id].seq


def test_deleted_poll_is_not_found(alice: Person) -> None:
    poll = alice.make_poll()
    alice.delete(poll["links"]["self"])
    poll_id = uuid.UUID(poll["id"])
    assert Poll.objects.filter(id=poll_id).exists()
    (answer,) = admit({poll_id: [Asker(ANYBODY)]})[poll_id]
    assert isinstance(answer, Refusal)
    assert answer.code is Code.NOT_FOUND
