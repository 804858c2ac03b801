"""A part of a soak run: every voter votes many times at once, on each rung of who a voter is.

Doubles that got in are ballots beyond the first of a voter, or beyond what a network may have.
"""

import hashlib
import json
import secrets
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extras import execute_values

from benchmarks.soak_client import Crowd, Shot, SoakError
from benchmarks.soak_parts import Result, a_log
from benchmarks.soak_stack import SoakService, on_postgres
from benchmarks.soak_votes import voter_tokens

_CONNECTIONS = 200  # as many requests of a voter are on their way at once
_COUNTED = 201
# Counted; full, or a code that is used; voted before; and 503 or no answer, which are sent again.
_EXPECTED = (201, 403, 409, 503, 0)
_PATIENCE = 1800.0  # seconds for one rung
# The express door takes no query: half of the requests go to Django's threads.
DOORS = ("", "?by=django")


@dataclass(frozen=True)
class Rung:
    """By what a poll knows its voters."""

    name: str
    identity: str
    secrecy: str = "confidential"
    capped: bool = False  # the one network has room for half of the voters

    def room(self, voters: int) -> int:
        """Return how many of so many voters have a ballot in the end."""
        return voters // 2 if self.capped else voters

    def definition(self, voters: int) -> dict[str, Any]:
        """Return the poll."""
        return {
            "title": self.name,
            "options": [{"text": "Yes"}, {"text": "No"}],
            "identity": self.identity,
            "secrecy": self.secrecy,
            "network_cap": self.room(voters) if self.capped else None,
        }


RUNGS = (
    Rung("device", "device"),
    Rung("device with a network cap", "device", capped=True),
    Rung("code", "code"),
    Rung("account", "account"),
    Rung("device, secret", "device", "secret"),
)


@dataclass(frozen=True)
class Who:
    """A voter, as their requests say it."""

    header: bytes = b""  # a whole line, its end included
    code: str | None = None


