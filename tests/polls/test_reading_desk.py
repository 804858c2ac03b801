"""The reading desk: what it answers reflects every vote that was counted before it was asked."""

import threading
import time
import uuid
from collections.abc import Collection, Iterator
from concurrent.futures import Future

import pytest
from django.db import OperationalError, connection

from polls.domain.current import Current, read_current
from polls.domain.lifecycle import close_poll, delete_poll
from polls.domain.outcomes import Counted
from polls.domain.reading_desk import ReadingDesk
from polls.errors import Code
from polls.models import Poll
from tests.cast import Person
from tests.polls.ballots import casts_of, make_cast, new_paper, new_papers
from tests.polls.stacks import on_postgres_alone
from tests.polls.threads import PATIENCE, beside, boxes, together, wait_until

Found = dict[uuid.UUID, Current]
Reading = Current | Code | None
Desk = ReadingDesk[uuid.UUID, Current]


class Readings:
    """Reads for real, and remembers of how many polls and on which connection.

    A reading that has been made waits, once told to, before the desk may have it.
    """

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.pids: list[int] = []
        self.faults: list[Exception] = []  # one for each of the next readings
        self.made = threading.Event()
        self.let_go = threading.Event()
        self.let_go.set()

    def read(self, poll_ids: Collection[uuid.UUID]) -> Found:
        self.sizes.append(len(poll_ids))
        if self.faults:
            raise self.faults.pop()
        found = read_current(poll_ids)
        if connection.vendor == "postgresql":
            self.pids.append(connection.connection.info.backend_pid)
        self.made.set()
        assert self.let_go.wait(PATIENCE)
        return found


@pytest.fixture
def readings() -> Iterator[Readings]:
    """What the desk of the test reads."""
    found = Readings()
    yield found
    found.let_go.set()


@pytest.fixture
def desk(database: None, readings: Readings) -> Iterator[Desk]:  # noqa: ARG001 - it reads
    """A desk, which is closed before the database is emptied."""
    found = ReadingDesk(readings.read)
    yield found
    readings.let_go.set()
    found.close()


def _ask(desk: Desk, poll_id: uuid.UUID, seconds: float = PATIENCE) -> "Future[Reading]":
    reply: Future[Reading] = Future()
    desk.ask(poll_id, reply, time.monotonic() + seconds)
    return reply


def _answer(desk: Desk, poll_id: uuid.UUID, seconds: float = PATIENCE) -> Reading:
    return _ask(desk, poll_id, seconds).result(PATIENCE)


def _ballots(reading: Reading) -> int:
    assert isinstance(reading, Current)
    return reading.count.ballots


# -- reading one's own votes --------------------------------------------------------------------


def test_everybody_reads_at_least_what_was_counted_before_they_asked(
    alice: Person, desk: Desk, readings: Readings
) -> None:
    """Eight voters, each of whom votes and asks in turn; boxes side by side are processes."""
    voters, rounds = 8, 15
    paper = new_paper(alice)
    with boxes(3) as opened:

        def vote_and_ask(place: int) -> list[tuple[int, int]]:
            found = []
            for _ in range(rounds):
                cast = make_cast(paper, place % 3)
                counted = opened[place % 3].submit(cast).result(PATIENCE)
                assert isinstance(counted, Counted)
                reading = _answer(desk, paper.poll_id)
                assert isinstance(reading, Current)
                found.append((counted.seq, reading.count.seq))
            return found

        found = [pair for pairs in together(voters, vote_and_ask) for pair in pairs]
    assert [pair for pair in found if pair[1] < pair[0]] == []
    assert _ballots(_answer(desk, paper.poll_id)) == voters * rounds
    assert len(readings.sizes) < voters * rounds  # some have shared one


def test_those_who_ask_during_a_reading_share_the_next(
    alice: Person, desk: Desk, readings: Readings
) -> None:
    """What was read before they asked is not for them: a vote has been counted meanwhile."""
    paper, other = new_papers(alice, 2)
    readings.let_go.clear()
    early = _ask(desk, paper.poll_id)
    assert readings.made.wait(PATIENCE)
    with boxes() as (box,):
        assert isinstance(box.submit(casts_of(paper, 1)[0]).result(PATIENCE), Counted)
    later = [_ask(desk, poll_id) for poll_id in [paper.poll_id, other.poll_id] * 50]
    readings.let_go.set()
    assert _ballots(early.result(PATIENCE)) == 0
    assert [_ballots(reply.result(PATIENCE)) for reply in later] == [1, 0] * 50
    assert readings.sizes == [1, 2]


def test_poll_that_cannot_be_told_of_is_none(alice: Person, desk: Desk) -> None:
    deleted, closed = (paper.poll_id for paper in new_papers(alice, 2))
    delete_poll(deleted)
    close_poll(closed)
    replies = [_ask(desk, poll_id) for poll_id in (deleted, closed, uuid.uuid4())]
    first, second, third = (reply.result(PATIENCE) for reply in replies)
    assert (first, third) == (None, None)
    assert isinstance(second, Current)
    assert second.count.final


