"""The databases that a benchmark runs on, the polls in them, and whether they counted exactly."""

import atexit
import contextlib
import hmac
import os
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import requests

from devtools import servers
from devtools.service import ROOT

OPTIONS = 4


class RunFailedError(Exception):
    """A figure that cannot be trusted: a wrong answer, a server that ended, a wrong count."""


@dataclass(frozen=True)
class Poll:
    """A poll that votes are sent to."""

    id: str
    options: tuple[str, ...]


@contextlib.contextmanager
def connected(url: str) -> Iterator[Any]:
    """Give a cursor that commits each statement."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


class Ground:
    """A PostgreSQL server with one migrated database, of which every run takes a fresh copy."""

    def __init__(self) -> None:
        self.server = servers.postgres()
        self._open: set[str] = set()
        atexit.register(self._drop_all)
        self.template = servers.create_database(self.server, "polls_bench_template")
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONDONTWRITEBYTECODE": "1",
            "DATABASE_URL": self.template,
            "SECRET_KEY": "no secret",
        }
        command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)  # noqa: S603 - our own
        with connected(self.template) as cursor:
            cursor.execute(_OWNER)
            cursor.execute(
                "CREATE TABLE bench_bare (voter_key bytea PRIMARY KEY, option_id uuid NOT NULL)"
            )

    def version(self) -> str:
        """Return the server's version."""
        with connected(self.server) as cursor:
            cursor.execute("SHOW server_version")
            return str(cursor.fetchone()[0])

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Give the URL of a fresh copy, which is dropped afterwards."""
        name = f"polls_bench_{uuid.uuid4().hex[:12]}"
        template = urlsplit(self.template).path[1:]
        self._open.add(name)
        with connected(self.server) as cursor:
            cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield urlunsplit(urlsplit(self.server)._replace(path=f"/{name}"))
        finally:
            servers.drop_database(self.server, name)
            self._open.discard(name)

    def _drop_all(self) -> None:
        """Drop what a run that was broken off has left."""
        for name in self._open:
            servers.drop_database(self.server, name)

    def settle(self) -> None:
        """Write out what earlier runs have left, so that no run pays for another."""
        with contextlib.suppress(psycopg2.Error), connected(self.server) as cursor:
            cursor.execute("CHECKPOINT")


_OWNER = """
INSERT INTO accounts_user (password, is_superuser, username, first_name, last_name, email,
                           is_staff, is_active, date_joined, username_key)
VALUES ('!', false, 'bench', '', '', '', false, true, now(), 'bench')
"""
_POLL = """
INSERT INTO polls_poll (id, join_code, title, description, kind, min_selections, max_selections,
                        identity, secrecy, results_visibility, allow_change, embed_origins, status,
                        revision, created_at, opened_at, network_cap, owner_id)
SELECT %s, %s, 'Which?', '', 'single', 1, 1, %s, 'confidential', 'always', false, '[]', 'open',
       1, now(), now(), %s, id FROM accounts_user WHERE username = 'bench'
