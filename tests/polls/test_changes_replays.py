"""Retries of votes and of their changes: known by their keys, they change nothing."""

from typing import Any

import pytest

from polls.domain.statements import KEPT_CHANGES
from polls.models import Participation
from tests.cast import Person, assert_problem, new_key, voter, votes_of
from tests.polls.standing import faults
from tests.polls.test_changes import CHANGEABLE, REPLAYED, assert_counts, results_of


class Keyed:
    """A voter whose requests have keys that go by names."""

    def __init__(self, poll: dict[str, Any]) -> None:
        self.poll = poll
        self.person = voter()
        self._keys: dict[str, str] = {}

    def send(self, method: str, name: str | None, place: int | None = None) -> Any:
        """Send a request with the key of this name, for the option at this place."""
        key = {} if name is None else {"Idempotency_Key": self._keys.setdefault(name, new_key())}
        ids = [option["id"] for option in self.poll["options"]]
        body = None if place is None else {"choices": [ids[place]]}
        return self.person.call(method, self.poll["links"]["vote"], body, **key)

    def post(self, name: str | None, place: int = 0) -> Any:
        return self.send("POST", name, place)

    def put(self, name: str | None, place: int = 1) -> Any:
        return self.send("PUT", name, place)

    def delete(self, name: str | None = None) -> Any:
        return self.send("DELETE", name)

    def own(self) -> Any:
        return self.person.own_vote(self.poll)


@pytest.fixture
def poll(alice: Person) -> dict[str, Any]:
    """A poll whose votes may be changed."""
    return alice.make_poll(**CHANGEABLE)


@pytest.fixture
def ann(poll: dict[str, Any]) -> Keyed:
    """A voter of it."""
    return Keyed(poll)


def assert_replay(answer: Any, alice: Person, poll: dict[str, Any], **told: Any) -> None:
    """Hold a retry's answer to be the count of now and what is told besides."""
    results = results_of(alice, poll)
    assert answer.headers[REPLAYED] == "true"
    assert (answer.status_code, answer.json()) == (
        200,
        {"poll": poll["id"], "seq": results["seq"], "results": results, **told},
    )


def assert_withdrawn_again(answer: Any) -> None:
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers[REPLAYED] == "true"


either_time = pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])


def close_if(alice: Person, poll: dict[str, Any], *, closed: bool) -> None:
    if closed:
        assert alice.close(poll).status_code == 200


# -- what a late retry is told -----------------------------------------------------------------


@either_time
def test_retry_of_a_replacement_is_told_its_receipt(
    alice: Person, poll: dict[str, Any], ann: Keyed, *, closed: bool
) -> None:
    ann.post("first")
    receipt = ann.put("second").json()["receipt"]
    voter().vote(poll, 2)
    close_if(alice, poll, closed=closed)
    for _ in range(2):
        assert_replay(ann.put("second"), alice, poll, receipt=receipt)
    assert_counts(alice, poll, [0, 1, 1], seq=5 if closed else 4)


@either_time
def test_retry_of_a_withdrawal_is_told_the_same_again(
    alice: Person, poll: dict[str, Any], ann: Keyed, *, closed: bool
) -> None:
    ann.post("first")
    ann.delete("gone")
    close_if(alice, poll, closed=closed)
    for _ in range(2):
        assert_withdrawn_again(ann.delete("gone"))
    assert_counts(alice, poll, [0, 0, 0], seq=4 if closed else 3)


@either_time
def test_retry_of_the_first_vote_after_a_replacement_is_told_what_stands(
    alice: Person, poll: dict[str, Any], ann: Keyed, *, closed: bool
) -> None:
    ann.post("first")
    for place in (1, 2):
        receipt = ann.put(None, place).json()["receipt"]
        assert_replay(ann.post("first"), alice, poll, receipt=receipt, replaced=True)
    close_if(alice, poll, closed=closed)
    assert_replay(ann.post("first"), alice, poll, receipt=receipt, replaced=True)
    assert ann.own()["receipt"] == receipt
    assert_counts(alice, poll, [0, 0, 1], seq=5 if closed else 4)