def test_nobody_is_read_for_who_has_given_up(alice: Person, desk: Desk, readings: Readings) -> None:
    papers = new_papers(alice, 3)
    readings.let_go.clear()
    first = _ask(desk, papers[0].poll_id)
    assert readings.made.wait(PATIENCE)
    gone, stays = _ask(desk, papers[1].poll_id), _ask(desk, papers[2].poll_id)
    assert gone.cancel()
    readings.let_go.set()
    assert _ballots(first.result(PATIENCE)) == _ballots(stays.result(PATIENCE)) == 0
    assert readings.sizes == [1, 1]


# -- when the database does not answer ----------------------------------------------------------


@on_postgres_alone
def test_desk_whose_connection_was_cut_reads_again(
    alice: Person, desk: Desk, readings: Readings
) -> None:
    paper = new_paper(alice)
    assert _ballots(_answer(desk, paper.poll_id)) == 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [readings.pids[0]])
    assert _ballots(_answer(desk, paper.poll_id)) == 0
    assert len(readings.sizes) == 3  # the second failed, and was made once more
    assert len(set(readings.pids)) == 2


@on_postgres_alone
def test_database_that_does_not_answer_in_time_is_unavailable_and_then_over(
    alice: Person, desk: Desk
) -> None:
    paper = new_paper(alice)
    locked, enough = threading.Event(), threading.Event()

    def hold_the_table() -> None:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN; LOCK TABLE polls_poll IN ACCESS EXCLUSIVE MODE")
            locked.set()
            assert enough.wait(PATIENCE)
            cursor.execute("ROLLBACK")

    with beside(hold_the_table) as held:
        try:
            assert locked.wait(PATIENCE)
            began = time.monotonic()
            asked = [_ask(desk, paper.poll_id, 1.0) for _ in range(2)]
            assert [reply.result(PATIENCE) for reply in asked] == [Code.UNAVAILABLE] * 2
            assert 1.0 <= time.monotonic() - began < 1.0 + 5  # this machine may be busy
        finally:
            enough.set()
        held.result(PATIENCE)
    assert _ballots(_answer(desk, paper.poll_id)) == 0


def test_who_asks_too_late_is_told_so_and_hurries_nobody(alice: Person, desk: Desk) -> None:
    paper = new_paper(alice)
    late, early = _ask(desk, paper.poll_id, 0.3), _ask(desk, paper.poll_id, PATIENCE)
    assert late.result(PATIENCE) == Code.UNAVAILABLE
    assert _ballots(early.result(PATIENCE)) == 0


@pytest.mark.parametrize("lost", [1, 2])
def test_connection_that_is_lost_twice_is_unavailable(
    alice: Person, desk: Desk, readings: Readings, lost: int
) -> None:
    paper = new_paper(alice)
    words = "server closed the connection unexpectedly"
    readings.faults = [OperationalError(words) for _ in range(lost)]
    answer = _answer(desk, paper.poll_id)
    assert isinstance(answer, Current) == (lost == 1)
    assert lost == 1 or answer == Code.UNAVAILABLE
    assert _ballots(_answer(desk, paper.poll_id)) == 0


def test_fault_that_nobody_expected_reaches_who_has_asked_and_ends_nothing(
    alice: Person, desk: Desk, readings: Readings
) -> None:
    paper = new_paper(alice)
    readings.faults = [ValueError("nobody has thought of this")]
    with pytest.raises(ValueError, match="nobody has thought"):
        _answer(desk, paper.poll_id)
    assert _ballots(_answer(desk, paper.poll_id)) == 0


# -- the end ------------------------------------------------------------------------------------


def test_desk_that_closes_answers_who_has_asked(alice: Person, readings: Readings) -> None:
    paper = new_paper(alice)
    desk = ReadingDesk(readings.read)
    readings.let_go.clear()
    first = _ask(desk, paper.poll_id)
    assert readings.made.wait(PATIENCE)
    second = _ask(desk, paper.poll_id)
    with beside(desk.close) as closed:
        wait_until(lambda: desk._closing)
        readings.let_go.set()
        closed.result(PATIENCE)
    assert [_ballots(reply.result(0)) for reply in (first, second)] == [0, 0]
    assert desk._thread is not None
    assert not desk._thread.is_alive()


def test_desk_that_nobody_has_asked_closes() -> None:
    ReadingDesk(read_current).close()


def test_reading_leaves_no_transaction_open(alice: Person, desk: Desk) -> None:
    """Or it would see for ever what it saw first, and hold up whoever changes a table."""
    paper = new_paper(alice)
    assert _ballots(_answer(desk, paper.poll_id)) == 0
    Poll.objects.filter(id=paper.poll_id).update(title="Supper?", revision=2)
    reading = _answer(desk, paper.poll_id)
    assert isinstance(reading, Current)
    assert reading.count.title == "Supper?"
