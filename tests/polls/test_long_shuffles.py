"""Shuffling takes minutes where many have voted: nothing else waits for it, and it ends."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from polls.domain import deadline, lifecycle, secrecy
from polls.domain.ballot_box import write_batch
from polls.domain.sweep import Sweep
from polls.models import Ballot, Poll
from tests.cast import Person
from tests.polls.ballots import disagreements, make_cast, new_paper, stored
from tests.polls.test_lifecycle_api import ahead
from tests.polls.test_secret_polls import vote_one_by_one
from tests.polls.threads import PATIENCE, beside, wait_until


@pytest.fixture
def linger(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let each chunk of a shuffle, of four rows, take some seconds longer."""
    whole = secrecy._rewrite_chunk

    def linger(seconds: float) -> None:
        def slowly(*arguments: Any) -> None:
            whole(*arguments)
            time.sleep(seconds)

        monkeypatch.setattr(secrecy, "_CHUNK", 4)
        monkeypatch.setattr(secrecy, "_rewrite_chunk", slowly)

    return linger


def test_others_vote_while_a_poll_is_shuffled(
    alice: Person, linger: Callable[[float], None]
) -> None:
    paper, _ = vote_one_by_one(alice, 40)
    other = new_paper(alice)
    lifecycle.close_poll(paper.poll_id)
    linger(0.02)
    meanwhile = 0
    with beside(lambda: secrecy.shuffle_poll(paper.poll_id)) as shuffled:
        while not shuffled.done():
            write_batch([make_cast(other, 0)])
            meanwhile += not shuffled.done()
        shuffled.result(PATIENCE)
    assert meanwhile >= 5
    assert stored(paper.poll_id).ballots == 40
    assert disagreements(stored(other.poll_id)) == []


def test_poll_that_is_deleted_meanwhile_is_shuffled_no_further(
    alice: Person, linger: Callable[[float], None]
) -> None:
    """What is written anew would keep a purge from its end."""
    paper, _ = vote_one_by_one(alice, 40)
    lifecycle.close_poll(paper.poll_id)
    linger(0)
    asked = 0

    def goes_on() -> bool:
        nonlocal asked
        asked += 1
        if asked == 3:
            lifecycle.delete_poll(paper.poll_id)
        return True

    secrecy.shuffle_poll(paper.poll_id, goes_on)
    assert asked == 3


def test_long_shuffle_has_more_time_than_a_chore(
    alice: Person, linger: Callable[[float], None]
) -> None:
    paper, _ = vote_one_by_one(alice, 40)
    lifecycle.close_poll(paper.poll_id)
    linger(0.1)
    began = time.monotonic()
    with deadline.until(deadline.now_plus(1)):
        secrecy.shuffle_closed_polls()
    assert time.monotonic() - began > 2
    assert Poll.objects.get(id=paper.poll_id).shuffled_at is not None


def test_long_shuffle_keeps_nothing_from_being_opened_and_closed_nor_the_service_from_its_end(
    alice: Person, linger: Callable[[float], None]
) -> None:
    paper, _ = vote_one_by_one(alice, 100)
    lifecycle.close_poll(paper.poll_id)
    before = stored(paper.poll_id)
    linger(0.5)  # which makes it half a minute
    due = alice.make_poll(opens_at=ahead(seconds=2), closes_at=ahead(seconds=3))
    sweep = Sweep()
    sweep.start()
    wait_until(Poll.objects.filter(id=due["id"], certified_at__isnull=False).exists)
    stopped = time.monotonic()
    sweep.stop()
    assert time.monotonic() - stopped < 2
    assert Poll.objects.get(id=paper.poll_id).shuffled_at is None
    assert stored(paper.poll_id) == before


def test_ballots_with_many_marks_are_rewritten_a_few_at_a_time(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else writes on SQLite meanwhile, so what counts are rows."""
    paper = new_paper(alice, secrecy="secret", kind="multiple", max_selections=3)
    write_batch([make_cast(paper, 0, 1, 2) for _ in range(30)])
    lifecycle.close_poll(paper.poll_id)
    monkeypatch.setattr(secrecy, "_CHUNK", 12)
    whole, sizes = secrecy._rewrite_chunk, []

    def note(poll_id: Any, tables: Any, first: Any, last: Any) -> None:
        if tables[0][0] is Ballot:
            sizes.append(Ballot.objects.filter(poll=poll_id, id__range=(first, last)).count())
        whole(poll_id, tables, first, last)

    monkeypatch.setattr(secrecy, "_rewrite_chunk", note)
    secrecy.shuffle_poll(paper.poll_id)
    assert sizes == [4] * 7 + [2]
