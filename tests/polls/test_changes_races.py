"""Votes that are changed by many at once: each change whole, one after the other, none lost.

Every promise stands beside a control, in which its protection is taken away and it breaks.
"""

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError

from polls.domain import ballot_box, lifecycle
from polls.domain.ballot_box import BallotBox, write_batch
from polls.domain.ballot_paper import BallotPaper
from polls.domain.outcomes import Counted, Outcome, Replayed
from polls.domain.statements import Action, Cast, Postgres, Vote, VoterId
from polls.errors import Code
from tests.cast import Person, new_key
from tests.live import Server
from tests.polls.ballots import Stored, make_cast, new_paper, stored
from tests.polls.stacks import on_postgres_alone
from tests.polls.standing import faults, standings
from tests.polls.threads import PATIENCE, Write, beside, boxes, together

PROCESSES = 4  # as many boxes, which are to the database what processes are
VOTERS, POLLS = 6, 3


@dataclass
class Conflicts:
    """Writes batches and keeps the SQLSTATE of each that the database broke off."""

    states: list[str] = field(default_factory=list)

    def write(self, casts: Sequence[Cast]) -> list[Outcome]:
        """Write a batch."""
        try:
            return write_batch(casts)
        except DatabaseError as error:
            self.states.append(str(getattr(error.__cause__, "pgcode", error)))
            raise


@dataclass
class Sent:
    """One request and its outcome."""

    cast: Cast
    outcome: Outcome


@dataclass
class Crowd:
    """A few voters of a few polls who send whatever comes to their minds, all at once."""

    papers: Sequence[BallotPaper]
    seed: int
    sent: list[Sent] = field(default_factory=list)

    def send(self, opened: Sequence[BallotBox], *, threads: int, each: int) -> None:
        """Let so many threads send so many requests each."""
        keys = [new_key() for _ in range(6)]

        def work(place: int) -> list[Sent]:
            chance = random.Random(f"{self.seed} {place}")
            box = opened[place % len(opened)]
            found = []
            for _ in range(each):
                action = chance.choices(list(Action), weights=(2, 5, 3))[0]
                places = chance.sample(range(3), chance.randint(1, 3))
                key = chance.choice([None, None, new_key(), *keys])
                voter = f"voter {chance.randrange(VOTERS)}"
                paper = chance.choice(self.papers)
                cast = make_cast(paper, *places, voter=voter, key=key, action=action)
                found.append(Sent(cast, box.submit(cast).result(PATIENCE)))
            return found

        self.sent += [one for part in together(threads, work) for one in part]

    def faults(self) -> list[str]:
        """Return all that is wrong with what they have left, and with what they were told."""
        sent: dict[VoterId, list[Sent]] = defaultdict(list)
        for one in self.sent:
            sent[one.cast.voter].append(one)
        found = [fault for paper in self.papers for fault in faults(paper.poll_id)]
        for paper in self.papers:
            stands = standings(paper.poll_id)
            for (poll, key), of_voter in sent.items():
                if poll == paper.id:
                    found += contradictions(of_voter, stands.get(key))
        return found


def contradictions(sent: Sequence[Sent], stands: bytes | None) -> list[str]:
    """Return why no order of one voter's requests explains what they were told.

    What was counted in one seq was one flush, whose order nobody has seen. Between flushes seq
    tells the order, and what stands must be of the last one.
    """
    counted = [one for one in sent if isinstance(one.outcome, Counted)]
    found = []
    if sum(one.cast.action is Action.CAST for one in counted) > 1:
        found.append("two first votes were counted")
    by_seq: dict[int, list[Cast]] = defaultdict(list)
    for one in counted:
        assert isinstance(one.outcome, Counted)
        by_seq[one.outcome.seq].append(one.cast)
    last = by_seq[max(by_seq)] if by_seq else []
    could_stand = {cast.receipt for cast in last if cast.action is not Action.WITHDRAW}
    withdrawn = any(cast.action is Action.WITHDRAW for cast in last)
    if stands is None and last and not withdrawn:
        found.append("nothing stands after a vote that was acknowledged")
    if stands is not None and stands not in could_stand:
        found.append("what stands was not acknowledged last")
    if by_seq and not any(cast.action is Action.CAST for cast in by_seq[min(by_seq)]):
        found.append("a change came before the vote")
    # Every withdrawal needs a vote of its own that it takes away.
    votes = sum(one.cast.action is not Action.WITHDRAW for one in counted)
    if len(counted) - votes > votes:
        found.append("more was withdrawn than was ever cast")
    keyed = Counter(one.cast.key_hash for one in counted if one.cast.key_hash is not None)
    recent = {key for key, times in keyed.items() if times > 1}
    if recent and len(counted) <= 8:  # whose keys are all known
        found.append("a retry was counted")
    acknowledged = {one.cast.receipt for one in counted}
    told = {one.outcome.receipt for one in sent if isinstance(one.outcome, Replayed)}
    if told - acknowledged:
        found.append("a retry was told a receipt that nobody was given")
    return found


