"""A service that is being stopped: whatever it has taken, it answers, and what it says is true."""

import contextlib
import json
import signal
import socket
import sqlite3
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import pytest

from tests.live import Caller, Server
from tests.polls import wire
from tests.polls.faults import rows
from tests.polls.threads import PATIENCE, beside, together, wait_until
from tests.polls.two_doors import JSON, KEY, VOTES, fill

VOTERS = 32


@pytest.fixture
def service() -> Iterator[Server]:
    """A server that the test stops."""
    with Server() as server:
        yield server


@pytest.fixture
def poll(service: Server) -> dict[str, Any]:
    """A poll whose voters are their keys, so that none needs a token first."""
    return service.sign_up().make_poll(identity="open")


@dataclass
class Voters:
    """Votes as bytes on sockets that stay open, and what came back."""

    service: Server
    poll: dict[str, Any]
    counted: dict[str, str] = field(default_factory=dict)  # receipts by key
    refused: list[str] = field(default_factory=list)

    def vote(self, client: socket.socket, *, place: int) -> str:
        """Send a vote, every second one of them to Django; return its key."""
        key = uuid.uuid4().hex
        names = {"poll": self.poll["id"], "key": key}
        body = json.dumps({"choices": [self.poll["options"][place % 2]["id"]]}).encode()
        lines = [fill(line, names) for line in (JSON, KEY, f"Content-Length: {len(body)}")]
        target = VOTES if place % 2 else f"{VOTES}?x=1"
        client.sendall(wire.head("POST", fill(target, names), *lines) + body)
        return key

    def hear(self, client: socket.socket, key: str) -> None:
        """Wait for the answer to a vote."""
        answer = wire.receive(client, "POST")
        said = json.loads(answer.body)
        if answer.status in {200, 201}:
            self.counted[key] = said["receipt"]
        else:
            self.refused.append(f"{answer.status} {said['code']}")

    def vote_until_the_end(self, place: int) -> None:
        """Vote on one connection for as long as the service takes votes."""
        # Closed between two votes, or before one was read; an answer that breaks off is another
        # error, and one that never comes a third.
        with contextlib.suppress(ConnectionError), wire.connect(self.service) as client:
            while True:
                self.hear(client, self.vote(client, place=place))

    def audit(self) -> None:
        """Make sure that the votes which were acknowledged are those that are stored."""
        stored = rows(
            self.service,
            "SELECT receipt FROM polls_ballot WHERE poll_id = {id}",
            uuid.UUID(self.poll["id"]),
        )
        receipts = Counter(bytes(row[0]).hex() for row in stored)
        assert receipts == Counter(self.counted.values())


@contextmanager
def _held_up(service: Server, poll: dict[str, Any]) -> Iterator[None]:
    """Let no flush of the service get through to the poll while the block runs."""
    url = service.environment.get("DATABASE_URL")
    if url:
        with closing(psycopg2.connect(url)) as client, client.cursor() as cursor:
            cursor.execute("SELECT 1 FROM polls_poll WHERE id = %s FOR UPDATE", [poll["id"]])
            yield
    else:
        file = f"{service.folder}/polls.sqlite3"
        with closing(sqlite3.connect(file, timeout=PATIENCE, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            yield


def _assert_ended(service: Server) -> None:
    """Make sure that it ended by the signal alone, once it had done its work."""
    assert service.process.wait(PATIENCE) == -signal.SIGTERM
    assert "Traceback" not in service.log.read_text()


def test_every_vote_that_waits_when_the_service_is_stopped_is_counted_and_answered(
    service: Server, poll: dict[str, Any]
) -> None:
    voters = Voters(service, poll)
    clients = [wire.connect(service) for _ in range(VOTERS)]
    with _held_up(service, poll):
        keys = [voters.vote(client, place=place) for place, client in enumerate(clients)]
        # What has come before this is read before this is answered.
        assert Caller(service).get("/livez").status_code == 200
        service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: _refuses_connections(service))
    for client, key in zip(clients, keys, strict=True):
        voters.hear(client, key)
        client.close()
    _assert_ended(service)
    assert voters.refused == []
    voters.audit()
    assert len(voters.counted) == VOTERS


def _refuses_connections(service: Server) -> bool:
    try:
        wire.connect(service).close()
    except ConnectionRefusedError:
        return True
    return False


def test_service_that_is_stopped_in_a_rush_drops_no_vote_that_it_has_stored(
    service: Server, poll: dict[str, Any]
) -> None:
    """Half of the voters come by the express door, half by Django."""
    voters = Voters(service, poll)
    with beside(lambda: together(VOTERS, voters.vote_until_the_end)) as rush:
        wait_until(lambda: len(voters.counted) >= 200)
        service.process.send_signal(signal.SIGTERM)
        rush.result(PATIENCE)
    _assert_ended(service)
    assert set(voters.refused) <= {"503 unavailable", "503 overloaded"}
    # A client cannot tell whether its last request was taken; had it been, it would be stored.
    voters.audit()
