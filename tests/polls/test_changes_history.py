"""Whatever a few voters do with their votes, they are told and counted as the contract says.

Each example is a history of one poll, held after every step to a model of it: a few dictionaries
that know nothing of the service. `HISTORIES=500` tries more of them; what fails is printed as small
as it can be made, with the blob that plays it again.
"""

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polls.domain.polls import edit_poll
from tests.cast import Person, new_key, voter
from tests.polls.standing import faults, let_time_pass
from tests.polls.test_changes import CHANGEABLE, REPLAYED, results_of

EXAMPLES = int(os.environ.get("HISTORIES", "25"))
VOTERS, KEYS, KNOWN_CHANGES = 2, 12, 8

Ballot = frozenset[int] | None  # the options' places; None withdraws
Request = tuple[int | None, Ballot]  # a key's number and what came with it


@dataclass
class Told:
    """What a request is to be answered with."""

    status: int
    code: str = ""
    replayed: bool = False
    withdrawn: bool = False
    replaced: bool = False
    receipt: str | None = None  # where it was given before


@dataclass
class Vote:
    """What the model knows of one voter."""

    first: Request | None = None  # None: never took part
    changes: list[Request] = field(default_factory=list)  # those with a key
    made: Request | None = None  # by which what stands was cast
    ballot: Ballot = None  # what stands
    receipt: str | None = None
    receipts: dict[Request, str] = field(default_factory=dict)

    def known(self, key: int | None) -> Request | None:
        """Return the request that came with this key."""
        kept = [self.first, *self.changes[-KNOWN_CHANGES:]]
        found = [one for one in kept if one is not None and one[0] == key]
        return found[0] if found and key is not None else None


@dataclass
class Model:
    """One poll, as the contract has it."""

    votes: list[Vote] = field(default_factory=lambda: [Vote() for _ in range(VOTERS)])
    seq: int = 1
    closed: bool = False

    def tell(self, method: str, who: int, ballot: Ballot, key: int | None) -> Told:
        """Return how a request is to be answered; it changes nothing."""
        vote, known = self.votes[who], self.votes[who].known(key)
        if known is not None:
            return self._of_retry(method, vote, known, ballot)
        if self.closed:
            return Told(410, "poll_closed")
        if method == "POST":
            return Told(201) if vote.first is None else Told(409, "already_voted")
        if vote.first is None or (method == "DELETE" and vote.ballot is None):
            return Told(404, "no_vote")
        return Told(200 if method == "PUT" else 204)

    def _of_retry(self, method: str, vote: Vote, known: Request, ballot: Ballot) -> Told:
        if known[1] != ballot:
            return Told(422, "idempotency_key_reused")
        if method == "DELETE":
            return Told(204, replayed=True)
        if vote.ballot is None:
            return Told(200, replayed=True, withdrawn=True, receipt=vote.receipts[known])
        return Told(200, replayed=True, replaced=vote.made != known, receipt=vote.receipt)

    def do(self, who: int, ballot: Ballot, key: int | None, receipt: str | None) -> None:
        """Let a request that was not refused have been made."""
        vote, request = self.votes[who], (key, ballot)
        if vote.first is None:
            vote.first = request
        elif key is not None:
            vote.changes.append(request)
        vote.made, vote.ballot, vote.receipt = request, ballot, receipt
        if receipt is not None and key is not None:
            vote.receipts[request] = receipt
        self.seq += 1

    @property
    def marks(self) -> list[int]:
        """How many ballots mark each option."""
        standing = [vote.ballot for vote in self.votes if vote.ballot is not None]
        return [sum(place in ballot for ballot in standing) for place in range(3)]

    @property
    def ballots(self) -> int:
        """How many votes stand."""
        return sum(vote.ballot is not None for vote in self.votes)


