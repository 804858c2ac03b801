"""Every voter votes many times at once, at both doors, on each rung of who a voter is.

`make soak ARGS="--only doubles"` does the same with 1,000 voters of 200 requests each.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
import pytest

from benchmarks.soak_doubles import RUNGS, Rung, Told, Who, fire, shots
from tests.live import Caller, Server

VOTERS, REQUESTS, CONNECTIONS = 10, 20, 40
ANY_RUNG = pytest.mark.parametrize("rung", RUNGS, ids=[rung.name for rung in RUNGS])


class Place(NamedTuple):
    """A server, its organiser, and voters with accounts and with devices."""

    server: Server
    host: Caller
    accounts: list[Caller]
    devices: list[Caller]


def _place(server: Server) -> Place:
    accounts = [server.sign_up() for _ in range(VOTERS)]
    return Place(server, server.sign_up(), accounts, [server.voter() for _ in range(VOTERS)])


@pytest.fixture(scope="module")
def service(*, on_postgres: bool) -> Iterator[Place]:
    """A server of two processes where the database lets there be two."""
    with Server(WEB_WORKERS="2" if on_postgres else "1") as server:
        yield _place(server)


@pytest.fixture(scope="module")
def unguarded(*, on_postgres: bool) -> Iterator[Place]:
    """One whose participations have no primary key."""
    with Server(WEB_WORKERS="2" if on_postgres else "1") as server:
        table = "polls_participation"
        url = server.environment.get("DATABASE_URL")
        if url:
            with closing(psycopg2.connect(url)) as client, client, client.cursor() as cursor:
                cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey")
        else:
            with closing(sqlite3.connect(f"{server.folder}/polls.sqlite3")) as file:
                file.executescript(
                    f"ALTER TABLE {table} RENAME TO guarded;"
                    f"CREATE TABLE {table} AS SELECT * FROM guarded WHERE 0"
                )
        yield _place(server)


def _voters(place: Place, rung: Rung, poll: dict[str, Any]) -> list[Who]:
    if rung.identity == "code":
        made = place.host.post(f"{poll['links']['self']}codes/", {"count": VOTERS}).json()["codes"]
        return [Who(code=code) for code in made]
    people = place.accounts if rung.identity == "account" else place.devices
    return [
        Who("".join(f"{name}: {value}\r\n" for name, value in person.headers.items()).encode())
        for person in people
    ]


def _vote(
    place: Place, rung: Rung, folder: Path, requests: int = REQUESTS
) -> tuple[int, Told, dict[str, Any], bool]:
    """Return how many ballots there may be, what was told, the results, and whether they agree."""
    port, host = place.server.port, place.host
    poll = host.make_poll(**rung.definition(VOTERS))
    sent = shots(port, poll, _voters(place, rung, poll), requests)
    told = fire(port, sent, folder / "log", connections=CONNECTIONS)
    results = host.get(poll["links"]["results"]).json()
    equal = host.get(f"{poll['links']['self']}integrity/").json()["equal"]
    return rung.room(VOTERS), told, results, equal


@ANY_RUNG
def test_row_38_no_double_gets_in(service: Place, rung: Rung, tmp_path: Path) -> None:
    room, told, results, equal = _vote(service, rung, tmp_path)
    assert told.doubles == 0
    assert results["ballots"] == told.counted.total() == room
    assert equal
    refused = 403 if rung.identity == "code" else 409
    assert set(told.statuses) == {201, refused} | ({403} if rung.capped else set())


@ANY_RUNG
def test_row_38_control_without_the_constraint_doubles_get_in(
    unguarded: Place, rung: Rung, tmp_path: Path
) -> None:
    room, told, results, _ = _vote(unguarded, rung, tmp_path, REQUESTS // 2)
    if rung.capped:  # of whom the cap still lets in no more: each takes the place of others
        assert (results["ballots"], told.doubles > 0) == (room, True)
    else:
        assert results["ballots"] > room
        assert told.doubles > 0
