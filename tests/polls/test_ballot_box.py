"""The ballot box: group commit, its bounds, and who is told what when it cannot flush."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pytest
from django.db import IntegrityError, transaction

from polls import events
from polls.domain import ballot_box as module
from polls.domain import deadline, lifecycle, voting
from polls.domain.ballot_box import BallotBox, write_batch
from polls.domain.ballot_paper import BallotPaper
from polls.domain.outcomes import Counted, Outcome, Replayed
from polls.domain.statements import Cast
from polls.errors import Code, Refusal
from polls.models import PollTally
from tests.cast import Person, new_key
from tests.polls.ballots import casts_of, counted, disagreements, make_cast, new_paper, stored
from tests.polls.processes import run_python
from tests.polls.stacks import on_postgres_alone, on_sqlite_alone
from tests.polls.threads import PATIENCE, Vote, beside, boxes, outcomes, together, wait_until


class Gate:
    """Flushes for real, but only when the test lets it; remembers the size of each batch."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.reached = threading.Event()
        self.opened = threading.Event()

    def write(self, casts: Sequence[Cast]) -> list[Outcome]:
        self.sizes.append(len(casts))
        self.reached.set()
        assert self.opened.wait(PATIENCE)
        return write_batch(casts)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate that is open at the end of the test at the latest, so that its box can end."""
    found = Gate()
    yield found
    found.opened.set()


def _refusal_of(work: Callable[[], object]) -> Code:
    with pytest.raises(Refusal) as caught:
        work()
    return caught.value.code


# -- group commit -----------------------------------------------------------------------------


def test_votes_that_arrive_during_a_flush_form_the_next_ones(alice: Person, gate: Gate) -> None:
    paper = new_paper(alice)
    with boxes(1, gate.write) as (box,):
        first = [box.submit(make_cast(paper, 0))]
        assert gate.reached.wait(PATIENCE)
        later = [box.submit(cast) for cast in casts_of(paper, 40)]
        gate.opened.set()
        assert [type(outcome) for outcome in outcomes(first + later)] == [Counted] * 41
    assert gate.sizes == [1, 21, 19]
    found = stored(paper.poll_id)
    assert (found.ballots, found.seq, disagreements(found)) == (41, 4, [])


def test_voters_who_come_back_are_flushed_half_and_half(alice: Person) -> None:
    """So that one half is answered while the other is flushed, however they came at first."""
    paper = new_paper(alice)
    gate = Gate()
    futures: list[Vote] = []

    def write_while_others_come_back(casts: Sequence[Cast]) -> list[Outcome]:
        back = gate.sizes[-1] if 0 < len(gate.sizes) < 10 else 0
        futures.extend(box.submit(cast) for cast in casts_of(paper, back))
        return gate.write(casts)

    with boxes(1, write_while_others_come_back) as (box,):
        futures.append(box.submit(make_cast(paper, 0)))
        assert gate.reached.wait(PATIENCE)
        futures.extend(box.submit(cast) for cast in casts_of(paper, 15))
        gate.opened.set()
        wait_until(lambda: len(gate.sizes) > 10)
    outcomes(futures)
    assert gate.sizes[:11] == [1, *[8] * 10]


def test_lone_vote_waits_for_nobody(alice: Person) -> None:
    paper = new_paper(alice)
    with boxes() as (box,):
        for number in range(5):
            cast = make_cast(paper, 0)
            assert box.submit(cast).result(PATIENCE) == counted(cast, number + 2)


def test_batch_holds_no_more_votes_than_its_limit(alice: Person, gate: Gate) -> None:
    paper = new_paper(alice)
    with boxes(1, gate.write, batch_limit=16) as (box,):
        futures = [box.submit(make_cast(paper, 0))]
        assert gate.reached.wait(PATIENCE)
        futures += [box.submit(cast) for cast in casts_of(paper, 40)]
        gate.opened.set()
        outcomes(futures)
    assert gate.sizes == [1, 16, 16, 8]
    assert module.BATCH_LIMIT == 500


# -- bounds -----------------------------------------------------------------------------------


def test_full_queue_refuses_and_takes_votes_again_once_it_has_room(
    alice: Person, gate: Gate
) -> None:
    paper = new_paper(alice)
    box = BallotBox(gate.write, queue_limit=3)
    futures = [box.submit(make_cast(paper, 0))]
    assert gate.reached.wait(PATIENCE)
    futures += [box.submit(cast) for cast in casts_of(paper, 3)]
    assert _refusal_of(lambda: box.submit(make_cast(paper, 0))) == Code.OVERLOADED
    gate.opened.set()
    outcomes(futures)
    assert isinstance(box.submit(make_cast(paper, 0)).result(PATIENCE), Counted)
    box.close()
    assert stored(paper.poll_id).ballots == 5
    assert module.QUEUE_LIMIT == 10_000


def test_queue_whose_oldest_vote_is_two_seconds_old_refuses(alice: Person, gate: Gate) -> None:
    paper = new_paper(alice)
    with boxes(1, gate.write) as (box,):
        futures = [box.submit(make_cast(paper, 0))]
        assert gate.reached.wait(PATIENCE)
        time.sleep(2.1)
        # The vote in the flush is as old as that, but it does not wait in the queue.
        futures.append(box.submit(make_cast(paper, 0)))
        time.sleep(2.1)
        assert _refusal_of(lambda: box.submit(make_cast(paper, 0))) == Code.OVERLOADED
        gate.opened.set()
        outcomes(futures)
    assert stored(paper.poll_id).ballots == 2


def test_cancelled_vote_is_not_counted(alice: Person, gate: Gate) -> None:
    paper = new_paper(alice)
    with boxes(1, gate.write) as (box,):
        first = box.submit(make_cast(paper, 0))
        assert gate.reached.wait(PATIENCE)
        waiting = [box.submit(cast) for cast in casts_of(paper, 6)]
        assert [future.cancel() for future in waiting[::2]] == [True] * 3
        assert not first.cancel()
        gate.opened.set()
        outcomes([first, *waiting[1::2]])
    assert gate.sizes == [1, 2, 1]
    assert stored(paper.poll_id).ballots == 4


def test_batch_of_cancelled_votes_alone_is_passed_over(alice: Person, gate: Gate) -> None:
    paper = new_paper(alice)
    with boxes(1, gate.write, batch_limit=2) as (box,):
        first = box.submit(make_cast(paper, 0))
        assert gate.reached.wait(PATIENCE)
        waiting = [box.submit(cast) for cast in casts_of(paper, 3)]
        for future in waiting[:2]:
            future.cancel()
        gate.opened.set()
        outcomes([first, waiting[2]])
    assert gate.sizes == [1, 1]


# -- deadlines --------------------------------------------------------------------------------


@contextmanager
def _poll_locked(poll_id: uuid.UUID) -> Iterator[None]:
    """Hold what a close holds, so that a flush waits in the database itself."""
    with transaction.atomic():
        lifecycle.lock_poll(poll_id)
        yield


def _vote_within(seconds: float, cast: Cast) -> Outcome:
    """Wait for the process's own box as a request with so much time left does."""
    with deadline.until(deadline.now_plus(seconds)):
        return voting._drop_into_box(cast)