def change_at_once(
    alice: Person, write: Write, seed: int, *, threads: int = 12, each: int = 25
) -> tuple[Crowd, list[str]]:
    """Let a crowd do what it likes; return it, and all that is wrong afterwards."""
    papers = [new_paper(alice, kind="multiple", allow_change=True) for _ in range(POLLS)]
    crowd = Crowd(papers, seed)
    with boxes(PROCESSES, write, batch_limit=8) as opened:
        crowd.send(opened, threads=threads, each=each)
    return crowd, crowd.faults()


@pytest.mark.parametrize("seed", range(3))
def test_changes_of_many_at_once_are_whole_and_in_some_order(alice: Person, seed: int) -> None:
    conflicts = Conflicts()
    crowd, wrong = change_at_once(alice, conflicts.write, seed)
    assert (wrong, conflicts.states) == ([], [])
    kinds = Counter(type(one.outcome) for one in crowd.sent)
    assert kinds[Counted] > len(crowd.sent) / 4
    assert kinds[Replayed] > 0
    told = {one.outcome for one in crowd.sent if isinstance(one.outcome, Code)}
    assert told <= {Code.NO_VOTE, Code.ALREADY_VOTED, Code.IDEMPOTENCY_KEY_REUSED}


def _without_lock_of_voters(monkeypatch: pytest.MonkeyPatch) -> None:
    later = Postgres._later

    def later_without_lock(self: Postgres, name: str, *columns: object) -> None:
        if name != "polls_lock_voters":
            later(self, name, *columns)

    monkeypatch.setattr(Postgres, "_later", later_without_lock)