"""
_CODE = "ABCDEFGHJKMNPQRSTUVWXYZ"  # letters that a join code may hold


def make_polls(
    url: str,
    count: int,
    identity: str,
    *,
    network_cap: int | None = None,
    codes: Sequence[str] = (),
) -> list[Poll]:
    """Write so many open polls, each with these codes, into PostgreSQL, past the service."""
    found = []
    with connected(url) as cursor:
        cursor.execute("BEGIN")
        for number in range(count):
            poll = Poll(str(uuid.uuid4()), tuple(str(uuid.uuid4()) for _ in range(OPTIONS)))
            code, rest = "", number
            for _ in range(6):
                rest, place = divmod(rest, len(_CODE))
                code += _CODE[place]
            cursor.execute("INSERT INTO polls_joincode VALUES (%s)", [code])
            cursor.execute(_POLL, [poll.id, code, identity, network_cap])
            key = os.urandom(32)
            cursor.execute("INSERT INTO polls_pollkey VALUES (%s, %s)", [poll.id, key])
            hashed = [hmac.digest(key, code.encode(), "sha256") for code in codes]
            cursor.execute(
                "INSERT INTO polls_votingcode (poll_id, code_hash) SELECT %s, unnest(%s::bytea[])",
                [poll.id, hashed],
            )
            cursor.execute(
                "INSERT INTO polls_polltally (poll_id, seq, ballots) VALUES (%s, 1, 0)", [poll.id]
            )
            for place, option in enumerate(poll.options):
                text = f"Option {place}"
                cursor.execute(
                    "INSERT INTO polls_option (id, poll_id, text, normalised_text, position) "
                    "VALUES (%s, %s, %s, %s, %s)",
                    [option, poll.id, text, text.lower(), place],
                )
                cursor.execute(
                    "INSERT INTO polls_tally (poll_id, option_id, votes) VALUES (%s, %s, 0)",
                    [poll.id, option],
                )
            found.append(poll)
        cursor.execute("COMMIT")
    return found


def make_poll_by_api(url: str, identity: str, options: int = OPTIONS) -> Poll:
    """Make a poll as an organiser does, where the service's database is its own file."""

    def post(path: str, body: object, **headers: str) -> Any:  # noqa: ANN401 - JSON
        answer = requests.post(url + path, json=body, headers=headers, timeout=30)
        answer.raise_for_status()
        return answer.json()

    account = {"username": f"bench-{uuid.uuid4().hex[:8]}", "password": uuid.uuid4().hex}
    post("/api/v1/auth/register/", account)
    token = post("/api/v1/auth/tokens/", account)["token"]
    texts = [{"text": f"Option {place}"} for place in range(options)]
    definition = {"title": "Which?", "options": texts, "identity": identity}
    made = post("/api/v1/polls/", definition, Authorization=f"Bearer {token}")
    return Poll(made["id"], tuple(option["id"] for option in made["options"]))


# -- whether they counted exactly --------------------------------------------------------------

_COUNTS = {
    "participations": "SELECT COUNT(*) FROM polls_participation",
    "ballots": "SELECT COUNT(*) FROM polls_ballot",
    "ballots in the poll's tally": "SELECT COALESCE(SUM(ballots), 0) FROM polls_polltally",
    "raises of seq (at most)": "SELECT COALESCE(SUM(seq - 1), 0) FROM polls_polltally",
    "selections": "SELECT COUNT(*) FROM polls_selection",
    "votes in the options' tallies": "SELECT COALESCE(SUM(votes), 0) FROM polls_tally",
    "votes in the buckets": "SELECT COALESCE(SUM(votes), 0) FROM polls_tallybucket",
}
_UNEQUAL = """
SELECT COUNT(*) FROM polls_tally t LEFT JOIN (
    SELECT poll_id, option_id, COUNT(*) AS n FROM polls_selection GROUP BY poll_id, option_id
) s ON s.poll_id = t.poll_id AND s.option_id = t.option_id
WHERE t.votes <> COALESCE(s.n, 0)
"""
_BARE = {"rows": "SELECT COUNT(*) FROM bench_bare"}


def _read(database: str | Path, queries: Sequence[str]) -> list[int]:
    """Return a number a query, from a PostgreSQL URL or an SQLite file."""
    if isinstance(database, Path):
        with contextlib.closing(sqlite3.connect(database)) as connection:
            return [int(connection.execute(query).fetchone()[0]) for query in queries]
    found = []
    with connected(database) as cursor:
        for query in queries:
            cursor.execute(query)
            found.append(int(cursor.fetchone()[0]))
    return found


def check_counts(database: str | Path, acknowledged: int, *, bare: bool = False) -> None:
    """Raise where the database holds other than exactly the votes that were acknowledged."""
    counts = _BARE if bare else _COUNTS
    found = dict(zip(counts, _read(database, list(counts.values())), strict=True))
    wrong = [
        f"{what}: {number:,}"
        for what, number in found.items()
        if (number > acknowledged if "at most" in what else number != acknowledged)
    ]
    if not bare and (unequal := _read(database, [_UNEQUAL])[0]):
        wrong.append(f"options whose tally is not their selections: {unequal}")
    if wrong:
        raise RunFailedError(f"{acknowledged:,} votes were acknowledged, but {'; '.join(wrong)}")