@either_time
def test_retry_of_the_first_vote_after_a_withdrawal_is_told_so_and_counts_nothing(
    alice: Person, poll: dict[str, Any], ann: Keyed, *, closed: bool
) -> None:
    receipt = ann.post("first").json()["receipt"]
    ann.delete()
    close_if(alice, poll, closed=closed)
    for _ in range(2):
        assert_replay(ann.post("first"), alice, poll, receipt=receipt, withdrawn=True)
    assert ann.own() == {"voted": False, "withdrawn": True}
    assert_counts(alice, poll, [0, 0, 0], seq=4 if closed else 3)


@either_time
def test_late_retries_of_all_that_was_done_are_told_what_stands(
    alice: Person, poll: dict[str, Any], ann: Keyed, *, closed: bool
) -> None:
    ann.post("first")
    ann.put("second")
    ann.delete("third")
    receipt = ann.put("fourth", 2).json()["receipt"]
    close_if(alice, poll, closed=closed)
    seq = results_of(alice, poll)["seq"]
    for _ in range(2):
        assert_replay(ann.post("first"), alice, poll, receipt=receipt, replaced=True)
        assert_replay(ann.put("second"), alice, poll, receipt=receipt, replaced=True)
        assert_withdrawn_again(ann.delete("third"))
        assert_replay(ann.put("fourth", 2), alice, poll, receipt=receipt)
    assert ann.own()["receipt"] == receipt
    assert_counts(alice, poll, [0, 0, 1], seq=seq)


def test_late_retry_of_a_replacement_after_a_withdrawal_counts_nothing(
    alice: Person, poll: dict[str, Any], ann: Keyed
) -> None:
    ann.post("first")
    receipt = ann.put("second").json()["receipt"]
    ann.delete()
    assert_replay(ann.put("second"), alice, poll, receipt=receipt, withdrawn=True)
    assert_counts(alice, poll, [0, 0, 0], seq=4)


def test_return_to_the_first_ballot_is_a_replacement_of_its_own(
    alice: Person, poll: dict[str, Any], ann: Keyed
) -> None:
    first = ann.post("first").json()["receipt"]
    ann.put("second")
    back = ann.put("third", 0).json()["receipt"]
    assert back != first
    assert_replay(ann.post("first"), alice, poll, receipt=back, replaced=True)
    assert_counts(alice, poll, [1, 0, 0], seq=4)


def test_key_says_by_itself_that_a_request_is_a_retry(
    alice: Person, poll: dict[str, Any], ann: Keyed
) -> None:
    """With the same ballot; whichever of the two methods it comes by."""
    first = ann.post("first").json()["receipt"]
    assert_replay(ann.put("first", 0), alice, poll, receipt=first)
    second = ann.put("second", 1).json()["receipt"]
    assert_replay(ann.post("second", 1), alice, poll, receipt=second)
    assert_counts(alice, poll, [0, 1, 0], seq=3)


def test_change_without_a_key_is_new_each_time(
    alice: Person, poll: dict[str, Any], ann: Keyed
) -> None:
    ann.post(None)
    receipts = set()
    for seq in range(3, 6):
        answer = ann.put(None)
        assert REPLAYED not in answer.headers
        assert answer.json()["seq"] == seq
        receipts.add(answer.json()["receipt"])
    assert len(receipts) == 3
    assert_counts(alice, poll, [0, 1, 0], seq=5)


def test_keys_of_others_and_of_other_polls_are_others(
    alice: Person, poll: dict[str, Any], ann: Keyed
) -> None:
    ben, there = Keyed(poll), Keyed(alice.make_poll(**CHANGEABLE))
    ben._keys = there._keys = ann._keys
    there.person = ann.person
    for one in (ann, ben, there):
        assert one.post("first").status_code == 201
        assert REPLAYED not in one.put("second").headers
    assert len({one.own()["receipt"] for one in (ann, ben, there)}) == 3
    assert_counts(alice, poll, [0, 2, 0], seq=5)