@on_sqlite_alone
def test_vote_in_a_flush_at_its_deadline_has_an_unknown_outcome(alice: Person) -> None:
    """SQLite's flush cannot be broken off while it waits for its turn."""
    paper = new_paper(alice)
    key = new_key()
    cast, again = (make_cast(paper, 0, voter="ann", key=key) for _ in range(2))
    with _poll_locked(paper.poll_id):
        assert together(1, lambda _: _vote_within(1, cast)) == [Code.OUTCOME_UNKNOWN]
    # It was counted after all, and the voter's retry finds that out.
    assert _vote_within(PATIENCE, again) == Replayed(cast.receipt)
    assert stored(paper.poll_id).ballots == 1


@on_postgres_alone
def test_flush_ends_before_its_oldest_vote_gives_up_and_has_stored_nothing(alice: Person) -> None:
    paper = new_paper(alice)
    key = new_key()
    cast, again = (make_cast(paper, 0, voter="ann", key=key) for _ in range(2))
    with _poll_locked(paper.poll_id):
        assert together(1, lambda _: _vote_within(1, cast)) == [Code.UNAVAILABLE]
    module.close_ballot_box()
    assert stored(paper.poll_id).ballots == 0
    assert _vote_within(PATIENCE, again) == counted(again, 2)


