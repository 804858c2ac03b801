"""PUT and DELETE …/votes/: a vote is replaced, withdrawn and cast again."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from polls.models import Participation, Selection
from tests.cast import (
    Person,
    assert_problem,
    new_key,
    sign_up,
    stored_rows,
    texts,
    voter,
    votes_of,
)
from tests.polls.standing import faults, timeline_of

CHANGEABLE = {"allow_change": True, "options": texts("Pizza", "Sushi", "Soup")}
REPLAYED = "Idempotent-Replayed"

Change = Callable[..., Any]
CHANGES: dict[str, Change] = {
    "PUT": lambda person, poll, **headers: person.replace_vote(poll, 1, **headers),
    "DELETE": lambda person, poll, **headers: person.withdraw(poll, **headers),
}
each_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


@pytest.fixture
def poll(alice: Person) -> dict[str, Any]:
    """A poll whose votes may be changed."""
    return alice.make_poll(**CHANGEABLE)


@pytest.fixture
def ann() -> Person:
    """A voter."""
    return voter()


def results_of(person: Person, poll: dict[str, Any]) -> Any:
    return person.get(poll["links"]["results"]).json()


def assert_counts(alice: Person, poll: dict[str, Any], votes: list[int], *, seq: int) -> None:
    """Hold everything that is said of a poll's count to be this, and exact."""
    results = results_of(alice, poll)
    assert [option["votes"] for option in results["options"]] == votes
    assert (results["ballots"], results["seq"]) == (sum(votes), seq)
    integrity = alice.get(f"{poll['links']['self']}integrity/").json()
    assert (integrity["equal"], integrity["seq"]) == (True, seq)
    assert list(integrity["tally"].values()) == list(integrity["recount"].values()) == votes
    assert [sum(marks) for marks in zip(*timeline_of(alice, poll), strict=True)] in (
        [votes] if any(votes) else [[]]
    )
    assert faults(poll["id"]) == []


# -- what a change does ------------------------------------------------------------------------


def test_replaced_vote_counts_instead_of_the_one_before(
    alice: Person, poll: dict[str, Any], ann: Person
) -> None:
    first = ann.vote(poll, 0).json()
    voter().vote(poll, 2)
    answer = ann.replace_vote(poll, 1)
    receipt = answer.json()["receipt"]
    assert (answer.status_code, answer.json()) == (
        200,
        {"poll": poll["id"], "receipt": receipt, "seq": 4, "results": results_of(alice, poll)},
    )
    assert list(answer.json()) == list(first)
    assert (len(receipt), receipt == first["receipt"]) == (32, False)
    assert REPLAYED not in answer.headers
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert_counts(alice, poll, [0, 1, 1], seq=4)
    assert ann.own_vote(poll) == {
        "voted": True,
        "receipt": receipt,
        "choices": [poll["options"][1]["id"]],
    }


def test_replaced_vote_for_the_same_option_has_a_new_receipt_and_a_new_seq(
    alice: Person, poll: dict[str, Any], ann: Person
) -> None:
    receipts = {ann.vote(poll, 0).json()["receipt"]}
    for seq in (3, 4):
        answer = ann.replace_vote(poll, 0).json()
        receipts.add(answer["receipt"])
        assert answer["seq"] == seq
    assert len(receipts) == 3
    assert_counts(alice, poll, [1, 0, 0], seq=4)


def test_withdrawn_vote_counts_no_more(alice: Person, poll: dict[str, Any], ann: Person) -> None:
    ann.vote(poll, 0)
    voter().vote(poll, 0)
    answer = ann.withdraw(poll)
    assert (answer.status_code, answer.content) == (204, b"")
    assert REPLAYED not in answer.headers
    assert "Content-Type" not in answer.headers
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert_counts(alice, poll, [1, 0, 0], seq=4)
    assert ann.own_vote(poll) == {"voted": False, "withdrawn": True}
    # That somebody took part stays known, with nothing of how.
    assert Participation.objects.filter(ballot_id=None, counted_at=None).count() == 1