# -- keys that come with something else --------------------------------------------------------


@either_time
def test_key_that_comes_with_something_else_is_refused(
    alice: Person, poll: dict[str, Any], ann: Keyed, *, closed: bool
) -> None:
    ann.post("first", 0)
    ann.put("second", 1)
    ann.delete("third")
    ann.put("fourth", 2)
    close_if(alice, poll, closed=closed)
    seq = results_of(alice, poll)["seq"]
    known: dict[str, int | None] = {"first": 0, "second": 1, "third": None, "fourth": 2}
    for name, ballot in known.items():
        others = [
            (method, place)
            for method, places in (("POST", (0, 1, 2)), ("PUT", (0, 1, 2)), ("DELETE", (None,)))
            for place in places
            if place != ballot
        ]
        for method, place in others:
            assert_problem(ann.send(method, name, place), 422, "idempotency_key_reused")
    assert_counts(alice, poll, [0, 0, 1], seq=seq)


# -- how many keys are known -------------------------------------------------------------------


def test_keys_of_the_first_vote_and_of_the_latest_changes_are_known(
    alice: Person, poll: dict[str, Any], ann: Keyed
) -> None:
    places = [1, 2, 0] * 5
    ann.post("first", 0)
    for number in range(KEPT_CHANGES):
        assert ann.put(f"{number}", places[number]).json()["seq"] == 3 + number
    for number in range(KEPT_CHANGES):
        assert ann.put(f"{number}", places[number]).headers[REPLAYED] == "true"
        other = ann.put(f"{number}", (places[number] + 1) % 3)
        assert_problem(other, 422, "idempotency_key_reused")
    last = ann.put("last", 1).json()
    assert last["seq"] == 3 + KEPT_CHANGES
    assert_replay(ann.post("first", 0), alice, poll, receipt=last["receipt"], replaced=True)
    for number in range(1, KEPT_CHANGES):
        assert ann.put(f"{number}", places[number]).json()["receipt"] == last["receipt"]
    # The oldest is forgotten: with it comes a change like any other, and it is known again.
    again = ann.put("0", 2)
    assert (again.status_code, again.json()["seq"]) == (200, last["seq"] + 1)
    assert REPLAYED not in again.headers
    assert ann.put("0", 2).headers[REPLAYED] == "true"
    assert_counts(alice, poll, [0, 0, 1], seq=last["seq"] + 1)
    kept = Participation.objects.values_list("change_hashes", flat=True)
    assert {len(bytes(hashes or b"")) for hashes in kept} == {KEPT_CHANGES * 64}


def test_changes_without_a_key_make_no_other_key_forgotten(
    poll: dict[str, Any], ann: Keyed
) -> None:
    ann.post("first", 0)
    for number in range(KEPT_CHANGES):
        ann.put(f"{number}", 1)
        ann.put(None, 0)
        if number % 3 == 0:
            ann.delete()
    assert all(
        ann.put(f"{number}", 1).headers.get(REPLAYED) == "true" for number in range(KEPT_CHANGES)
    )
    assert faults(poll["id"]) == []


# -- after a reset -----------------------------------------------------------------------------


def test_reset_forgets_votes_that_were_changed_with_all_their_keys(
    alice: Person, poll: dict[str, Any], ann: Keyed
) -> None:
    ben = Keyed(poll)
    for one in (ann, ben):
        one.post("first")
        one.put("second")
    ben.delete("third")
    alice.post(f"{poll['links']['self']}reset/")
    for one in (ann, ben):
        assert_problem(one.put("second"), 404, "no_vote")
        assert_problem(one.delete("third"), 404, "no_vote")
        assert one.own() == {"voted": False}
        assert one.post("second", 1).status_code == 201
        assert one.put("first", 2).status_code == 200
    assert votes_of(alice, poll) == [0, 0, 2]
    assert faults(poll["id"]) == []
