"""Votes that race the end of a poll: what is counted when it closes is the count for ever.

Every promise stands beside a control, in which its protection is taken away and it breaks.
"""

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction

from polls.domain import lifecycle
from polls.domain.ballot_box import BallotBox, write_batch
from polls.domain.database import CLOCK, clock
from polls.domain.outcomes import Counted, Outcome
from polls.domain.statements import Action, Cast, Postgres, postgres, sqlite
from polls.errors import Code
from polls.models import Poll
from tests.cast import Person
from tests.polls.ballots import Stored, casts_of, disagreements, make_cast, new_paper, stored
from tests.polls.entering import linger_after_entering
from tests.polls.processes import run_at_once
from tests.polls.stacks import on_postgres_alone
from tests.polls.threads import PATIENCE, Vote, beside, boxes, outcomes, together, wait_until

# -- closing ----------------------------------------------------------------------------------


class Voting:
    """Votes that are being dropped into several boxes at once."""

    def __init__(self, opened: Sequence[BallotBox], votes: Sequence[Cast]) -> None:
        self.decided = 0
        self._opened = opened
        self._votes = votes

    def run(self) -> list[Outcome]:
        """Submit every vote and wait for its outcome."""
        share = len(self._votes) // len(self._opened)
        parts = together(
            len(self._opened),
            lambda place: [
                self._submit(self._opened[place], vote)
                for vote in self._votes[place * share : (place + 1) * share]
            ],
        )
        return [outcome for futures in parts for outcome in outcomes(futures)]

    def _submit(self, box: BallotBox, vote: Cast) -> Vote:
        future = box.submit(vote)
        future.add_done_callback(self._count)
        return future

    def _count(self, _: object) -> None:
        self.decided += 1  # roughly: it only says when to go on


def test_row_37_count_at_the_close_is_the_count_for_ever(alice: Person) -> None:
    late = 0
    with boxes(3, batch_limit=10) as opened:
        for number in range(20):
            paper = new_paper(alice)
            voting = Voting(opened, casts_of(paper, 300))
            with beside(voting.run) as votes:
                wait_until(lambda: voting.decided >= number * 12)  # noqa: B023 - asked at once
                lifecycle.close_poll(paper.poll_id)
                at_close = stored(paper.poll_id)
                found = votes.result(PATIENCE)
            assert stored(paper.poll_id) == at_close
            assert disagreements(at_close) == []
            counted = [outcome for outcome in found if isinstance(outcome, Counted)]
            assert len(counted) == at_close.ballots
            assert found.count(Code.POLL_CLOSED) == 300 - len(counted)
            late += 300 - len(counted)
    assert 0 < late < 20 * 300  # the closes came while votes did


def _vote_around_a_close(alice: Person, monkeypatch: pytest.MonkeyPatch) -> tuple[Stored, Stored]:
    """Close a poll while a flush has seen it open and counted nothing yet.

    Returns what is stored when the close has returned, and what is stored in the end.
    """
    looked, closed = threading.Event(), threading.Event()

    def linger() -> None:
        looked.set()
        # A close that has to wait for this flush cannot be waited for.
        closed.wait(1)

    linger_after_entering(monkeypatch, linger)
    paper = new_paper(alice)
    with boxes() as (box,):
        vote = box.submit(make_cast(paper, 0))
        assert looked.wait(PATIENCE)
        lifecycle.close_poll(paper.poll_id)
        at_close = stored(paper.poll_id)
        closed.set()
        assert isinstance(vote.result(PATIENCE), Counted)
    return at_close, stored(paper.poll_id)


def test_close_waits_for_the_flush_that_has_seen_the_poll_open(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_close, at_last = _vote_around_a_close(alice, monkeypatch)
    assert at_close.ballots == 1
    assert at_last == at_close


def _vote_into_a_close(alice: Person, action: Action) -> tuple[Outcome, Stored, Stored]:
    """Vote, or change a vote, while a close has its poll's lock and has not committed yet.

    Returns the outcome, and what is stored by the close and in the end.
    """
    paper = new_paper(alice, allow_change=True)
    with boxes() as (box,):
        if action is not Action.CAST:
            box.submit(make_cast(paper, 1, voter="ann")).result(PATIENCE)
        with transaction.atomic():
            lifecycle.close_poll(paper.poll_id)
            at_close = stored(paper.poll_id)
            vote = box.submit(make_cast(paper, 0, voter="ann", action=action))
            wait_until(_somebody_waits_for_us)
        return vote.result(PATIENCE), at_close, stored(paper.poll_id)


def _somebody_waits_for_us() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks "
            "WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))"
        )
        return bool(cursor.fetchone()[0])