def test_only_vote_that_is_withdrawn_leaves_an_empty_count(
    alice: Person, poll: dict[str, Any], ann: Person
) -> None:
    ann.vote(poll, 0)
    ann.withdraw(poll)
    assert_counts(alice, poll, [0, 0, 0], seq=3)
    assert [option["share"] for option in results_of(alice, poll)["options"]] == [0, 0, 0]


def test_vote_after_a_withdrawal_is_a_put(alice: Person, poll: dict[str, Any], ann: Person) -> None:
    ann.vote(poll, 0)
    ann.withdraw(poll)
    for key in ({}, {"Idempotency_Key": new_key()}):
        assert_problem(ann.vote(poll, 0, **key), 409, "already_voted")
    assert_counts(alice, poll, [0, 0, 0], seq=3)
    answer = ann.replace_vote(poll, 2)
    assert (answer.status_code, answer.json()["seq"]) == (200, 4)
    assert_counts(alice, poll, [0, 0, 1], seq=4)
    assert ann.own_vote(poll) == {
        "voted": True,
        "receipt": answer.json()["receipt"],
        "choices": [poll["options"][2]["id"]],
    }
    assert_problem(ann.vote(poll, 0), 409, "already_voted")


def test_marks_of_a_ballot_change_one_by_one(alice: Person, ann: Person) -> None:
    poll = alice.make_poll(**CHANGEABLE, kind="multiple")
    ann.vote(poll, 0, 1)
    voter().vote(poll, 1, 2)
    assert votes_of(alice, poll) == [1, 2, 1]
    for seq, (places, votes) in enumerate(
        {(1, 2): [0, 2, 2], (0, 1, 2): [1, 2, 2], (0,): [1, 1, 1], (0, 2): [1, 1, 2]}.items(), 4
    ):
        ann.replace_vote(poll, *places)
        results = results_of(alice, poll)
        assert [option["votes"] for option in results["options"]] == votes
        assert (results["ballots"], results["seq"], faults(poll["id"])) == (2, seq, [])
    own = ann.own_vote(poll)
    assert own["choices"] == [poll["options"][0]["id"], poll["options"][2]["id"]]
    ann.withdraw(poll)
    assert votes_of(alice, poll) == [0, 1, 1]
    assert faults(poll["id"]) == []


def test_change_touches_nobody_elses_vote_and_no_other_poll(
    alice: Person, poll: dict[str, Any], ann: Person
) -> None:
    other, ben = alice.make_poll(**CHANGEABLE), voter()
    for person in (ann, ben):
        for one in (poll, other):
            person.vote(one, 0)
    before = results_of(alice, other), ann.own_vote(other), ben.own_vote(poll)
    ann.replace_vote(poll, 1)
    ann.withdraw(poll)
    assert (results_of(alice, other), ann.own_vote(other), ben.own_vote(poll)) == before
    assert_counts(alice, poll, [1, 0, 0], seq=5)


# -- refusals ----------------------------------------------------------------------------------


@each_change
def test_nothing_is_changed_where_there_never_was_a_vote(
    alice: Person, poll: dict[str, Any], ann: Person, change: Change
) -> None:
    voter().vote(poll, 0)
    rows = stored_rows()
    for key in ({}, {"Idempotency_Key": new_key()}):
        assert_problem(change(ann, poll, **key), 404, "no_vote")
    assert stored_rows() == rows
    assert_counts(alice, poll, [1, 0, 0], seq=2)
    assert ann.own_vote(poll) == {"voted": False}
    assert ann.vote(poll, 1).status_code == 201  # which the refusal has not used up


def test_vote_is_withdrawn_once(alice: Person, poll: dict[str, Any], ann: Person) -> None:
    ann.vote(poll, 0)
    ann.withdraw(poll, Idempotency_Key=new_key())
    for key in ({}, {"Idempotency_Key": new_key()}):
        assert_problem(ann.withdraw(poll, **key), 404, "no_vote")
    assert_counts(alice, poll, [0, 0, 0], seq=3)