def test_vote_that_is_late_already_hurries_no_flush(alice: Person, gate: Gate) -> None:
    paper = new_paper(alice)
    with boxes(1, gate.write) as (box,):
        first = box.submit(make_cast(paper, 0))
        assert gate.reached.wait(PATIENCE)
        with deadline.until(deadline.now_plus(0.6)):
            late = box.submit(make_cast(paper, 0))
        in_time = box.submit(make_cast(paper, 0))
        time.sleep(0.2)
        gate.opened.set()
        assert late.result(PATIENCE) == Code.OVERLOADED
        outcomes([first, in_time])
    assert gate.sizes == [1, 1]
    assert stored(paper.poll_id).ballots == 2


def test_vote_in_the_queue_at_its_deadline_is_taken_out(alice: Person) -> None:
    paper = new_paper(alice)
    in_flush, queued = casts_of(paper, 2)
    with _poll_locked(paper.poll_id):
        future = module.ballot_box().submit(in_flush)
        wait_until(future.running)
        assert together(1, lambda _: _vote_within(0.3, queued)) == [Code.OVERLOADED]
    assert isinstance(future.result(PATIENCE), Counted)
    module.close_ballot_box()
    assert stored(paper.poll_id).ballots == 1


# -- its end, and forks -----------------------------------------------------------------------


def test_closing_box_flushes_what_is_queued_and_refuses_what_comes_later(
    alice: Person, gate: Gate
) -> None:
    paper = new_paper(alice)
    box = BallotBox(gate.write, batch_limit=50)
    futures = [box.submit(make_cast(paper, 0))]
    assert gate.reached.wait(PATIENCE)
    futures += [box.submit(cast) for cast in casts_of(paper, 120)]
    with beside(box.close) as closed:
        wait_until(lambda: box._closing)
        assert _refusal_of(lambda: box.submit(make_cast(paper, 0))) == Code.UNAVAILABLE
        gate.opened.set()
        closed.result(PATIENCE)
    assert all(future.done() for future in futures)
    assert stored(paper.poll_id).ballots == 121


