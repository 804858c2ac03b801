"""POST …/votes/: votes that are counted, and their retries."""

from typing import Any

import pytest
from django.db import connection

from polls.domain import voting
from tests.cast import Person, assert_problem, new_key, stored_rows, texts, voter, votes_of

# -- counted ---------------------------------------------------------------------------------


def test_vote_is_counted_and_answered_with_its_receipt(alice: Person) -> None:
    poll = alice.make_poll()
    answer = voter().vote(poll, 0)
    assert answer.status_code == 201
    body = answer.json()
    results = body.pop("results")
    receipt = body.pop("receipt")
    assert len(receipt) == 32
    assert body == {"poll": poll["id"], "seq": 2}
    assert results == alice.get(poll["links"]["results"]).json()
    assert [option["votes"] for option in results["options"]] == [1, 0]
    assert "Idempotent-Replayed" not in answer.headers


@pytest.mark.parametrize(("kind", "places"), [("multiple", (0, 2)), ("approval", (0, 1, 2))])
def test_ballot_of_several_marks_counts_each_of_them_once(
    alice: Person, kind: str, places: tuple[int, ...]
) -> None:
    poll = alice.make_poll(kind=kind, options=texts("a", "b", "c"))
    results = voter().vote(poll, *places).json()["results"]
    assert [option["votes"] for option in results["options"]] == [
        int(place in places) for place in range(3)
    ]
    assert (results["ballots"], results["seq"]) == (1, 2)


@pytest.mark.parametrize(
    ("visibility", "shown"),
    [("always", True), ("after_vote", True), ("after_close", False), ("owner", False)],
)
def test_receipt_shows_results_where_this_voter_may_now_see_them(
    alice: Person, visibility: str, *, shown: bool
) -> None:
    poll = alice.make_poll(results_visibility=visibility)
    key, somebody = new_key(), voter()
    first = somebody.vote(poll, 0, Idempotency_Key=key).json()
    again = somebody.vote(poll, 0, Idempotency_Key=key).json()
    if shown:
        results = alice.get(poll["links"]["results"]).json()
        expected = {"poll": poll["id"], "receipt": first["receipt"], "seq": 2, "results": results}
    else:
        expected = {"poll": poll["id"], "receipt": first["receipt"], "seq": None}
    assert (first, again) == (expected, expected)


def test_vote_that_is_counted_is_told_so_though_roles_cannot_be_read(
    alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away between the COMMIT and the question who may see results."""
    poll = alice.make_poll(identity="account", results_visibility="after_close")
    failing = {
        "postgresql": "SELECT pg_terminate_backend(pg_backend_pid())",
        "sqlite": "SELECT * FROM a_table_that_there_is_not",
    }

    def lose_connection(*_: Any, **__: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(failing[connection.vendor])

    with monkeypatch.context() as patch:
        patch.setattr(voting, "may_see_results", lose_connection)
        answer = bob.vote(poll, 0)
    connection.close()
    assert (answer.status_code, answer.json()["seq"]) == (201, None)
    assert votes_of(alice, poll) == [1, 0]


def test_accounts_vote_once_each_whatever_token_they_use(alice: Person, bob: Person) -> None:
    poll = alice.make_poll(identity="account")
    assert bob.vote(poll, 0).status_code == 201
    assert alice.vote(poll, 1).status_code == 201
    assert_problem(Person(bob.user, device=True).vote(poll, 1), 409, "already_voted")
    assert votes_of(alice, poll) == [1, 1]


def test_device_is_the_voter_whatever_account_it_sends(alice: Person, bob: Person) -> None:
    poll = alice.make_poll()
    device = voter().headers["X-Voter-Token"]
    assert alice.vote(poll, 0, X_Voter_Token=device).status_code == 201
    assert_problem(bob.vote(poll, 0, X_Voter_Token=device), 409, "already_voted")
    assert votes_of(alice, poll) == [1, 0]


def test_open_poll_counts_every_request_without_a_key(alice: Person, charlie: Person) -> None:
    poll = alice.make_poll(identity="open")
    receipts = {charlie.vote(poll, 0).json()["receipt"] for _ in range(3)}
    assert len(receipts) == 3
    assert votes_of(alice, poll) == [3, 0]


def test_open_poll_knows_its_voters_by_their_keys(alice: Person, charlie: Person) -> None:
    poll, key = alice.make_poll(identity="open"), new_key()
    first = charlie.vote(poll, 0, Idempotency_Key=key)
    again = charlie.vote(poll, 0, Idempotency_Key=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert_problem(charlie.vote(poll, 1, Idempotency_Key=key), 422, "idempotency_key_reused")
    assert charlie.vote(poll, 1, Idempotency_Key=new_key()).status_code == 201
    assert votes_of(alice, poll) == [1, 1]


# -- replays ---------------------------------------------------------------------------------


def test_retry_with_the_same_key_and_ballot_is_answered_with_the_first_receipt(
    alice: Person,
) -> None:
    poll = alice.make_poll()
    somebody, key = voter(), new_key()
    first = somebody.vote(poll, 0, Idempotency_Key=key)
    again = somebody.vote(poll, 0, Idempotency_Key=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert again.json()["results"]["ballots"] == 1


def test_replay_tells_the_count_of_now_also_after_closing(alice: Person) -> None:
    poll = alice.make_poll()
    somebody, key = voter(), new_key()
    first = somebody.vote(poll, 0, Idempotency_Key=key).json()
    voter().vote(poll, 1)
    alice.close(poll)
    rows = stored_rows()
    again = somebody.vote(poll, 0, Idempotency_Key=key)
    results = alice.get(poll["links"]["results"]).json()
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert again.json() == {
        "poll": poll["id"],
        "receipt": first["receipt"],
        "seq": results["seq"],
        "results": results,
    }
    assert (results["seq"], results["status"]) == (4, "closed")
    assert stored_rows() == rows


def test_same_ballot_means_the_same_marks_not_the_same_bytes(alice: Person) -> None:
    poll = alice.make_poll(kind="multiple", options=texts("a", "b", "c"))
    somebody, key = voter(), new_key()
    first = somebody.vote(poll, 0, 2, Idempotency_Key=key).json()
    ids = [option["id"].upper() for option in poll["options"]]
    body = f' {{ "choices" : ["{ids[2]}" ,"{ids[0]}"] }}\n'
    again = somebody.post(poll["links"]["vote"], body, Idempotency_Key=key)
    assert (again.status_code, again.json()["receipt"]) == (200, first["receipt"])


def test_key_belongs_to_its_voter_and_poll(alice: Person) -> None:
    polls, key = [alice.make_poll(), alice.make_poll()], new_key()
    people = [voter(), voter()]
    receipts = set()
    for poll in polls:
        for person in people:
            answer = person.vote(poll, 0, Idempotency_Key=key)
            assert answer.status_code == 201
            receipts.add(answer.json()["receipt"])
    assert len(receipts) == 4


def test_second_vote_is_refused(alice: Person) -> None:
    poll = alice.make_poll()
    somebody = voter()
    somebody.vote(poll, 0)
    answer = somebody.vote(poll, 1)
    assert answer.status_code == 409
    assert answer.json() == {
        "type": "/docs/errors#already_voted",
        "title": "You have already voted in this poll",
        "status": 409,
        "code": "already_voted",
        "detail": "GET …/votes/ shows the vote that stands.",
        "instance": poll["links"]["vote"],
    }