def shots(port: int, poll: dict[str, Any], voters: Sequence[Who], requests: int) -> Iterator[Shot]:
    """Yield every voter's requests together, each with a key of its own and for either option."""
    option_ids = [option["id"] for option in poll["options"]]
    name = poll["id"].replace("-", "").encode()
    for number, voter in enumerate(voters):
        bodies = []
        for option in option_ids:
            body = {"choices": [option]} | ({} if voter.code is None else {"code": voter.code})
            bodies.append(json.dumps(body).encode())
        for place in range(requests):
            body_bytes = bodies[place // 2 % len(bodies)]
            key = b"double-%08d-%05d" % (number, place)
            yield Shot(
                b"%b voter-%d %b -" % (name, number, key),
                b"POST %b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                b"%bIdempotency-Key: %b\r\nContent-Length: %d\r\n\r\n%b"
                % (
                    (poll["links"]["vote"] + DOORS[place % 2]).encode(),
                    port,
                    voter.header,
                    key,
                    len(body_bytes),
                    body_bytes,
                ),
            )


@dataclass
class Told:
    """What the clients were told of one rung."""

    statuses: Counter[int]
    counted: Counter[str]  # by voter

    @property
    def doubles(self) -> int:
        """How many second ballots were acknowledged."""
        return self.counted.total() - len(self.counted)


def told_by(log: Path) -> Told:
    """Read what was answered."""
    statuses: Counter[int] = Counter()
    counted: Counter[str] = Counter()
    with log.open(encoding="ascii") as lines:
        for line in lines:
            _, voter, _, _, status, *_ = line.split(" ")
            statuses[int(status)] += 1
            if int(status) == _COUNTED:
                counted[voter] += 1
    return Told(statuses, counted)


def fire(
    port: int, all_shots: Iterator[Shot], log: Path, *, connections: int = _CONNECTIONS
) -> Told:
    """Send all requests, as many at once as there are connections, and return what was told."""
    crowd = Crowd(port, all_shots, log, connections=connections)
    crowd.start()
    crowd.join(_PATIENCE)
    late = crowd.is_alive()
    crowd.stop()
    if late or crowd.fault is not None or crowd.given_up:
        raise SoakError(f"The clients failed: {crowd.fault or 'requests without an answer'!r}")
    return told_by(log)


# -- the part ----------------------------------------------------------------------------------


def _voters(
    service: SoakService, rung: Rung, poll: dict[str, Any], owner: dict[str, str], count: int
) -> list[Who]:
    """Return so many voters that the poll knows."""
    if rung.identity == "code":
        made = service.call("POST", f"{poll['links']['self']}codes/", {"count": count}, owner)
        return [Who(code=code) for code in made["codes"]]
    if rung.identity == "account":
        return [Who(b"Authorization: Bearer %b\r\n" % token) for token in _accounts(service, count)]
    tokens = voter_tokens(service.secret, count)
    return [Who(b"X-Voter-Token: %b\r\n" % token) for token in tokens]


def _accounts(service: SoakService, count: int) -> list[bytes]:
    """Make accounts in the database, for hashing as many passwords would take minutes."""
    names = [f"double-{uuid.uuid4().hex[:16]}" for _ in range(count)]
    tokens = [secrets.token_urlsafe(32) for _ in range(count)]
    with closing(psycopg2.connect(service.database)) as client, client, client.cursor() as cursor:
        made = execute_values(
            cursor,
            "INSERT INTO accounts_user (username, username_key, password, is_superuser, first_name,"
            " last_name, email, is_staff, is_active, date_joined) VALUES %s RETURNING id",
            [(name, name) for name in names],
            "(%s, %s, '!', false, '', '', '', false, true, now())",
            fetch=True,
        )
        execute_values(
            cursor,
            "INSERT INTO accounts_apitoken (id, user_id, name, token_hash, created_at, expires_at) "
            "VALUES %s",
            [
                (str(uuid.uuid4()), row[0], hashlib.sha256(token.encode()).digest())
                for row, token in zip(made, tokens, strict=True)
            ],
            "(%s, %s, '', %s, now(), now() + interval '1 day')",
        )
    return [token.encode() for token in tokens]


def doubles(rung: Rung, voters: int, requests: int) -> Result:
    """Have so many voters vote so many times at once, on one rung."""
    result = Result(f"doubles ({rung.name})")
    with on_postgres() as service, a_log(result) as log:
        result.figures, result.wrong = _hold(service, rung, (voters, requests), log)
    return result


def _hold(
    service: SoakService, rung: Rung, size: tuple[int, int], log: Path
) -> tuple[str, list[str]]:
    """Hold one rung of so many voters and requests of each: its figures, and what is wrong."""
    voters, requests = size
    owner = service.organiser()
    poll = service.call("POST", "/api/v1/polls/", rung.definition(voters), owner)
    people = _voters(service, rung, poll, owner, voters)
    began = time.monotonic()
    told = fire(service.port, shots(service.port, poll, people, requests), log)
    seconds = time.monotonic() - began
    sums = service.store.sums(poll["id"].replace("-", ""))
    room = rung.room(voters)
    wrong = {
        "doubles acknowledged": told.doubles,
        "ballots beyond a voter's or a network's": max(sums.ballots - room, 0),
        "ballots too few": max(room - sums.ballots, 0),
        "acknowledged, but not there": max(told.counted.total() - sums.ballots, 0),
        "participations that differ from ballots": abs(sums.participations - sums.ballots),
        "ballots told that differ from ballots": abs(sums.told - sums.ballots),
        "tallies that differ from the recount": int(sums.tally != sums.recount),
        "answers that say something else": told.statuses.total()
        - sum(told.statuses[status] for status in _EXPECTED),
    }
    answers = ", ".join(f"{count:,} x {status}" for status, count in sorted(told.statuses.items()))
    figures = (
        f"{voters:,} voters x {requests} requests in {seconds:.0f} s: {answers}; "
        f"{sums.ballots:,} ballots, {max(sums.ballots - room, 0) + told.doubles} doubles"
    )
    return figures, [f"{what}: {number:,}" for what, number in wrong.items() if number]
