"""A database file that another process holds: success or a clean refusal, and nothing lost."""

import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cast import NEW_POLL
from tests.live import Caller, Server
from tests.polls.faults import Log, is_refused_cleanly
from tests.polls.stacks import on_sqlite_alone
from tests.polls.threads import PATIENCE, beside, together, wait_until

VOTERS = 12


@pytest.fixture
def service() -> Iterator[Server]:
    """A server on a file of its own."""
    with Server() as server:
        yield server


@contextmanager
def _file_held(service: Server) -> Iterator[None]:
    """Hold SQLite's write lock from this process, which is another than the service's."""
    other = sqlite3.connect(
        Path(service.folder) / "polls.sqlite3", timeout=PATIENCE, isolation_level=None
    )
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
    finally:
        other.close()


@on_sqlite_alone
def test_votes_wait_for_a_file_that_is_held_for_a_moment(service: Server) -> None:
    log = Log(service, service.sign_up().make_poll())
    voters = [service.voter() for _ in range(VOTERS)]
    with beside(
        lambda: together(VOTERS, lambda place: log.vote(voters[place], key=uuid.uuid4().hex).status)
    ) as voting:
        with _file_held(service):
            time.sleep(1)
        assert voting.result(PATIENCE) == [201] * VOTERS
    log.audit()


@on_sqlite_alone
def test_file_that_is_held_for_long_is_a_503_for_writers_and_nothing_for_readers(
    service: Server,
) -> None:
    host = service.sign_up()
    log = Log(service, host.make_poll())
    path = log.poll["links"]["self"]
    voters = [(service.voter(), uuid.uuid4().hex) for _ in range(VOTERS)]
    writing = ("unavailable", "overloaded", "outcome_unknown")
    with _file_held(service):

        def call(place: int) -> None:
            if place < VOTERS:
                voter, key = voters[place]
                answer = log.vote(voter, key=key)
                assert (answer.status, answer.code in writing) == (503, True)
                assert int(answer.headers["Retry-After"]) > 0
            elif place == VOTERS:
                refused = host.call("PATCH", path, {"title": "Supper?"})
                assert is_refused_cleanly(refused, *writing), refused.text
            elif place == VOTERS + 1:
                refused = host.post("/api/v1/polls/", NEW_POLL)
                assert is_refused_cleanly(refused, *writing), refused.text
            else:
                assert host.get(f"{path}results/").json()["ballots"] == 0
                assert Caller(service).get("/readyz").status_code == 200

        together(VOTERS + 3, call)

    def retry(place: int) -> int:
        voter, key = voters[place]
        end = time.monotonic() + PATIENCE
        while (answer := log.vote(voter, key=key)).status == 503:
            assert time.monotonic() < end
            time.sleep(0.2)
        return answer.status

    assert set(together(VOTERS, retry)) <= {200, 201}
    assert host.get(f"{path}results/").json()["ballots"] == VOTERS
    log.audit()


@on_sqlite_alone
def test_no_vote_is_lost_or_counted_twice_while_the_file_is_held_again_and_again(
    service: Server,
) -> None:
    log = Log(service, service.sign_up().make_poll())
    voters = [[service.voter() for _ in range(20)] for _ in range(VOTERS)]
    stop = threading.Event()

    def hold_and_let_go() -> int:
        held = 0
        while not stop.wait(0.05):
            with _file_held(service):
                held += 1
                time.sleep(0.3)
        return held

    def vote(place: int) -> None:
        for voter in voters[place]:
            log.vote_until_counted(voter, place=place % 2)

    with beside(hold_and_let_go) as holding:
        try:
            wait_until(holding.running)
            together(VOTERS, vote)
        finally:
            stop.set()
        assert holding.result(PATIENCE) > 1
    assert set(log.statuses()) <= {200, 201, 503}
    log.audit()
