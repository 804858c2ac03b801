"""GET /api/v1/auth/account/: all that the service holds about an account, and of nobody else's."""

import uuid
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from polls.domain import lifecycle, own_votes, retention
from polls.models import Participation, Poll
from tests.cast import Person, assert_problem, sign_up, signed_in, texts

ACCOUNT = "/api/v1/auth/account/"


def export(person: Person, query: str = "") -> dict[str, Any]:
    answer = person.get(ACCOUNT + query)
    assert answer.status_code == 200, answer.content
    assert answer.headers["Cache-Control"] == "private, no-store"
    found: dict[str, Any] = answer.json()
    return found


def vote_body(poll: dict[str, Any], receipt: str, *places: int) -> dict[str, Any]:
    choices = [{name: poll["options"][place][name] for name in ("id", "text")} for place in places]
    return {
        "poll": poll["id"],
        "title": poll["title"],
        "secrecy": "confidential",
        "receipt": receipt,
        "choices": choices,
    }


def test_export_of_a_new_account_is_its_profile_and_nothing_else(alice: Person) -> None:
    user = alice.user
    assert user is not None
    assert export(alice) == {
        "profile": {
            "username": "alice",
            "email": "",
            "first_name": "",
            "last_name": "",
            "date_joined": user.date_joined.isoformat().replace("+00:00", "Z"),
            "last_login": None,
        },
        "tokens": alice.get("/api/v1/auth/tokens/").json(),
        "polls": [],
        "events": [],
        "roles": [],
        "votes": [],
        "next": None,
    }


def test_export_holds_ones_own_polls_drafts_among_them_and_events(
    alice: Person, bob: Person
) -> None:
    polls = [alice.make_poll(), alice.make_poll(status="draft"), alice.make_poll()]
    alice.delete(polls.pop()["links"]["self"])
    event = alice.make_event(*polls)
    other = bob.make_poll(identity="account")
    bob.make_event(other)
    bob.vote(other, 0)
    bob.vote(polls[0], 0, X_Voter_Token=Person(device=True).headers["X-Voter-Token"])
    found = export(alice)
    assert found["polls"] == [alice.read_poll(poll) for poll in reversed(polls)]
    assert found["events"] == [alice.get(event["links"]["self"]).json()]
    assert found["votes"] == []
    assert "bob" not in str(found)


def test_export_holds_roles_in_polls_of_others(alice: Person, bob: Person) -> None:
    polls = [bob.make_poll(title=f"Poll {n}", status="draft") for n in range(3)]
    for poll, role in zip(polls, ("viewer", "organiser", "viewer"), strict=True):
        path = f"{poll['links']['self']}members/alice/"
        assert bob.call("PUT", path, {"role": role}).status_code == 201
    bob.open(polls[2])
    found = export(alice)["roles"]
    # Of a draft its viewers hear nothing yet.
    assert [(one["poll"], one["title"], one["role"]) for one in found] == [
        (polls[2]["id"], "Poll 2", "viewer"),
        (polls[1]["id"], "Poll 1", "organiser"),
    ]
    assert all(datetime.fromisoformat(one["changed_at"]).tzinfo for one in found)
    assert export(bob)["roles"] == []
    assert "bob" not in str(found)


def test_export_finds_the_votes_of_the_account_and_how_they_were_marked(
    alice: Person, bob: Person
) -> None:
    options = texts("a", "b", "c")
    polls = [
        alice.make_poll(identity="account", kind="multiple", options=options, title=f"Poll {n}")
        for n in range(4)
    ]
    first = bob.vote(polls[0], 2, 0).json()["receipt"]
    second = bob.vote(polls[2], 1).json()["receipt"]
    for poll in polls:
        alice.vote(poll, 1, 2)
    alice.close(polls[2])
    by_device = alice.make_poll()
    Person(bob.user, device=True).vote(by_device, 0)
    expected = [vote_body(polls[0], first, 0, 2), vote_body(polls[2], second, 1)]
    assert export(bob)["votes"] == expected
    assert [vote["poll"] for vote in export(alice)["votes"]] == [poll["id"] for poll in polls]


def test_export_tells_that_one_took_part_where_no_link_to_the_ballot_is_kept(
    alice: Person,
) -> None:
    poll = alice.make_poll(identity="account")
    alice.vote(poll, 0)
    Participation.objects.filter(poll=poll["id"]).update(ballot_id=None)
    (vote,) = export(alice)["votes"]
    assert (vote["poll"], vote["receipt"], vote["choices"]) == (poll["id"], None, [])


def test_export_finds_no_vote_whose_key_is_destroyed_and_none_of_a_deleted_poll(
    alice: Person,
) -> None:
    polls = [alice.make_poll(identity="account") for _ in range(3)]
    for poll in polls:
        alice.vote(poll, 0)
    alice.close(polls[0])
    assert lifecycle.certify_poll(uuid.UUID(polls[0]["id"]))
    retention.destroy_key(uuid.UUID(polls[0]["id"]))
    alice.delete(polls[1]["links"]["self"])
    assert [vote["poll"] for vote in export(alice)["votes"]] == [polls[2]["id"]]


def test_export_asks_many_polls_by_few_statements(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as said:
            export(alice)
        return len(said)

    alice.vote(alice.make_poll(identity="account"), 0)
    of_one = queries()
    polls = [alice.make_poll(identity="account") for _ in range(4)]
    for poll in polls:
        alice.vote(poll, 1)
    assert queries() == of_one
    monkeypatch.setattr(own_votes, "_CHUNK", 2)
    assert len(export(alice)["votes"]) == 5


def test_export_that_finds_no_time_for_all_polls_says_where_to_go_on(
    alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls = [alice.make_poll(identity="account") for _ in range(5)]
    for poll in polls:
        bob.vote(poll, 0)
    monkeypatch.setattr(own_votes, "_CHUNK", 2)
    monkeypatch.setattr("polls.domain.deadline.end", lambda: 0.0)
    found, path, parts = [], ACCOUNT, 0
    while path:
        part = bob.get(path).json()
        found += [vote["poll"] for vote in part["votes"]]
        path, parts = part["next"], parts + 1
    assert found == [poll["id"] for poll in polls]
    assert parts == 3


@pytest.mark.parametrize("after", ["", "x", "1"])
def test_place_that_was_not_given_out_is_malformed(alice: Person, after: str) -> None:
    errors = [("after", "invalid", "Take it from `next`.")]
    assert_problem(alice.get(f"{ACCOUNT}?after={after}"), 400, "malformed", errors=errors)


def test_export_is_the_accounts_own(charlie: Person) -> None:
    assert_problem(charlie.get(ACCOUNT), 401, "authentication_required")
    assert export(signed_in("dora"))["profile"]["username"] == "dora"
    assert export(sign_up("emil"))["profile"]["username"] == "emil"


def test_export_closes_what_is_due_first(alice: Person) -> None:
    poll = alice.make_poll(closes_at="2098-01-01T00:00:00Z")
    Poll.objects.filter(id=poll["id"]).update(closes_at="2020-01-01T00:00:00Z")
    assert [poll["status"] for poll in export(alice)["polls"]] == ["closed"]


def test_export_holds_no_secret(alice: Person) -> None:
    token = alice.headers["Authorization"].removeprefix("Bearer ")
    text = str(export(alice))
    assert alice.user is not None
    for secret in (token, alice.user.password, bytes(alice.row.token_hash).hex()):
        assert secret not in text
