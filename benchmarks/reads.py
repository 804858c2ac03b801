"""Runs of reads: results beside one SELECT by primary key, and large polls beside small ones."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import requests

from benchmarks import contenders
from benchmarks.contenders import LOAD_CORE, SERVER_CORE
from benchmarks.ground import Ground, Poll, RunFailedError, connected, make_polls
from benchmarks.load import Job, Report
from benchmarks.votes import run_load

SMALL, LARGE = 10_000, 10_000_000
_SELECT = {"DJANGO_SETTINGS_MODULE": "benchmarks.peers.select_settings"}


@dataclass(frozen=True)
class Reading:
    """Something that is read."""

    key: str
    title: str
    path: str
    environment: dict[str, str]
    large: bool = False


RESULTS = "/api/v1/polls/{}/results/"
READINGS = [
    Reading("results", "`GET results/`, 10,000 votes", RESULTS, {}),
    Reading("select", "one SELECT by primary key, a Django view", "/select/{}/", _SELECT),
]
LARGE_READINGS = [
    Reading("results_small", "`GET results/`, 10,000 votes beside 10,000,000", RESULTS, {}),
    Reading("results_large", "`GET results/`, 10,000,000 votes", RESULTS, {}, large=True),
]

# Past the service and its checks, with every index as it is.
_FILL = [
    "SET session_replication_role = replica",  # no foreign key is looked up for each row
    """INSERT INTO polls_participation
           (poll_id, voter_key, ballot_id, first_key_hash, first_ballot_hash)
       SELECT %(poll)s, sha256(g::text::bytea), md5(g::text)::uuid, sha256(g::text::bytea),
              sha256('ballot') FROM generate_series(1, %(votes)s) AS g""",
    """INSERT INTO polls_ballot (poll_id, id, receipt)
       SELECT %(poll)s, md5(g::text)::uuid, decode(md5(g::text), 'hex')
       FROM generate_series(1, %(votes)s) AS g""",
    """INSERT INTO polls_selection (poll_id, ballot_id, option_id)
       SELECT %(poll)s, md5(g::text)::uuid, (%(options)s::uuid[])[g %% 4 + 1]
       FROM generate_series(1, %(votes)s) AS g""",
    """INSERT INTO polls_tallybucket (poll_id, option_id, votes, at)
       SELECT %(poll)s, (%(options)s::uuid[])[g %% 4 + 1], count(*),
              date_trunc('second', now()) - make_interval(secs => g / 5000)
       FROM generate_series(1, %(votes)s) AS g GROUP BY 2, 4""",
    """UPDATE polls_tally t SET votes = s.n FROM (
           SELECT option_id, count(*) AS n FROM polls_selection WHERE poll_id = %(poll)s
           GROUP BY option_id
       ) s WHERE t.poll_id = %(poll)s AND t.option_id = s.option_id""",
    """UPDATE polls_polltally SET seq = 1 + %(votes)s / 100, ballots = %(votes)s
       WHERE poll_id = %(poll)s""",
]


def fill(database: str, poll: Poll, votes: int) -> None:
    """Write so many votes into a poll."""
    values = {"poll": poll.id, "votes": votes, "options": list(poll.options)}
    with connected(database) as cursor:
        for statement in _FILL:
            cursor.execute(statement, values)
        cursor.execute("VACUUM ANALYZE")


def run_reading(database: str, poll: Poll, votes: int, one: Reading, seconds: float) -> Report:
    """Start the service, read the poll once to see that it is right, then under load."""
    with contenders.ours(database, SERVER_CORE, one.environment) as port:
        path = one.path.format(poll.id)
        found = requests.get(f"http://127.0.0.1:{port}{path}", timeout=30)
        if not found.ok or found.json()["ballots"] != votes:
            raise RunFailedError(f"{one.title} answered {found.status_code}: {found.text[:500]}")
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
        return run_load(
            Job(
                port=port,
                requests=[(request, "")],
                unique="none",
                expect=200,
                seconds=seconds,
                core=LOAD_CORE,
            )
        )


class Reads:
    """Polls that are filled once and read in every round."""

    def __init__(self, ground: Ground, *, large: bool, say: Callable[[str], None]) -> None:
        self._stack = contextlib.ExitStack()
        self._database = self._stack.enter_context(ground.database())
        self._small, self._large = make_polls(self._database, 2, "open")
        try:
            fill(self._database, self._small, SMALL)
            if large:
                say(f"Writing {LARGE:,} votes...")
                fill(self._database, self._large, LARGE)
        except BaseException:
            self.close()
            raise

    def run(self, one: Reading, seconds: float) -> Report:
        """Read."""
        poll, votes = (self._large, LARGE) if one.large else (self._small, SMALL)
        return run_reading(self._database, poll, votes, one, seconds)

    def close(self) -> None:
        """Drop them."""
        self._stack.close()