@each_change
@pytest.mark.parametrize("before", ["no vote", "a vote", "a withdrawn vote"])
def test_nothing_is_changed_after_closing(
    alice: Person, poll: dict[str, Any], ann: Person, change: Change, before: str
) -> None:
    if before != "no vote":
        ann.vote(poll, 0)
    if before == "a withdrawn vote":
        ann.withdraw(poll)
    alice.close(poll)
    results, own = results_of(alice, poll), ann.own_vote(poll)
    for key in ({}, {"Idempotency_Key": new_key()}):
        assert_problem(change(ann, poll, **key), 410, "poll_closed")
    assert (results_of(alice, poll), ann.own_vote(poll), faults(poll["id"])) == (results, own, [])


@each_change
def test_nothing_is_changed_before_a_poll_opens(alice: Person, ann: Person, change: Change) -> None:
    poll = alice.make_poll(**CHANGEABLE, opens_at="2098-01-01T00:00:00Z")
    assert_problem(change(ann, poll), 409, "poll_not_open")
    poll = alice.make_poll(**CHANGEABLE, status="draft")
    assert_problem(change(ann, poll), 404, "not_found")
    assert_problem(change(ann, poll, **alice.headers), 409, "poll_not_open")


@each_change
def test_nothing_is_changed_in_a_deleted_poll(
    alice: Person, poll: dict[str, Any], ann: Person, change: Change
) -> None:
    key = {"Idempotency_Key": new_key()}
    ann.vote(poll, 0)
    assert change(ann, poll, **key).status_code < 300
    alice.delete(poll["links"]["self"])
    assert_problem(change(ann, poll, **key), 404, "not_found")
    assert_problem(change(ann, poll), 404, "not_found")


@each_change
def test_change_is_refused_in_the_contracts_order(
    alice: Person, ann: Person, change: Change
) -> None:
    poll = alice.make_poll()  # without allow_change
    ann.vote(poll, 0)
    assert_problem(change(Person(), poll), 401, "voter_token_required")
    assert_problem(change(Person(), poll, X_Voter_Token="x" * 44), 401, "voter_token_invalid")
    short = "Idempotency-Key takes 16 to 255 visible ASCII characters."
    errors = [("Idempotency-Key", "format", short)]
    answer = change(Person(), poll, Idempotency_Key="short")
    assert_problem(answer, 400, "malformed", detail=short, errors=errors)
    assert_problem(change(ann, poll), 409, "change_not_allowed")
    alice.close(poll)
    assert_problem(change(ann, poll), 409, "change_not_allowed")
    answer = ann.call("PUT", poll["links"]["vote"], {"choices": ["x"]})
    assert_problem(answer, 409, "change_not_allowed")


def test_ballot_that_is_put_is_checked_like_any_other(
    alice: Person, poll: dict[str, Any], ann: Person
) -> None:
    ann.vote(poll, 0)
    path = poll["links"]["vote"]
    detail = "This is no option of this poll."
    errors = [("choices[0]", "unknown_option", detail)]
    answer = ann.call("PUT", path, {"choices": ["x"]})
    assert_problem(answer, 400, "invalid_ballot", detail=detail, errors=errors)
    detail = "At most 1 may be chosen."
    errors = [("choices", "too_many", detail)]
    assert_problem(
        ann.replace_vote(poll, 0, 1), 400, "invalid_ballot", detail=detail, errors=errors
    )
    detail = "There is no such field."
    errors = [("choice", "unknown_field", detail)]
    answer = ann.call("PUT", path, {"choice": []})
    assert_problem(answer, 400, "malformed", detail=detail, errors=errors)
    answer = ann.call("PUT", path, "choices=x", content_type="application/x-www-form-urlencoded")
    assert_problem(answer, 415, "unsupported_media_type")
    assert_counts(alice, poll, [1, 0, 0], seq=2)