@on_postgres_alone  # on SQLite BEGIN IMMEDIATE is the lock: there is no flush without it
@pytest.mark.parametrize("action", Action)
def test_flush_waits_for_the_close_under_way(alice: Person, action: Action) -> None:
    outcome, at_close, at_last = _vote_into_a_close(alice, action)
    assert outcome is Code.POLL_CLOSED
    assert at_last == at_close


@on_postgres_alone
@pytest.mark.parametrize("action", Action)
def test_row_37_control_without_the_shared_lock_a_vote_is_counted_after_the_close(
    alice: Person, monkeypatch: pytest.MonkeyPatch, action: Action
) -> None:
    """What it writes waits for the close, too, but has seen the poll open."""
    monkeypatch.setattr(Postgres, "lock_polls", lambda *_: None)
    outcome, at_close, at_last = _vote_into_a_close(alice, action)
    assert isinstance(outcome, Counted)
    assert at_last.seq == at_close.seq + 1
    assert at_last.votes != at_close.votes


# -- closing under full load ------------------------------------------------------------------


def _flushes_before_a_close(alice: Person, seconds: float) -> int:
    """Return how many flushes begin after a close is asked for, and count votes before it."""
    paper = new_paper(alice)
    begun: list[bool] = []  # each flush, and whether it counted
    stop = threading.Event()

    def write(casts: Sequence[Cast]) -> list[Outcome]:
        place = len(begun)
        begun.append(False)
        found = write_batch(casts)
        begun[place] = any(isinstance(outcome, Counted) for outcome in found)
        return found

    with boxes(4, write, batch_limit=100) as opened:

        def feed(place: int) -> None:
            waiting: list[Vote] = []
            end = time.monotonic() + seconds
            while not stop.is_set() and time.monotonic() < end:
                waiting = [future for future in waiting if not future.done()]
                if len(waiting) < 300:
                    waiting += [opened[place].submit(cast) for cast in casts_of(paper, 100)]
                time.sleep(0.002)
            outcomes(waiting)

        with beside(lambda: together(4, feed)) as feeding:
            wait_until(lambda: len(begun) >= 40)
            before = len(begun)
            lifecycle.close_poll(paper.poll_id)
            stop.set()
            feeding.result(PATIENCE)
    return sum(begun[before:])


def test_close_lets_no_flush_pass_that_begins_after_it(alice: Person) -> None:
    # Some begin between this thread's count and the database's queue: not many, three times.
    assert any(_flushes_before_a_close(alice, PATIENCE) <= 12 for _ in range(3))


