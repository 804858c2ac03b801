"""POST …/votes/: every refusal, in the contract's order of decisions."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.db.utils import OperationalError

from polls.domain import ballot_box
from polls.domain.ballot_box import BallotBox, OutcomeUnknownError
from polls.domain.outcomes import Outcome
from polls.domain.statements import Cast
from tests.cast import (
    Fault,
    Person,
    assert_problem,
    new_key,
    sign_up,
    stored_rows,
    texts,
    voter,
    votes_of,
)

UNKNOWN = "/api/v1/polls/01980c5e-8f00-7000-8000-0000000000a1/votes/"
KEY_FAULT = "Idempotency-Key takes 16 to 255 visible ASCII characters."


# -- the order of decisions ------------------------------------------------------------------


def fault(name: str, code: str, detail: str) -> dict[str, Any]:
    return {"detail": detail, "errors": [(name, code, detail)]}


UNKNOWN_FIELD = fault("choice", "unknown_field", "There is no such field.")
UNKNOWN_OPTION = fault("choices[0]", "unknown_option", "This is no option of this poll.")
FOREIGN = "01980c5e-8f00-7000-8000-0000000000b1"


class Vote:
    """One request to vote, from the best there is to one with every fault."""

    def __init__(self, alice: Person, **fields: Any) -> None:
        self.alice = alice
        self.poll = alice.make_poll(**fields)
        self.path = self.poll["links"]["vote"]
        self.headers = {**voter().headers, "Idempotency-Key": new_key()}
        self.body: dict[str, Any] = {"choices": [self.poll["options"][0]["id"]]}

    def malformed(self) -> None:
        self.body = {"choice": "x"}

    def unknown_poll(self) -> None:
        self.path = UNKNOWN

    def no_token(self) -> None:
        del self.headers["X-Voter-Token"]

    def forged_token(self) -> None:
        token = self.headers["X-Voter-Token"]
        self.headers["X-Voter-Token"] = token[:-1] + ("A" if token[-1] != "A" else "Q")

    def forged_account(self) -> None:
        self.headers["Authorization"] = "Bearer poll_forged"

    def foreign_option(self) -> None:
        self.body = {"choices": [FOREIGN]}

    def voted(self) -> None:
        assert self.send().status_code == 201

    def voted_otherwise(self) -> None:
        self.voted()
        self.body = {"choices": [self.poll["options"][1]["id"]]}

    def new_key(self) -> None:
        self.headers["Idempotency-Key"] = new_key()

    def closed(self) -> None:
        assert self.alice.close(self.poll).status_code == 200

    def send(self) -> Any:
        person = Person()
        person.headers = self.headers
        return person.post(self.path, self.body)


@pytest.mark.parametrize(
    ("faults", "status", "code", "more"),
    [
        # Each row has the faults of later rows as well; the first in the contract's order is told.
        ("closed unknown_poll forged_token malformed", 400, "malformed", UNKNOWN_FIELD),
        ("unknown_poll no_token forged_account malformed", 400, "malformed", UNKNOWN_FIELD),
        ("closed unknown_poll forged_token foreign_option", 404, "not_found", {}),
        ("unknown_poll no_token forged_account foreign_option", 404, "not_found", {}),
        ("voted closed no_token foreign_option", 401, "voter_token_required", {}),
        ("voted closed forged_token foreign_option", 401, "voter_token_invalid", {}),
        ("voted closed forged_account foreign_option", 401, "authentication_required", {}),
        ("forged_account", 401, "authentication_required", {}),
        ("voted closed foreign_option", 400, "invalid_ballot", UNKNOWN_OPTION),
        ("voted_otherwise closed", 422, "idempotency_key_reused", {}),
        ("voted_otherwise", 422, "idempotency_key_reused", {}),
        ("voted new_key closed", 410, "poll_closed", {}),
        ("closed", 410, "poll_closed", {}),
        ("voted new_key", 409, "already_voted", {}),
        ("voted_otherwise new_key", 409, "already_voted", {}),
    ],
)
def test_first_fault_in_the_contracts_order_is_the_one_that_is_told(
    alice: Person, faults: str, status: int, code: str, more: dict[str, Any]
) -> None:
    vote = Vote(alice)
    for name in faults.split():
        getattr(vote, name)()
    rows = stored_rows()
    answer = vote.send()
    assert_problem(answer, status, code, **more)
    assert ("WWW-Authenticate" in answer.headers) == (code == "authentication_required")
    assert stored_rows() == rows


@pytest.mark.parametrize(
    ("faults", "status", "code", "more"),
    [
        ("unknown_poll no_token malformed", 400, "malformed", UNKNOWN_FIELD),
        ("unknown_poll no_token foreign_option", 404, "not_found", {}),
        ("closed no_token foreign_option", 401, "authentication_required", {}),
        ("closed forged_account foreign_option", 401, "authentication_required", {}),
    ],
)
def test_poll_for_accounts_decides_in_the_same_order(
    alice: Person, faults: str, status: int, code: str, more: dict[str, Any]
) -> None:
    vote = Vote(alice, identity="account")
    for name in faults.split():
        getattr(vote, name)()
    assert_problem(vote.send(), status, code, **more)


def test_draft_is_unknown_to_all_but_its_owner_who_cannot_vote_either(
    alice: Person, bob: Person
) -> None:
    poll = alice.make_poll(status="draft")
    device = voter().headers["X-Voter-Token"]
    for person in (voter(), bob, Person()):
        assert_problem(person.vote(poll, 0), 404, "not_found")
    body = {"choices": [FOREIGN]}
    answer = alice.post(poll["links"]["vote"], body, X_Voter_Token=device)
    assert_problem(answer, 400, "invalid_ballot", **UNKNOWN_OPTION)
    assert_problem(alice.vote(poll, 0, X_Voter_Token=device), 409, "poll_not_open")


def test_scheduled_poll_is_not_open(alice: Person) -> None:
    poll = alice.make_poll(opens_at="2098-01-01T00:00:00Z")
    assert_problem(voter().vote(poll, 0), 409, "poll_not_open")


# -- ballots that do not fit -----------------------------------------------------------------

NESTED = ("choices[1]", "wrong_shape", "Only a ranked poll takes equal ranks.")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"choices": ["{0}", "{0}"]}, ("choices", "repeated", "An option is chosen twice.")),
        ({"choices": []}, ("choices", "too_few", "At least 2 must be chosen.")),
        ({"choices": ["{0}"]}, ("choices", "too_few", "At least 2 must be chosen.")),
        (
            {"choices": ["{0}", "{1}", "{2}", "{3}"]},
            ("choices", "too_many", "At most 3 may be chosen."),
        ),
        ({"choices": ["{0}", ["{1}"]]}, NESTED),
        ({"choices": ["{0}", []]}, NESTED),
        (
            {"choices": ["{0}", FOREIGN]},
            ("choices[1]", "unknown_option", "This is no option of this poll."),
        ),
        ({"choices": ["Pizza", "{1}"]}, UNKNOWN_OPTION["errors"][0]),
        ({"choices": ["", "{1}"]}, UNKNOWN_OPTION["errors"][0]),
        ({"choices": ["{{{0}}}", "{1}"]}, UNKNOWN_OPTION["errors"][0]),
        ({}, ("choices", "wrong_shape", "The ballot must name its choices.")),
        ({"scores": {}}, ("scores", "wrong_shape", "Only a score poll takes scores.")),
        (
            {"choices": ["{0}", "{1}"], "scores": {"{0}": 5}},
            ("scores", "wrong_shape", "Only a score poll takes scores."),
        ),
        (
            {"choices": ["{0}", "{1}"], "code": "ABC"},
            ("code", "wrong_shape", "This poll does not ask for a code."),
        ),
    ],
    ids=str,
)
def test_ballot_that_does_not_fit_is_refused_naming_the_field(
    alice: Person, body: dict[str, Any], error: Fault
) -> None:
    poll = alice.make_poll(
        kind="multiple", options=texts("a", "b", "c", "d"), min_selections=2, max_selections=3
    )
    ids = [option["id"] for option in poll["options"]]

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.format(*ids)
        return [filled(item) for item in value] if isinstance(value, list) else value

    rows = stored_rows()
    answer = voter().post(poll["links"]["vote"], {name: filled(v) for name, v in body.items()})
    assert_problem(answer, 400, "invalid_ballot", detail=error[2], errors=[error])
    assert stored_rows() == rows


def test_option_of_another_poll_is_refused(alice: Person) -> None:
    poll, other = alice.make_poll(), alice.make_poll()
    body = {"choices": [other["options"][0]["id"]]}
    answer = voter().post(poll["links"]["vote"], body)
    assert_problem(answer, 400, "invalid_ballot", **UNKNOWN_OPTION)


def test_option_that_has_been_replaced_is_refused(alice: Person) -> None:
    poll = alice.make_poll()
    alice.patch(poll["links"]["self"], {"options": texts("Pho", "Sushi")})
    assert_problem(voter().vote(poll, 0), 400, "invalid_ballot", **UNKNOWN_OPTION)
    assert voter().vote(poll, 1).status_code == 201


# -- keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["!" * 16, "~" * 255, "0123456789abcdef"])
@pytest.mark.parametrize("identity", ["open", "device"])
def test_key_of_visible_ascii_is_taken(alice: Person, identity: str, key: str) -> None:
    poll, somebody = alice.make_poll(identity=identity), voter()
    answers = [somebody.vote(poll, 0, Idempotency_Key=key).status_code for _ in range(2)]
    assert answers == [201, 200]


@pytest.mark.parametrize(
    "key", ["", "x" * 15, "x" * 256, "x" * 15 + " y", "x" * 16 + "\u00e9", "x" * 16 + "\x7f"]
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "GET"])
def test_key_that_is_not_one_is_malformed_whatever_else_is_wrong(
    alice: Person, method: str, key: str
) -> None:
    poll, rows = alice.make_poll(), stored_rows()
    body = {"choices": [FOREIGN]} if method in {"POST", "PUT"} else None
    expected = fault("Idempotency-Key", "format", KEY_FAULT)
    for path in (poll["links"]["vote"], UNKNOWN):
        answer = Person().call(method, path, body, Idempotency_Key=key)
        assert_problem(answer, 400, "malformed", **expected)
    assert stored_rows() == {**rows, "polls_poll": 1}


# -- when it cannot be stored ----------------------------------------------------------------


def _gone(casts: Sequence[Cast]) -> list[Outcome]:
    del casts
    raise OperationalError("server closed the connection unexpectedly")


def _unknown(casts: Sequence[Cast]) -> list[Outcome]:
    del casts
    raise OutcomeUnknownError


@pytest.mark.parametrize(
    ("box", "code", "retry_after"),
    [
        (BallotBox(queue_limit=0), "overloaded", "1"),
        (BallotBox(_gone), "unavailable", "2"),
        (BallotBox(_unknown), "outcome_unknown", "5"),
    ],
    ids=["queue full", "database gone", "commit without answer"],
)
def test_vote_that_cannot_be_stored_is_told_when_to_come_back(
    alice: Person, monkeypatch: pytest.MonkeyPatch, box: BallotBox, code: str, retry_after: str
) -> None:
    poll, somebody, key = alice.make_poll(), voter(), new_key()
    monkeypatch.setattr(ballot_box._process, "box", box)
    answer = somebody.vote(poll, 0, Idempotency_Key=key)
    assert_problem(answer, 503, code)
    assert answer.headers["Retry-After"] == retry_after
    assert somebody.get(poll["links"]["vote"]).json() == {"voted": False}
    monkeypatch.undo()
    box.close()
    # The same key settles it, whatever became of the first attempt.
    assert somebody.vote(poll, 0, Idempotency_Key=key).status_code == 201


# -- changes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("identity", ["device", "account", "open"])
@pytest.mark.parametrize("state", ["open", "voted", "closed"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_vote_cannot_be_replaced_or_withdrawn(
    alice: Person, method: str, state: str, identity: str
) -> None:
    poll = alice.make_poll(identity=identity)
    somebody = Person(sign_up("dora").user, device=True)
    if state != "open":
        somebody.vote(poll, 0)
    if state == "closed":
        alice.close(poll)
    body = {"choices": [poll["options"][1]["id"]]} if method == "PUT" else None
    rows, votes = stored_rows(), votes_of(alice, poll)
    answer = somebody.call(method, poll["links"]["vote"], body)
    assert_problem(answer, 409, "change_not_allowed")
    assert (stored_rows(), votes_of(alice, poll)) == (rows, votes)