def test_withdrawal_takes_no_fields(alice: Person, poll: dict[str, Any], ann: Person) -> None:
    ann.vote(poll, 0)
    answer = ann.call("DELETE", poll["links"]["vote"], {"choices": []})
    errors = [("choices", "unknown_field", "This call takes no fields.")]
    assert_problem(answer, 400, "malformed", errors=errors)
    assert_counts(alice, poll, [1, 0, 0], seq=2)
    assert ann.call("DELETE", poll["links"]["vote"], {}).status_code == 204


# -- whose vote it is ---------------------------------------------------------------------------


def test_account_changes_its_vote_from_any_device(alice: Person) -> None:
    poll = alice.make_poll(**CHANGEABLE, identity="account")
    bea = sign_up("bea")
    bea.vote(poll, 0)
    assert_problem(voter().withdraw(poll), 401, "authentication_required")
    assert_problem(alice.replace_vote(poll, 1), 404, "no_vote")
    there = Person(bea.user, device=True)
    assert there.replace_vote(poll, 1).status_code == 200
    assert_counts(alice, poll, [0, 1, 0], seq=3)
    assert bea.withdraw(poll).status_code == 204
    assert there.own_vote(poll) == {"voted": False, "withdrawn": True}
    assert_counts(alice, poll, [0, 0, 0], seq=4)


def codes_of(alice: Person, poll: dict[str, Any], count: int) -> list[str]:
    codes: list[str] = alice.post(f"{poll['links']['self']}codes/", {"count": count}).json()[
        "codes"
    ]
    return codes


def send_code(method: str, poll: dict[str, Any], code: str, place: int, **headers: str) -> Any:
    """Vote, or replace a vote, with a code in the body."""
    body = {"choices": [poll["options"][place]["id"]], "code": code}
    return Person().call(method, poll["links"]["vote"], body, **headers)


def test_holder_of_a_code_changes_its_vote(alice: Person) -> None:
    poll = alice.make_poll(**CHANGEABLE, identity="code")
    code, other = codes_of(alice, poll, 2)
    key, change_key = {"Idempotency_Key": new_key()}, {"Idempotency_Key": new_key()}
    anybody = Person()
    assert send_code("POST", poll, code, 0, **key).status_code == 201
    replaced = send_code("PUT", poll, code, 1, **change_key)
    assert replaced.status_code == 200
    assert_counts(alice, poll, [0, 1, 0], seq=3)
    late = send_code("POST", poll, code, 0, **key)
    assert (late.status_code, late.json()) == (200, {**replaced.json(), "replaced": True})
    assert send_code("PUT", poll, code, 1, **change_key).headers[REPLAYED] == "true"
    assert_problem(send_code("PUT", poll, other, 1), 404, "no_vote")
    assert_problem(anybody.withdraw(poll, X_Voter_Code=other), 404, "no_vote")
    assert anybody.withdraw(poll, X_Voter_Code=code.lower()).status_code == 204
    assert anybody.own_vote(poll, X_Voter_Code=code) == {"voted": False, "withdrawn": True}
    assert_counts(alice, poll, [0, 0, 0], seq=4)
    late = send_code("POST", poll, code, 0, **key)
    assert (late.status_code, late.json()["withdrawn"]) == (200, True)
    assert_problem(anybody.withdraw(poll, X_Voter_Code=code), 404, "no_vote")
    # A used code is told as an unknown one, but for the retry of its vote.
    assert_problem(send_code("POST", poll, code, 0), 403, "code_invalid")
    assert_problem(send_code("POST", poll, code, 1, **key), 422, "idempotency_key_reused")
    assert send_code("PUT", poll, code, 2).status_code == 200
    assert_counts(alice, poll, [0, 0, 1], seq=5)