@on_postgres_alone  # on SQLite the fair lock does it, with a control in test_fair_lock.py
def test_control_without_the_turnstile_a_close_waits_while_the_load_lasts(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shared row locks that overlap without a gap leave no moment for an exclusive one."""
    monkeypatch.setattr(lifecycle, "_wait_for_flushes", lambda _: None)
    # A gap may come early by chance, but not three times.
    assert any(_flushes_before_a_close(alice, 4) > 20 for _ in range(3))


# -- deadlines --------------------------------------------------------------------------------


class Clocked:
    """Writes batches, and keeps the database's time before and after each."""

    def __init__(self) -> None:
        self.flushes: list[tuple[datetime, datetime, list[Outcome]]] = []

    def write(self, casts: Sequence[Cast]) -> list[Outcome]:
        before = clock()
        found = write_batch(casts)
        self.flushes.append((before, clock(), found))
        return found

    def begun_after(self, deadline: datetime) -> list[Outcome]:
        return [
            outcome for before, _, found in self.flushes if before >= deadline for outcome in found
        ]

    def ended_before(self, deadline: datetime) -> list[Outcome]:
        return [
            outcome for _, after, found in self.flushes if after < deadline for outcome in found
        ]


def _vote_past_a_deadline(
    alice: Person, *, sweep: Callable[[], None]
) -> tuple[uuid.UUID, datetime, Clocked]:
    """Vote from before closes_at until after it."""
    closes_at = clock() + timedelta(seconds=1)
    paper = new_paper(alice, closes_at=closes_at)
    clocked = Clocked()
    with boxes(3, clocked.write, batch_limit=5) as opened:

        def feed(place: int) -> None:
            while clock() < closes_at + timedelta(seconds=0.5):
                outcomes([opened[place].submit(cast) for cast in casts_of(paper, 10)])
                if place == 0:
                    sweep()

        together(3, feed)
    return paper.poll_id, closes_at, clocked


def test_vote_after_closes_at_is_refused_by_the_databases_clock(alice: Person) -> None:
    """No sweep comes by: the flush's clock alone refuses."""
    poll_id, closes_at, clocked = _vote_past_a_deadline(alice, sweep=lambda: None)
    late = clocked.begun_after(closes_at)
    assert set(late) == {Code.POLL_CLOSED}
    early = clocked.ended_before(closes_at)
    assert {type(outcome) for outcome in early} == {Counted}
    assert Poll.objects.get(id=poll_id).status == "open"
    assert disagreements(stored(poll_id)) == []


def test_sweep_closes_at_closes_at_while_votes_arrive(alice: Person) -> None:
    poll_id, closes_at, clocked = _vote_past_a_deadline(alice, sweep=lifecycle.settle_due_polls)
    poll = Poll.objects.get(id=poll_id)
    assert (poll.status, poll.closed_at) == ("closed", closes_at)
    assert set(clocked.begun_after(closes_at)) == {Code.POLL_CLOSED}
    found = stored(poll_id)
    raised = {o.seq for _, _, flush in clocked.flushes for o in flush if isinstance(o, Counted)}
    # Each flush that counted has a seq of its own, and the close has one.
    assert raised == set(range(2, found.seq))
    assert disagreements(found) == []


def test_control_without_the_clock_in_its_window_a_flush_counts_late_votes(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = postgres if connection.vendor == "postgresql" else sqlite
    query: Callable[[str], str] = words.window_query

    def query_without_closes_at(polls: str) -> str:
        rule = f" OR closes_at <= {CLOCK[connection.vendor]}"
        assert rule in query(polls)
        return query(polls).replace(rule, "")

    monkeypatch.setattr(words, "window_query", query_without_closes_at)
    _, closes_at, clocked = _vote_past_a_deadline(alice, sweep=lambda: None)
    assert {type(outcome) for outcome in clocked.begun_after(closes_at)} == {Counted}


# -- one of many processes settles ------------------------------------------------------------

_SETTLE = """
import uuid
from polls import events
from polls.domain import lifecycle
from polls.models import PollQuerySet

heard = []
events.set_sink(lambda poll_id, event: heard.append(event.value))
if sys.argv[2] == "careless":  # does not ask again under the lock
    PollQuerySet.due = lambda self: self.standing()
connection.ensure_connection()
ready()
lifecycle.settle_poll(uuid.UUID(sys.argv[1]))
print(*heard)
"""


def _settle_in_four_processes(poll_id: uuid.UUID, how: str) -> tuple[list[str], int]:
    """Return what the processes published, and by how much seq rose."""
    before = stored(poll_id).seq
    said = run_at_once(_SETTLE, str(poll_id), how, count=4)
    return " ".join(said).split(), stored(poll_id).seq - before


def _due_to_close(alice: Person) -> uuid.UUID:
    poll_id = new_paper(alice).poll_id
    Poll.objects.filter(id=poll_id).update(closes_at=clock() - timedelta(seconds=1))
    return poll_id


def _due_to_open(alice: Person) -> uuid.UUID:
    poll_id = new_paper(alice, opens_at=clock() + timedelta(hours=1)).poll_id
    Poll.objects.filter(id=poll_id).update(opens_at=clock() - timedelta(seconds=1))
    return poll_id


DUE = {"closed": _due_to_close, "opened": _due_to_open}


@pytest.mark.parametrize("event", DUE)
def test_one_of_four_processes_settles_a_due_poll(alice: Person, event: str) -> None:
    assert _settle_in_four_processes(DUE[event](alice), "careful") == ([event], 1)


@pytest.mark.parametrize("event", DUE)
def test_control_processes_that_do_not_ask_under_the_lock_settle_it_each(
    alice: Person, event: str
) -> None:
    assert _settle_in_four_processes(DUE[event](alice), "careless") == ([event] * 4, 4)