@on_postgres_alone  # on SQLite BEGIN IMMEDIATE is the lock: there is no flush without it
def test_control_without_the_rows_lock_counts_drift(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two flushes take the same ballot away, or the database refuses to count below nought."""
    _without_lock_of_voters(monkeypatch)

    def breaks(seed: int) -> bool:
        try:
            return bool(change_at_once(alice, write_batch, seed)[1])
        except IntegrityError:
            return True

    assert any(breaks(seed) for seed in range(5))  # rarely one of them is lucky


# -- two flushes, one vote -------------------------------------------------------------------------


def _change_one_vote_from_two_boxes(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[Outcome], Stored, list[str]]:
    """Let two flushes read one vote, if they can, before either has written.

    Returns both outcomes, what is stored then, and what is wrong with it.
    """
    paper = new_paper(alice, allow_change=True)
    read = Postgres.votes
    both = threading.Barrier(2)

    def read_and_linger(self: Postgres, voters: Collection[VoterId]) -> dict[VoterId, Vote]:
        found = read(self, voters)
        try:
            both.wait(0.5)  # which a flush that waits for the other's lock does not reach
        except threading.BrokenBarrierError:
            both.reset()
        return found

    with boxes(2) as opened:
        for voter in ("ann", "ben", "cat"):
            opened[0].submit(make_cast(paper, 0, voter=voter)).result(PATIENCE)
        monkeypatch.setattr(Postgres, "votes", read_and_linger)
        casts = [
            make_cast(paper, place + 1, voter="ann", action=Action.REPLACE) for place in range(2)
        ]
        found = together(2, lambda place: opened[place].submit(casts[place]).result(PATIENCE))
    return found, stored(paper.poll_id), faults(paper.poll_id)


@on_postgres_alone  # two flushes never meet on SQLite
def test_second_flush_sees_what_the_first_has_left_of_a_vote(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, left, wrong = _change_one_vote_from_two_boxes(alice, monkeypatch)
    assert {type(outcome) for outcome in found} == {Counted}
    assert (left.ballots, left.kept_ballots, sum(left.votes), left.seq) == (3, 3, 3, 6)
    assert wrong == []


@on_postgres_alone
def test_control_without_the_rows_lock_both_flushes_take_the_same_ballot_away(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_lock_of_voters(monkeypatch)
    _, left, wrong = _change_one_vote_from_two_boxes(alice, monkeypatch)
    assert wrong
    assert left.ballots == 4  # one of which is nobody's


# -- the order of locks ----------------------------------------------------------------------------


def _change_many_votes(alice: Person, write: Write, *, rounds: int) -> list[Outcome]:
    """Let three boxes change the votes of the same forty voters, each batch in another order."""
    papers = [new_paper(alice, allow_change=True) for _ in range(2)]
    voters = [(paper, f"voter {number}") for paper in papers for number in range(20)]
    with boxes(3, write, batch_limit=40) as opened:
        first = [opened[0].submit(make_cast(paper, 0, voter=name)) for paper, name in voters]
        assert {type(future.result(PATIENCE)) for future in first} == {Counted}

        def feed(place: int) -> list[Outcome]:
            chance = random.Random(place)
            found: list[Outcome] = []
            for _ in range(rounds):
                order = chance.sample(voters, len(voters))
                futures = [
                    opened[place].submit(
                        make_cast(paper, chance.randrange(3), voter=name, action=Action.REPLACE)
                    )
                    for paper, name in order
                ]
                found += [future.result(PATIENCE) for future in futures]
            return found

        found = [outcome for part in together(3, feed) for outcome in part]
    assert [faults(paper.poll_id) for paper in papers] == [[], []]
    return found


def test_flushes_that_change_the_same_votes_never_deadlock(alice: Person) -> None:
    conflicts = Conflicts()
    found = _change_many_votes(alice, conflicts.write, rounds=12)
    assert conflicts.states == []
    assert {type(outcome) for outcome in found} == {Counted}


@on_postgres_alone  # SQLite has one writer at a time: there is no order to take locks in
def test_control_without_their_order_changes_deadlock(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = Postgres._later

    def later_in_any_order(self: Postgres, name: str, *columns: Any) -> None:
        if name != "polls_lock_voters":
            later(self, name, *columns)
            return
        polls, keys = (column[1:-1].split(",") for column in columns)
        rows = random.sample(list(zip(polls, keys, strict=True)), len(polls))
        # One by one and with a pause: meanwhile the others take theirs.
        for row in rows:
            later(self, name, *(f"{{{value}}}" for value in row))
            self._waiting.append(("SELECT pg_sleep(0.002)", ()))

    monkeypatch.setattr(Postgres, "_later", later_in_any_order)
    monkeypatch.setattr(ballot_box, "_ATTEMPTS", 1)
    conflicts = Conflicts()
    found = _change_many_votes(alice, conflicts.write, rounds=2)
    assert "40P01" in conflicts.states
    assert Code.OVERLOADED in found


# -- over the wire ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(*, on_postgres: bool) -> Iterator[Server]:
    """A server of two processes where the database lets there be two."""
    with Server(WEB_WORKERS="2" if on_postgres else "1") as server:
        yield server


def test_device_that_changes_its_vote_at_once_over_the_wire_ends_with_one_or_none(
    service: Server,
) -> None:
    host, ann = service.sign_up(), service.voter()
    poll = host.make_poll(allow_change=True)
    path, ids = poll["links"]["vote"], [option["id"] for option in poll["options"]]
    ann.vote(poll, 0)

    def change(place: int) -> Any:
        if place % 3 == 2:
            return ann.call("DELETE", path)
        return ann.call("PUT", path, {"choices": [ids[place % 2]]})

    answers = together(24, change)
    codes = Counter(answer.status_code for answer in answers)
    assert set(codes) <= {200, 204, 404}
    assert (codes[200], codes[204] + codes[404]) == (16, 8)
    results = host.get(poll["links"]["results"]).json()
    own = ann.get(path).json()
    assert results["ballots"] == sum(option["votes"] for option in results["options"])
    assert results["ballots"] == int(own["voted"])
    if own["voted"]:
        receipts = {answer.json()["receipt"] for answer in answers if answer.status_code == 200}
        assert own["receipt"] in receipts
    assert results["seq"] <= 2 + codes[200] + codes[204]
    assert host.get(f"{poll['links']['self']}integrity/").json()["equal"]


# -- closing ---------------------------------------------------------------------------------------


def test_count_at_the_close_is_the_count_for_ever_whatever_is_changed(alice: Person) -> None:
    late = 0
    conflicts = Conflicts()
    with boxes(3, conflicts.write, batch_limit=10) as opened:
        for number in range(8):
            paper = new_paper(alice, kind="multiple", allow_change=True)
            crowd = Crowd([paper], number)
            decided = threading.Semaphore(0)
            watched = [_Watched(box, decided.release) for box in opened]

            def act(crowd: Crowd = crowd, watched: Any = watched) -> None:
                crowd.send(watched, threads=9, each=20)

            with beside(act) as acting:
                for _ in range(number * 15):
                    assert decided.acquire(timeout=PATIENCE)
                lifecycle.close_poll(paper.poll_id)
                at_close = stored(paper.poll_id)
                stands = standings(paper.poll_id)
                acting.result(PATIENCE)
            assert (stored(paper.poll_id), standings(paper.poll_id)) == (at_close, stands)
            assert crowd.faults() == []
            late += sum(one.outcome is Code.POLL_CLOSED for one in crowd.sent)
    assert conflicts.states == []
    assert 0 < late < 8 * 180  # the closes came while changes did


class _Watched:
    """A box that tells of each vote it takes."""

    def __init__(self, box: BallotBox, tell: Callable[[], None]) -> None:
        self._box, self._tell = box, tell

    def submit(self, cast: Cast) -> Any:
        future = self._box.submit(cast)
        future.add_done_callback(lambda _: self._tell())
        return future
