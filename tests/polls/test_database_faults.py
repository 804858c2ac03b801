"""A database that goes away, freezes or crashes under load: clean refusals, and nothing lost.

The auditor knows only what the clients were answered and what the database holds.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import psycopg2
import pytest
import requests
from django.db import OperationalError, connection

from devtools import servers
from polls.domain import ballot_box, deadline
from polls.domain.ballot_box import BallotBox, close_ballot_box, write_batch
from polls.domain.outcomes import Outcome
from polls.domain.statements import Cast
from tests.cast import Person, new_key
from tests.cast import voter as new_voter
from tests.live import Caller, Server
from tests.polls.ballots import stored
from tests.polls.faults import Log, OwnPostgres, beside_it, is_refused_cleanly
from tests.polls.stacks import on_postgres_alone
from tests.polls.threads import PATIENCE, beside, together, wait_until

CLIENTS = 12

# A request is answered 5 s after it arrived at the latest; this machine may be busy.
ANSWERED_SECONDS = 5 + 5


# -- connections that are cut -----------------------------------------------------------------


@pytest.fixture
def service() -> Iterator[Server]:
    """A server of two processes on a database of its own."""
    with Server(WEB_WORKERS="2") as server:
        yield server


def _cut_connections(service: Server, stop: threading.Event) -> None:
    """End every connection to the service's database, several times a second."""
    with (
        closing(psycopg2.connect(service.environment["DATABASE_URL"])) as own,
        own.cursor() as cursor,
    ):
        own.autocommit = True
        while not stop.wait(0.15):
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


def _voters_until_cuts_are_felt(service: Server, log: Log, least: int) -> Iterator[Caller]:
    """Give so many voters, and more until a flush was cut whose second attempt was cut as well."""
    end = time.monotonic() + PATIENCE
    given = 0
    while given < least or (log.statuses()[503] < 2 and time.monotonic() < end):
        given += 1
        yield service.voter()


@on_postgres_alone
def test_no_vote_is_lost_or_counted_twice_while_connections_are_cut(service: Server) -> None:
    log = Log(service, service.sign_up().make_poll())

    def vote(place: int) -> None:
        for voter in _voters_until_cuts_are_felt(service, log, 20):
            log.vote_until_counted(voter, place=place % 2)

    stop = threading.Event()
    cutting = threading.Thread(target=_cut_connections, args=(service, stop))
    with beside_it(cutting):
        try:
            together(CLIENTS, vote)
        finally:
            stop.set()
    assert set(log.statuses()) <= {200, 201, 503}
    assert log.statuses()[503] > 0  # the cuts were felt
    log.audit()


@on_postgres_alone
def test_vote_that_was_refused_while_connections_are_cut_is_not_stored(service: Server) -> None:
    """Nobody tries again: what was answered `unavailable` must stay uncounted."""
    log = Log(service, service.sign_up().make_poll())

    def vote(_: int) -> None:
        for voter in _voters_until_cuts_are_felt(service, log, 25):
            log.vote(voter, key=uuid.uuid4().hex)

    stop = threading.Event()
    cutting = threading.Thread(target=_cut_connections, args=(service, stop))
    with beside_it(cutting):
        try:
            together(CLIENTS, vote)
        finally:
            stop.set()
    assert set(log.statuses()) == {201, 503}
    log.audit()


# -- a server that freezes or crashes ---------------------------------------------------------


@pytest.fixture(scope="module")
def postgres() -> Iterator[OwnPostgres]:
    """A PostgreSQL server that the tests may stop."""
    server = OwnPostgres()
    yield server
    server.stop()


@pytest.fixture
def fragile(postgres: OwnPostgres) -> Iterator[Server]:
    """A service on that server."""
    with Server(DATABASE_URL=servers.create_database(postgres.url, "polls_fault")) as server:
        yield server


Call = Callable[[], requests.Response]


def _calls_of_everybody(host: Caller, poll_path: str) -> dict[str, tuple[Call, set[str]]]:
    """Return ordinary calls beside votes, and the codes that each may be refused with."""
    new_poll = {"title": "Dinner?", "options": [{"text": "Yes"}, {"text": "No"}]}
    reading = {"unavailable", "overloaded"}
    writing = {"unavailable", "overloaded", "outcome_unknown"}
    return {
        "read": (lambda: host.get(poll_path), reading),
        "results": (lambda: host.get(f"{poll_path}results/"), reading),
        "timeline": (lambda: host.get(f"{poll_path}timeline/"), reading),
        "list": (lambda: host.get("/api/v1/polls/"), reading),
        "integrity": (lambda: host.get(f"{poll_path}integrity/"), reading),
        "make": (lambda: host.post("/api/v1/polls/", new_poll), writing),
        "change": (lambda: host.call("PATCH", poll_path, {"title": "Supper?"}), writing),
        "close": (lambda: host.post(f"{poll_path}close/"), writing),
    }


