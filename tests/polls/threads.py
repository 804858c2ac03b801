"""Real threads with real connections, and ballot boxes side by side.

One process has one box, which flushes one batch at a time. Several boxes in one test are what
several processes are to the database: a thread and a connection each.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from django.db import connections

from polls.domain.ballot_box import BATCH_LIMIT, BallotBox, write_batch
from polls.domain.outcomes import Outcome
from polls.domain.statements import Cast

T = TypeVar("T")
Vote = Future[Outcome]
Write = Callable[[Sequence[Cast]], list[Outcome]]

PATIENCE = 60.0  # seconds: a busy machine is slow, a dead one is found out all the same


def together(count: int, work: Callable[[int], T]) -> list[T]:
    """Do work(0) … work(count - 1) at the same moment, each in a thread of its own."""
    start = threading.Barrier(count)

    def run(place: int) -> T:
        start.wait(PATIENCE)
        try:
            return work(place)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return [future.result(PATIENCE) for future in [pool.submit(run, n) for n in range(count)]]


@contextmanager
def beside(work: Callable[[], T]) -> Iterator["Future[T]"]:
    """Do work in another thread while the block runs; the future holds what it returned."""

    def run() -> T:
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(run)


@contextmanager
def boxes(
    count: int = 1, write: Write = write_batch, *, batch_limit: int = BATCH_LIMIT
) -> Iterator[list[BallotBox]]:
    """Open ballot boxes and drain them at the end of the block."""
    opened = [BallotBox(write, batch_limit=batch_limit) for _ in range(count)]
    try:
        yield opened
    finally:
        for box in opened:
            box.close()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def outcomes(futures: Sequence[Vote]) -> list[Outcome]:
    """Wait for the outcomes of votes."""
    return [future.result(PATIENCE) for future in futures]
