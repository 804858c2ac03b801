"""A poll's life over REST: draft, scheduled, open, closed, certified."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from polls.domain.sweep import Sweep
from polls.models import Poll, Tally
from tests.cast import Person, assert_problem, stored_rows, voter

PATIENCE = 20.0  # seconds for what takes one or two


def wire(moment: datetime | None) -> str:
    assert moment is not None
    return moment.isoformat().replace("+00:00", "Z")


def sleep_past(moment: str) -> None:
    left = datetime.fromisoformat(moment) - datetime.now(UTC)
    time.sleep(max(0.0, left.total_seconds()) + 0.05)


def ahead(**duration: float) -> str:
    return wire(datetime.now(UTC) + timedelta(**duration))


def let_pass(poll: dict[str, Any], *names: str) -> list[str]:
    """Move times of a poll into the past, an hour apart; return them as they then read."""
    now = datetime.now(UTC).replace(microsecond=0)
    times = [now - timedelta(hours=hours) for hours in range(len(names), 0, -1)]
    Poll.objects.filter(id=poll["id"]).update(**dict(zip(names, times, strict=True)))
    return [wire(moment) for moment in times]


def wait_until(condition: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


DRAFT: dict[str, Any] = {"status": "draft"}
SCHEDULED: dict[str, Any] = {"opens_at": "2098-01-01T00:00:00Z"}


# -- opening ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [DRAFT, SCHEDULED, {**DRAFT, **SCHEDULED}], ids=str)
def test_opening_a_draft_or_scheduled_poll_opens_it_now(
    alice: Person, fields: dict[str, Any]
) -> None:
    poll, before = alice.make_poll(**fields), datetime.now(UTC)
    answer = alice.open(poll)
    opened_at = answer.json()["opened_at"]
    assert answer.status_code == 200
    assert answer.json() == {**poll, "status": "open", "opened_at": opened_at, "seq": 2}
    assert abs(datetime.fromisoformat(opened_at) - before) < timedelta(minutes=1)
    assert voter().vote(poll, 0).status_code == 201


def test_opening_an_open_poll_changes_nothing(alice: Person) -> None:
    poll = alice.make_poll()
    answer = alice.open(poll)
    assert (answer.status_code, answer.json()) == (200, poll)


def test_closed_poll_is_never_reopened(alice: Person) -> None:
    poll = alice.make_poll()
    closed = alice.close(poll).json()
    assert_problem(alice.open(poll), 410, "poll_closed")
    assert alice.read_poll(poll) == closed


def test_draft_whose_deadline_has_passed_is_not_opened(alice: Person) -> None:
    poll = alice.make_poll(**DRAFT, closes_at=ahead(days=1))
    let_pass(poll, "closes_at")
    detail = "closes_at has passed; set another before opening."
    errors = [("closes_at", "passed", detail)]
    assert_problem(alice.open(poll), 400, "invalid_poll", detail=detail, errors=errors)
    assert alice.read_poll(poll)["status"] == "draft"
    alice.patch(poll["links"]["self"], {"closes_at": None})
    assert alice.open(poll).json()["status"] == "open"


# -- closing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{}, SCHEDULED, {"closes_at": "2099-01-01T00:00:00Z"}], ids=str)
def test_closing_closes_now(alice: Person, fields: dict[str, Any]) -> None:
    poll, before = alice.make_poll(**fields), datetime.now(UTC)
    answer = alice.close(poll)
    closed_at = answer.json()["closed_at"]
    assert answer.status_code == 200
    assert answer.json() == {**poll, "status": "closed", "closed_at": closed_at, "seq": 2}
    assert abs(datetime.fromisoformat(closed_at) - before) < timedelta(minutes=1)
    assert_problem(voter().vote(poll, 0), 410, "poll_closed")


def test_closing_a_closed_poll_changes_nothing(alice: Person) -> None:
    poll = alice.make_poll()
    closed = alice.close(poll)
    again = alice.close(poll)
    assert (again.status_code, again.json()) == (200, closed.json())


def test_draft_cannot_be_closed(alice: Person) -> None:
    poll = alice.make_poll(**DRAFT)
    detail = "A draft cannot be closed; delete it instead."
    assert_problem(alice.close(poll), 409, "poll_not_open", detail=detail)
    assert alice.read_poll(poll) == poll


def test_votes_of_a_closed_poll_stay(alice: Person) -> None:
    poll = alice.make_poll()
    somebody = voter()
    somebody.vote(poll, 1)
    alice.close(poll)
    results = alice.get(poll["links"]["results"]).json()
    assert (results["status"], results["final"], results["ballots"]) == ("closed", True, 1)
    assert [option["votes"] for option in results["options"]] == [0, 1]
    assert somebody.get(poll["links"]["vote"]).json()["voted"] is True


# -- by the clock ----------------------------------------------------------------------------


def test_deadline_closes_a_poll_to_the_second_without_anybody_doing_it(alice: Person) -> None:
    closes_at = ahead(seconds=3)
    poll = alice.make_poll(closes_at=closes_at)
    assert voter().vote(poll, 0).status_code == 201
    rows = stored_rows()
    sleep_past(closes_at)
    # The late vote meets the deadline first: no sweep runs here and nobody has read the poll.
    assert_problem(voter().vote(poll, 1), 410, "poll_closed")
    assert stored_rows() == rows
    closed = {**poll, "status": "closed", "closed_at": closes_at, "seq": 3, "ballots": 1}
    assert alice.read_poll(poll) == closed
    assert alice.close(poll).json() == closed
    assert_problem(alice.open(poll), 410, "poll_closed")


@pytest.mark.parametrize(
    "read",
    ["self", "results", "join", "list", "vote", "timeline", "integrity"],
)
def test_whatever_is_read_first_after_the_deadline_shows_the_poll_closed(
    alice: Person, read: str
) -> None:
    poll = alice.make_poll(closes_at=ahead(days=1))
    (closed_at,) = let_pass(poll, "closes_at")
    paths = {
        **poll["links"],
        "list": "/api/v1/polls/",
        "join": f"/api/v1/join/{poll['join_code']}/",
        "timeline": f"{poll['links']['self']}timeline/",
        "integrity": f"{poll['links']['self']}integrity/",
    }
    person = voter() if read == "vote" else alice
    body = person.get(paths[read]).json()
    shown: dict[str, Callable[[], object]] = {
        "self": lambda: (body["status"], body["closed_at"], body["seq"]),
        "results": lambda: (body["status"], closed_at, body["seq"]),
        "join": lambda: (body["poll"]["status"], body["poll"]["closed_at"], body["poll"]["seq"]),
        "list": lambda: tuple(body["results"][0][name] for name in ("status", "closed_at", "seq")),
        "vote": lambda: ("closed", closed_at, 2),
        "timeline": lambda: ("closed", closed_at, 2),
        "integrity": lambda: ("closed", closed_at, body["seq"]),
    }
    assert shown[read]() == ("closed", closed_at, 2)
    row = Poll.objects.get(id=poll["id"])
    assert (row.status, wire(row.closed_at)) == ("closed", closed_at)


def test_opening_time_opens_a_scheduled_poll(alice: Person) -> None:
    poll = alice.make_poll(opens_at=ahead(days=1))
    somebody = voter()
    assert_problem(somebody.vote(poll, 0), 409, "poll_not_open")
    (opened_at,) = let_pass(poll, "opens_at")
    assert somebody.vote(poll, 0).status_code == 201
    shown = alice.read_poll(poll)
    opened = {"status": "open", "opens_at": opened_at, "opened_at": opened_at}
    assert shown == {**poll, **opened, "seq": 3, "ballots": 1}


def test_poll_that_slept_through_opening_and_deadline_is_closed_in_one_step(alice: Person) -> None:
    poll = alice.make_poll(opens_at=ahead(days=1), closes_at=ahead(days=2))
    opens_at, closes_at = let_pass(poll, "opens_at", "closes_at")
    assert alice.read_poll(poll) == {
        **poll,
        "status": "closed",
        "opens_at": opens_at,
        "opened_at": opens_at,
        "closes_at": closes_at,
        "closed_at": closes_at,
        "seq": 2,
    }


def test_draft_is_not_opened_by_its_opening_time(alice: Person) -> None:
    poll = alice.make_poll(**DRAFT, opens_at=ahead(days=1), closes_at=ahead(days=2))
    let_pass(poll, "opens_at", "closes_at")
    assert alice.read_poll(poll)["status"] == "draft"


def test_changed_opening_time_opens_the_poll_when_it_has_passed(alice: Person) -> None:
    poll = alice.make_poll(**SCHEDULED)
    answer = alice.patch(poll["links"]["self"], {"opens_at": None})
    opened_at = answer.json()["opened_at"]
    assert opened_at is not None
    opened = {"status": "open", "opens_at": None, "opened_at": opened_at, "seq": 2}
    assert answer.json() == {**poll, **opened}


def test_changed_deadline_is_the_one_that_counts(alice: Person) -> None:
    poll = alice.make_poll(closes_at=ahead(seconds=3))
    answer = alice.patch(poll["links"]["self"], {"closes_at": ahead(days=1)})
    assert answer.status_code == 200
    sleep_past(poll["closes_at"])
    assert voter().vote(poll, 0).status_code == 201


# -- the sweep -------------------------------------------------------------------------------


@pytest.fixture
def sweep(database: None) -> Any:  # noqa: ARG001 - its thread reads committed rows
    sweep = Sweep()
    sweep.start()
    yield sweep
    sweep.stop()


def test_sweep_opens_closes_and_certifies_without_a_reader(alice: Person, sweep: Sweep) -> None:
    del sweep
    to_open = alice.make_poll(opens_at=ahead(seconds=3))
    to_close = alice.make_poll(closes_at=ahead(seconds=3))
    voter().vote(to_close, 0)
    opened = Poll.objects.filter(id=to_open["id"], opened_at__isnull=False)
    certified = Poll.objects.filter(id=to_close["id"], certified_at__isnull=False)
    wait_until(lambda: opened.exists() and certified.exists())
    assert wire(opened.get().opened_at) == to_open["opens_at"]
    closed = certified.get()
    assert (closed.status, wire(closed.closed_at)) == (
        "closed",
        to_close["closes_at"],
    )
    assert closed.closed_at is not None
    assert closed.certified_at is not None
    assert closed.certified_at >= closed.closed_at


def test_results_are_final_at_once_and_certified_after_the_recount(
    alice: Person, sweep: Sweep
) -> None:
    poll = alice.make_poll()
    voter().vote(poll, 0)
    assert alice.get(poll["links"]["results"]).json()["certified_at"] is None
    alice.close(poll)
    sweep.wake()
    first = alice.get(poll["links"]["results"]).json()
    assert first["final"] is True
    wait_until(lambda: alice.get(poll["links"]["results"]).json()["certified_at"])
    certified_at = alice.get(poll["links"]["results"]).json()["certified_at"]
    assert alice.get(poll["links"]["results"]).json() == {**first, "certified_at": certified_at}
    assert datetime.fromisoformat(certified_at).utcoffset() == timedelta(0)


def test_count_that_the_recount_contradicts_is_never_certified(
    alice: Person, caplog: pytest.LogCaptureFixture
) -> None:
    poll = alice.make_poll()
    voter().vote(poll, 0)
    alice.close(poll)
    Tally.objects.filter(poll_id=poll["id"], option_id=poll["options"][1]["id"]).update(votes=7)
    sweep = Sweep()
    sweep.start()
    wait_until(lambda: "its recount differs" in caplog.text)
    sweep.stop()
    results = alice.get(poll["links"]["results"]).json()
    assert (results["final"], results["certified_at"]) == (True, None)


def test_deleted_polls_rows_go_after_a_while_and_nothing_else_does(
    alice: Person, sweep: Sweep
) -> None:
    kept = alice.make_poll()
    voter().vote(kept, 0)
    before = stored_rows()
    gone = alice.make_poll()
    voter().vote(gone, 0)
    alice.delete(gone["links"]["self"])
    sweep.wake()
    assert Poll.objects.filter(id=gone["id"]).exists()
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    Poll.objects.filter(id=gone["id"]).update(deleted_at=an_hour_ago)
    wait_until(lambda: not Poll.objects.filter(id=gone["id"]).exists())
    # A code that was given out is never given out again.
    assert stored_rows() == {**before, "polls_joincode": before["polls_joincode"] + 1}
