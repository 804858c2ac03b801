"""Votes that race votes: each voter once, each vote counted, no deadlock.

Every promise stands beside a control, in which its protection is taken away and it breaks.
"""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from django.db import OperationalError, connection

from polls.domain import ballot_box
from polls.domain.ballot_box import BallotBox, write_batch
from polls.domain.outcomes import Counted, Outcome, Replayed
from polls.domain.statements import Cast, Postgres
from polls.errors import Code
from tests.cast import Person, new_key
from tests.live import Server
from tests.polls.ballots import counted, disagreements, make_cast, new_paper, new_papers, stored
from tests.polls.scratch import without_keys
from tests.polls.stacks import on_postgres_alone
from tests.polls.threads import PATIENCE, Write, boxes, outcomes, together

# -- one voter, many votes --------------------------------------------------------------------


def _cast_at_once(opened: Sequence[BallotBox], casts: Sequence[Cast]) -> list[Outcome]:
    """Submit every vote from a thread of its own, spread over the boxes."""
    return together(
        len(casts),
        lambda place: opened[place % len(opened)].submit(casts[place]).result(PATIENCE),
    )


def test_voter_who_votes_200_times_at_once_has_one_ballot(alice: Person) -> None:
    paper = new_paper(alice)
    casts = [make_cast(paper, place % 3, voter="ann") for place in range(200)]
    with boxes(4, batch_limit=1) as opened:
        found = _cast_at_once(opened, casts)
    assert sum(isinstance(outcome, Counted) for outcome in found) == 1
    assert found.count(Code.ALREADY_VOTED) == 199
    after = stored(paper.poll_id)
    assert (after.ballots, after.seq, disagreements(after)) == (1, 2, [])


def test_vote_that_is_sent_200_times_at_once_has_one_receipt(alice: Person) -> None:
    paper, key = new_paper(alice), new_key()
    casts = [make_cast(paper, 0, voter="ann", key=key) for _ in range(200)]
    with boxes(4, batch_limit=1) as opened:
        found = _cast_at_once(opened, casts)
    receipt = casts[0].receipt
    assert found.count(counted(casts[0], 2)) == 1
    assert found.count(Replayed(receipt)) == 199
    assert stored(paper.poll_id).ballots == 1


def test_control_without_its_primary_key_a_voter_has_many_ballots(alice: Person) -> None:
    paper = new_paper(alice)
    casts = [make_cast(paper, 0, voter="ann") for _ in range(200)]
    with without_keys("polls_participation") as use_copy:

        def write(batch: Sequence[Cast]) -> list[Outcome]:
            use_copy()
            return write_batch(batch)

        with boxes(4, write, batch_limit=1) as opened:
            found = _cast_at_once(opened, casts)
    assert sum(isinstance(outcome, Counted) for outcome in found) > 1
    assert stored(paper.poll_id).ballots > 1


@pytest.fixture(scope="module")
def service(*, on_postgres: bool) -> Iterator[Server]:
    """A server of two processes where the database lets there be two."""
    with Server(WEB_WORKERS="2" if on_postgres else "1") as server:
        yield server


def test_device_that_votes_at_once_over_the_wire_is_counted_once(service: Server) -> None:
    host, ann = service.sign_up(), service.voter()
    poll = host.make_poll()
    answers = together(24, lambda place: ann.vote(poll, place % 2))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 23
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {
        "already_voted"
    }
    results = host.get(poll["links"]["results"]).json()
    assert (results["ballots"], results["seq"]) == (1, 2)
    assert host.get(f"{poll['links']['self']}integrity/").json()["equal"]


# -- many polls, many boxes -------------------------------------------------------------------

POLLS, BOXES, BATCH = 300, 3, 64


class Conflicts:
    """Writes batches and keeps the SQLSTATE of each that the database broke off."""

    def __init__(self) -> None:
        self.states: list[str] = []

    def write(self, casts: Sequence[Cast]) -> list[Outcome]:
        if connection.vendor == "postgresql":
            # Small tables are read whole, and then in one order by everybody. Large ones are
            # read by their index, in whatever order the batch comes.
            with connection.cursor() as cursor:
                cursor.execute("SET enable_seqscan = off; SET enable_hashjoin = off")
                cursor.execute("SET enable_mergejoin = off")
        try:
            return write_batch(casts)
        except OperationalError as error:
            self.states.append(str(getattr(error.__cause__, "pgcode", error)))
            raise


def _flush_over_many_polls(
    alice: Person, write: Write, *, batches: int
) -> tuple[list[Outcome], list[int]]:
    """Let three boxes flush over 300 polls; return all outcomes and the ballots of each poll."""
    papers = new_papers(alice, POLLS)
    chance = random.Random(2026)
    casts = [
        [make_cast(chance.choice(papers), chance.randrange(3)) for _ in range(batches * BATCH)]
        for _ in range(BOXES)
    ]
    with boxes(BOXES, write, batch_limit=BATCH) as opened:

        def feed(place: int) -> list[Outcome]:
            return outcomes([opened[place].submit(cast) for cast in casts[place]])

        found = [outcome for part in together(BOXES, feed) for outcome in part]
    after = [stored(paper.poll_id) for paper in papers]
    assert [disagreements(one) for one in after] == [[]] * POLLS
    return found, [one.ballots for one in after]


def test_flushes_of_three_boxes_over_300_polls_never_deadlock(alice: Person) -> None:
    conflicts = Conflicts()
    found, ballots = _flush_over_many_polls(alice, conflicts.write, batches=20)
    assert conflicts.states == []
    assert {type(outcome) for outcome in found} == {Counted}
    assert sum(ballots) == len(found) == BOXES * 20 * BATCH


@on_postgres_alone  # SQLite has one writer at a time: there is no order to take locks in
def test_control_without_their_order_flushes_deadlock(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = Postgres._later

    def later_in_any_order(self: Postgres, name: str, *columns: Any) -> None:
        if name == "polls_lock_tallies":
            return
        if name != "polls_raise":
            later(self, name, *columns)
            return
        polls, numbers = (column[1:-1].split(",") for column in columns)
        rows = random.sample(list(zip(polls, numbers, strict=True)), len(polls))
        # In two statements and with a pause: meanwhile the others take their first ones.
        for half in (rows[::2], rows[1::2]):
            later(self, name, *(f"{{{','.join(column)}}}" for column in zip(*half, strict=True)))
            self._waiting.append(("SELECT pg_sleep(0.05)", ()))

    monkeypatch.setattr(Postgres, "_later", later_in_any_order)
    monkeypatch.setattr(ballot_box, "_ATTEMPTS", 1)
    conflicts = Conflicts()
    found, ballots = _flush_over_many_polls(alice, conflicts.write, batches=4)
    assert "40P01" in conflicts.states
    assert Code.OVERLOADED in found
    assert sum(ballots) < len(found)