def test_change_with_a_code_that_is_none_is_refused(alice: Person) -> None:
    poll = alice.make_poll(**CHANGEABLE, identity="code")
    (code,) = codes_of(alice, poll, 1)
    send_code("POST", poll, code, 0)
    elsewhere = alice.make_poll(**CHANGEABLE, identity="code")
    for wrong in (codes_of(alice, elsewhere, 1)[0], "x", ""):
        assert_problem(send_code("PUT", poll, wrong, 1), 403, "code_invalid")
        assert_problem(Person().withdraw(poll, X_Voter_Code=wrong), 403, "code_invalid")
    assert_problem(Person().withdraw(poll), 403, "code_invalid")
    # A PUT has a body, and its code is there; a DELETE has none.
    assert_problem(Person().replace_vote(poll, 1, X_Voter_Code=code), 403, "code_invalid")
    assert_counts(alice, poll, [1, 0, 0], seq=2)


# -- what a changer may see ----------------------------------------------------------------------


def test_answer_tells_the_count_where_its_voter_may_see_it(alice: Person) -> None:
    for visibility in ("always", "after_vote", "after_close", "owner"):
        poll, ann = alice.make_poll(**CHANGEABLE, results_visibility=visibility), voter()
        shown = visibility in {"always", "after_vote"}
        ann.vote(poll, 0)
        key = new_key()
        for _ in ("changed", "replayed"):
            answer = ann.replace_vote(poll, 1, Idempotency_Key=key).json()
            told = {"seq": 3, "results": results_of(alice, poll)} if shown else {"seq": None}
            assert answer == {"poll": poll["id"], "receipt": answer["receipt"], **told}
        assert votes_of(alice, poll) == [0, 1, 0]


def test_whoever_has_withdrawn_their_vote_no_longer_sees_results(
    alice: Person, ann: Person
) -> None:
    poll, key = alice.make_poll(**CHANGEABLE, results_visibility="after_vote"), new_key()
    reads = [poll["links"]["results"], f"{poll['links']['self']}timeline/"]
    ann.vote(poll, 0, Idempotency_Key=key)
    assert [ann.get(path).status_code for path in reads] == [200, 200]
    ann.withdraw(poll)
    assert {ann.get(path).json()["code"] for path in reads} == {"results_hidden"}
    assert ann.read_poll(poll)["ballots"] is None
    late = ann.vote(poll, 0, Idempotency_Key=key).json()
    assert late == {
        "poll": poll["id"],
        "receipt": late["receipt"],
        "seq": None,
        "withdrawn": True,
    }
    ann.replace_vote(poll, 1)
    assert [ann.get(path).status_code for path in reads] == [200, 200]
    assert votes_of(ann, poll) == [0, 1, 0]
    ann.withdraw(poll)
    alice.close(poll)
    assert votes_of(ann, poll) == [0, 0, 0]


def test_owner_who_has_withdrawn_sees_results_all_the_same(alice: Person) -> None:
    poll = alice.make_poll(**CHANGEABLE, identity="account", results_visibility="after_vote")
    key = new_key()
    alice.vote(poll, 0, Idempotency_Key=key)
    alice.withdraw(poll)
    late = alice.vote(poll, 0, Idempotency_Key=key).json()
    assert (late["seq"], late["results"]) == (3, results_of(alice, poll))


# -- their own vote, while it changes --------------------------------------------------------------


def test_own_vote_that_is_replaced_while_it_is_read_is_a_vote(
    poll: dict[str, Any], ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann.vote(poll, 0)
    marks = Selection.objects.filter
    left = [1, 2]

    def replace_first(**lookup: Any) -> Any:
        if left:
            ann.replace_vote(poll, left.pop())
        return marks(**lookup)

    monkeypatch.setattr(Selection.objects, "filter", replace_first)
    own = ann.own_vote(poll)
    assert own["choices"] == [poll["options"][1]["id"]]
    assert uuid.UUID(own["receipt"])