def test_box_begins_once_the_system_has_a_thread_for_it(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    paper = new_paper(alice)

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with boxes() as (box,):
        with monkeypatch.context() as none_left:
            none_left.setattr(threading.Thread, "start", start)
            with pytest.raises(RuntimeError):
                box.submit(make_cast(paper, 0))
        assert isinstance(box.submit(make_cast(paper, 0)).result(PATIENCE), Counted)
    assert stored(paper.poll_id).ballots == 1


def test_box_that_nobody_used_closes() -> None:
    box = BallotBox()
    box.close()
    assert _refusal_of(lambda: box.submit(_nobodys_cast())) == Code.UNAVAILABLE


def _nobodys_cast() -> Cast:
    nobody = uuid.UUID(int=0).hex
    return Cast(nobody, 1, b"", nobody, None, b"", b"", [nobody])


_FORK = """
from django.db import connection
from polls.domain.ballot_box import ballot_box, close_ballot_box
from polls.models import Poll
from tests.polls.ballots import counted, load_ballot_paper, make_cast

paper = load_ballot_paper(Poll.objects.get(id=sys.argv[1]))
connection.close()  # a connection belongs to one process
votes = [make_cast(paper, 0) for _ in range(4)]

def vote(cast):
    print(type(ballot_box().submit(cast).result(30)).__name__, flush=True)

vote(votes[0])
parents = ballot_box()
child = os.fork()
if not child:
    assert ballot_box() is not parents
    vote(votes[1])
    vote(votes[2])
    close_ballot_box()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
assert ballot_box() is parents
vote(votes[3])
close_ballot_box()
"""


def test_forked_process_has_a_box_of_its_own(alice: Person) -> None:
    paper = new_paper(alice)
    assert run_python(_FORK, str(paper.poll_id)).split() == ["Counted"] * 4
    assert stored(paper.poll_id).ballots == 4


# -- events -----------------------------------------------------------------------------------


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[tuple[uuid.UUID, str, int]]:
    """Return what is published, with the ballots that another connection sees at that moment."""
    found: list[tuple[uuid.UUID, str, int]] = []

    def hear(poll_id: uuid.UUID, event: events.Event) -> None:
        (seen,) = together(1, lambda _: PollTally.objects.get(poll=poll_id).ballots)
        found.append((poll_id, event.value, seen))

    monkeypatch.setattr(events, "_sinks", [hear])
    return found


def test_event_is_published_once_a_poll_and_flush_after_its_commit(
    alice: Person, gate: Gate, heard: list[tuple[uuid.UUID, str, int]]
) -> None:
    lunch, dinner, closed = (new_paper(alice) for _ in range(3))
    lifecycle.close_poll(closed.poll_id)
    heard.clear()
    with boxes(1, gate.write) as (box,):
        futures = [box.submit(make_cast(lunch, 0))]
        assert gate.reached.wait(PATIENCE)
        for paper in (lunch, dinner, closed, lunch):
            futures += [box.submit(cast) for cast in casts_of(paper, 2)]
        assert heard == []
        gate.opened.set()
        outcomes(futures)
    assert heard[0] == (lunch.poll_id, "voted", 1)
    # The second flush holds two votes for lunch, two for dinner and one that comes too late.
    second = [(lunch.poll_id, "voted", 3), (dinner.poll_id, "voted", 2)]
    assert sorted(heard[1:3]) == sorted(second)
    assert heard[3:] == [(lunch.poll_id, "voted", 5)]


def test_flush_that_fails_publishes_nothing(
    alice: Person, heard: list[tuple[uuid.UUID, str, int]]
) -> None:
    lunch, dinner = new_paper(alice), new_paper(alice)
    heard.clear()
    with boxes() as (box,):
        assert isinstance(box.submit(_poisoned(lunch, dinner)).exception(PATIENCE), IntegrityError)
    assert heard == []


# -- a row that cannot be stored --------------------------------------------------------------


def _poisoned(paper: BallotPaper, other: BallotPaper) -> Cast:
    """Return a vote for another poll's option, which the composite foreign key refuses."""
    return replace(make_cast(paper, 0), options=[next(iter(other.options.values()))])


def test_poisoned_vote_among_a_hundred_alone_fails(alice: Person, gate: Gate) -> None:
    paper, other = new_paper(alice), new_paper(alice)
    casts = casts_of(paper, 99)
    casts.insert(37, _poisoned(paper, other))
    with boxes(1, gate.write) as (box,):
        # One vote goes ahead, so that half of the hundred behind it are one batch.
        outrider = box.submit(make_cast(other, 0))
        assert gate.reached.wait(PATIENCE)
        futures = [box.submit(cast) for cast in casts]
        gate.opened.set()
        errors = [future.exception(PATIENCE) for future in futures]
        outcomes([outrider])
    assert gate.sizes[:2] == [1, 51]
    assert [place for place, error in enumerate(errors) if error is not None] == [37]
    assert isinstance(errors[37], IntegrityError)
    del futures[37]
    assert [type(outcome) for outcome in outcomes(futures)] == [Counted] * 99
    found = stored(paper.poll_id)
    assert (found.ballots, disagreements(found)) == (99, [])
