"""Clients that log their answers, an auditor that reads only that log and the database, and a
PostgreSQL server of our own that may be frozen and killed.
"""

import sqlite3
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import requests

from devtools.postgres import PostgresServer
from tests.live import Caller, Server
from tests.polls.threads import PATIENCE

UNSTORED = {"overloaded", "unavailable"}  # what these say of a vote: it was not counted


@dataclass(frozen=True)
class Answer:
    """What one request for a vote came back with."""

    voter: str
    status: int
    code: str | None
    receipt: str | None
    seconds: float
    headers: Mapping[str, str]


@dataclass
class Log:
    """The answers to all votes in one poll, as their clients saw them."""

    service: Server
    poll: dict[str, Any]
    answers: list[Answer] = field(default_factory=list)

    def vote(self, voter: Caller, *, key: str, place: int = 0) -> Answer:
        """Send one vote and log its answer."""
        began = time.monotonic()
        response = voter.vote(self.poll, place, Idempotency_Key=key)
        answer = Answer(
            voter=voter.headers["X-Voter-Token"],
            status=response.status_code,
            code=response.json().get("code"),
            receipt=response.json().get("receipt"),
            seconds=time.monotonic() - began,
            headers=response.headers,
        )
        self.answers.append(answer)
        return answer

    def vote_until_counted(self, voter: Caller, *, place: int = 0) -> Answer:
        """Send one vote, and again with its key for as long as the answer is a 503."""
        key = uuid.uuid4().hex
        end = time.monotonic() + PATIENCE
        while (answer := self.vote(voter, key=key, place=place)).status == 503:
            assert time.monotonic() < end
            time.sleep(0.1)
        return answer

    def statuses(self) -> Counter[int]:
        """Return how often each status was answered."""
        return Counter(answer.status for answer in self.answers)

    def audit(self) -> None:
        """Check that every 2xx is stored exactly once, and that nothing is stored but votes."""
        poll_id = uuid.UUID(self.poll["id"])
        receipts = Counter(
            bytes(row[0]).hex()
            for row in rows(
                self.service, "SELECT receipt FROM polls_ballot WHERE poll_id = {id}", poll_id
            )
        )
        counted: dict[str, set[str]] = {}
        for answer in self.answers:
            if answer.status in {200, 201}:
                assert answer.receipt is not None
                counted.setdefault(answer.voter, set()).add(answer.receipt)
        assert all(len(own) == 1 for own in counted.values())  # a retry has the first receipt
        own_receipts = {receipt for own in counted.values() for receipt in own}
        assert {receipt: receipts[receipt] for receipt in own_receipts} == dict.fromkeys(
            own_receipts, 1
        )
        perhaps = {answer.voter for answer in self.answers if answer.code == "outcome_unknown"}
        ballots = receipts.total()
        assert len(counted) <= ballots <= len(counted | dict.fromkeys(perhaps))
        ((participations, tallied, equal),) = rows(self.service, _AUDIT, poll_id)
        assert (participations, tallied, equal) == (ballots, ballots, len(self.poll["options"]))


_AUDIT = """
SELECT (SELECT COUNT(*) FROM polls_participation WHERE poll_id = {id}),
       (SELECT ballots FROM polls_polltally WHERE poll_id = {id}),
       (SELECT COUNT(*) FROM polls_tally t WHERE poll_id = {id} AND votes =
           (SELECT COUNT(*) FROM polls_selection s
            WHERE s.poll_id = {id} AND s.option_id = t.option_id))
"""


def rows(service: Server, sql: str, poll_id: uuid.UUID) -> list[tuple[Any, ...]]:
    """Read a service's database past the service."""
    url = service.environment.get("DATABASE_URL")
    if not url:
        file = Path(service.folder) / "polls.sqlite3"
        with closing(sqlite3.connect(file, timeout=PATIENCE)) as connection:
            return connection.execute(sql.format(id=f"'{poll_id.hex}'")).fetchall()
    with closing(psycopg2.connect(url)) as client, client.cursor() as cursor:
        cursor.execute(sql.format(id=f"'{poll_id}'"))
        return list(cursor.fetchall())


@contextmanager
def beside_it(work: threading.Thread) -> Iterator[None]:
    """Run a thread while the block runs."""
    work.start()
    try:
        yield
    finally:
        work.join(PATIENCE)


class OwnPostgres(PostgresServer):
    """A PostgreSQL server that nobody else uses, and that may be stopped in every way."""

    def _processes(self) -> list[psutil.Process]:
        """Return its process and those that it has started."""
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop every process of it: connections stay open, and nothing answers."""
        for process in self._processes():
            process.suspend()
        try:
            yield
        finally:
            for process in self._processes():
                process.resume()

    def crash(self) -> None:
        """Kill every process of it at once, as a power cut does."""
        for process in self._processes():
            process.kill()
        self.process.wait()

    def start_again(self) -> None:
        """Start it on the data that the crash left."""
        self.process = self._start()


def is_refused_cleanly(answer: requests.Response, *codes: str) -> bool:
    """Whether an answer is a 503 of the catalogue that says when to come back."""
    return (
        answer.status_code == 503
        and answer.json()["code"] in codes
        and int(answer.headers["Retry-After"]) > 0
    )