@on_postgres_alone
def test_frozen_database_is_a_503_in_time_for_everybody_and_then_over(
    postgres: OwnPostgres, fragile: Server
) -> None:
    host = fragile.sign_up()
    log = Log(fragile, host.make_poll())
    voters = [(fragile.voter(), uuid.uuid4().hex) for _ in range(30)]
    for voter, key in voters[:3]:
        assert log.vote(voter, key=key).status == 201
    calls = _calls_of_everybody(host, log.poll["links"]["self"])
    others: dict[str, tuple[requests.Response, float]] = {}

    def call(place: int) -> None:
        if place < len(voters):
            voter, key = voters[place]
            log.vote(voter, key=key)
        else:
            name = list(calls)[place - len(voters)]
            began = time.monotonic()
            others[name] = calls[name][0](), time.monotonic() - began

    with postgres.frozen():
        # Twice: the second wave meets connections that the first has given up.
        for _ in range(2):
            before = len(log.answers)
            together(len(voters) + len(calls), call)
            for answer in log.answers[before:]:
                assert answer.status == 503
                assert answer.code in {"unavailable", "overloaded", "outcome_unknown"}
                assert int(answer.headers["Retry-After"]) > 0
                assert answer.seconds < ANSWERED_SECONDS
            for name, (response, seconds) in others.items():
                assert is_refused_cleanly(response, *calls[name][1]), (name, response.text)
                assert seconds < ANSWERED_SECONDS
        assert Caller(fragile).get("/livez").status_code == 200
        assert Caller(fragile).get("/readyz").status_code == 503

    end = time.monotonic() + PATIENCE
    while Caller(fragile).get("/readyz").status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.2)

    def retry(place: int) -> int:
        voter, key = voters[place]
        while (answer := log.vote(voter, key=key)).status == 503:
            assert time.monotonic() < end
            time.sleep(0.2)
        return answer.status

    # Unless the close came through after all, everybody's vote is in now.
    expected = {200, 410} if _is_closed(host, log) else {200, 201}
    assert set(together(len(voters), retry)) <= expected
    log.audit()


def _is_closed(host: Caller, log: Log) -> bool:
    return bool(host.get(log.poll["links"]["self"]).json()["status"] == "closed")


@on_postgres_alone
def test_acknowledged_votes_outlive_a_crash_of_the_database(
    postgres: OwnPostgres, fragile: Server
) -> None:
    log = Log(fragile, fragile.sign_up().make_poll())
    voters = [[fragile.voter() for _ in range(25)] for _ in range(CLIENTS)]

    def vote(place: int) -> None:
        for voter in voters[place]:
            log.vote_until_counted(voter)

    with beside(lambda: together(CLIENTS, vote)) as voting:
        wait_until(lambda: len(log.answers) >= 50)
        postgres.crash()
        time.sleep(0.5)
        # From this thread: the server ends with the thread that started it.
        postgres.start_again()
        voting.result(PATIENCE)
    assert set(log.statuses()) <= {200, 201, 503}
    assert log.statuses()[503] > 0
    log.audit()


# -- the wait itself --------------------------------------------------------------------------


def _sleep_in_database(seconds: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])


@pytest.fixture
def sleeping_database(database: None) -> Iterator[None]:  # noqa: ARG001 - the suite's own
    """End the sleep that a test has given up waiting for: the server does not notice by itself."""
    yield
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep%'"
        )


@on_postgres_alone
@pytest.mark.usefixtures("sleeping_database")
def test_wait_for_the_database_ends_at_the_threads_deadline() -> None:
    began = time.monotonic()
    with (
        deadline.until(deadline.now_plus(0.5)),
        pytest.raises(OperationalError) as caught,
    ):
        _sleep_in_database(PATIENCE)
    assert isinstance(caught.value.__cause__, deadline.DeadlineExceededError)
    assert 0.5 <= time.monotonic() - began < PATIENCE / 2
    # The thread's next request has a connection that works.
    connection.close_if_unusable_or_obsolete()
    _sleep_in_database(0)


@on_postgres_alone
@pytest.mark.usefixtures("sleeping_database")
def test_wait_without_a_deadline_is_as_long_as_the_work() -> None:
    began = time.monotonic()
    _sleep_in_database(1)
    assert time.monotonic() - began >= 1


@on_postgres_alone
@pytest.mark.usefixtures("sleeping_database")
def test_inner_deadline_cannot_outlast_the_outer_one() -> None:
    with deadline.until(deadline.now_plus(0.5)):
        with (
            deadline.until(deadline.now_plus(PATIENCE)),
            pytest.raises(OperationalError),
        ):
            _sleep_in_database(PATIENCE)
        assert deadline.remaining() == 0
    assert deadline.remaining() == deadline.REQUEST_SECONDS


@on_postgres_alone
@pytest.mark.usefixtures("sleeping_database")
def test_deadline_of_one_thread_is_not_anothers() -> None:
    with deadline.until(deadline.now_plus(0.2)):
        time.sleep(0.3)
        assert together(1, lambda _: _sleep_in_database(0.5)) == [None]


# -- between COMMIT and the answer ------------------------------------------------------------


@on_postgres_alone
def test_replay_is_acknowledged_although_its_results_cannot_be_read(alice: Person) -> None:
    """A refusal would say that nothing was stored."""
    poll = alice.make_poll()
    somebody, key = new_voter(), new_key()
    receipt = somebody.vote(poll, 0, Idempotency_Key=key).json()["receipt"]
    close_ballot_box()
    own = connection.cursor()
    own.execute("SELECT pg_backend_pid()")
    (pid,) = own.fetchone()

    def commit_and_cut_the_requests_connection(casts: Sequence[Cast]) -> list[Outcome]:
        written = write_batch(casts)
        with connection.cursor() as cursor:  # the box's
            cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])  # once it has ended
            assert cursor.fetchone() == (True,)
        return written

    ballot_box._process.box = BallotBox(commit_and_cut_the_requests_connection)
    again = somebody.vote(poll, 0, Idempotency_Key=key)
    connection.close()
    assert again.status_code == 200
    assert again.json() == {"poll": poll["id"], "receipt": receipt, "seq": None}
    close_ballot_box()  # the next vote finds one that cuts nothing
    assert stored(uuid.UUID(poll["id"])).ballots == 1
    again = somebody.vote(poll, 0, Idempotency_Key=key)
    assert (again.json()["receipt"], again.json()["results"]["ballots"]) == (receipt, 1)