class History:
    """A poll, its voters, and the model beside them."""

    def __init__(self, alice: Person) -> None:
        self.alice = alice
        self.poll = alice.make_poll(**CHANGEABLE, kind="multiple")
        self.people = [voter() for _ in range(VOTERS)]
        self.keys = [new_key() for _ in range(KEYS)]
        self.model = Model()
        self._hours = 1

    def request(self, method: str, who: int, places: Sequence[int], key: int | None) -> None:
        """Make a request and hold its answer to the model's."""
        ballot = None if method == "DELETE" else frozenset(places)
        told = self.model.tell(method, who, ballot, key)
        headers = {} if key is None else {"Idempotency_Key": self.keys[key]}
        ids = [option["id"] for option in self.poll["options"]]
        body = None if ballot is None else {"choices": [ids[place] for place in places]}
        answer = self.people[who].call(method, self.poll["links"]["vote"], body, **headers)
        said = answer.json() if answer.content else {}
        assert (answer.status_code, said.get("code", "")) == (told.status, told.code)
        assert (REPLAYED in answer.headers) == told.replayed
        if told.status < 300 and not told.replayed:
            self.model.do(who, ballot, key, said.get("receipt"))
        if told.status in {200, 201}:
            assert said["seq"] == said["results"]["seq"] == self.model.seq
            assert said.get("withdrawn", False) is told.withdrawn
            assert said.get("replaced", False) is told.replaced
            assert told.receipt in {None, said["receipt"]}

    def pass_time(self) -> None:
        """Let all have been done much earlier, by more than all that passed before."""
        if self._hours < 2_000:
            let_time_pass(self.poll["id"], hours=self._hours)
            self._hours *= 2

    def edit(self) -> None:
        """Give the poll another title, which leaves ballot papers that are out of date."""
        if not self.model.closed:
            edit_poll(uuid.UUID(self.poll["id"]), {"title": new_key()})
            self.model.seq += 1

    def close(self) -> None:
        """Close the poll."""
        if not self.model.closed:
            assert self.alice.close(self.poll).status_code == 200
            self.model.closed = True
            self.model.seq += 1

    def check(self) -> None:
        """Hold what can be seen to the model."""
        results = results_of(self.alice, self.poll)
        assert (results["seq"], results["ballots"]) == (self.model.seq, self.model.ballots)
        assert [option["votes"] for option in results["options"]] == self.model.marks

    def check_all(self) -> None:
        """Hold everything that is kept to the model."""
        self.check()
        assert faults(self.poll["id"]) == []
        ids = [option["id"] for option in self.poll["options"]]
        for vote, person in zip(self.model.votes, self.people, strict=True):
            expected: dict[str, Any] = {"voted": vote.ballot is not None}
            if vote.ballot is not None:
                choices = [ids[place] for place in sorted(vote.ballot)]
                expected |= {"receipt": vote.receipt, "choices": choices}
            elif vote.first is not None:
                expected["withdrawn"] = True
            assert person.own_vote(self.poll) == expected


methods = st.sampled_from(["POST", "PUT", "PUT", "PUT", "DELETE"])
ballots = st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True)
# Few keys come again and again; more of them than are known come at all.
keys = st.none() | st.integers(0, 2) | st.integers(0, KEYS - 1)
requests = st.tuples(methods, st.integers(0, VOTERS - 1), ballots, keys)
others = st.sampled_from(["pass_time", "edit"])
steps = st.lists(st.one_of(requests, requests, requests, others), min_size=8, max_size=40)
afterwards = st.lists(requests, max_size=8)


@given(steps=steps, afterwards=afterwards)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
def test_history_of_changed_votes_is_that_of_the_model(
    alice: Person, steps: list[Any], afterwards: list[Any]
) -> None:
    history = History(alice)
    for step in steps:
        if isinstance(step, str):
            getattr(history, step)()
        else:
            history.request(*step)
        history.check()
    history.check_all()
    history.close()
    for step in afterwards:
        history.request(*step)
    history.check_all()


def test_control_service_that_knows_one_key_less_is_found_out(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polls.domain.statements.base.KEPT_CHANGES", KNOWN_CHANGES - 1)
    history = History(alice)
    history.request("POST", 0, [0], 0)
    for number in range(1, KNOWN_CHANGES + 1):
        history.request("PUT", 0, [number % 3], number)
    with pytest.raises(AssertionError):
        history.request("PUT", 0, [1], 1)
