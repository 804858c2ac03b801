"""What is limited by rate at the API, by whom it is counted, and how it is told."""

from typing import Any

import pytest

from polls.domain.rate_limits import Rate
from tests.cast import NEW_POLL, PASSWORD, Person, sign_up, voter
from tests.polls.limiting import assert_too_many, log_in, register

POLLS, TICKETS = "/api/v1/polls/", "/api/v1/live-tickets/"


@pytest.mark.usefixtures("database")
def test_accounts_are_made_only_so_often_from_one_source(only: Any) -> None:
    only(Rate.SIGN_UPS_FROM_SOURCE)
    assert register("dora").status_code == 201
    assert_too_many(register("emil"))
    assert register("emil", "203.0.113.9").status_code == 201
    assert_too_many(register("fred", "::ffff:203.0.113.9"))


@pytest.mark.usefixtures("database")
def test_source_is_a_whole_network_of_ipv6(only: Any) -> None:
    only(Rate.SIGN_UPS_FROM_SOURCE)
    assert register("dora", "2001:db8:1:2::1").status_code == 201
    assert_too_many(register("emil", "2001:db8:1:2:ffff::9"))
    assert register("emil", "2001:db8:1:3::1").status_code == 201


def test_logins_are_counted_from_one_source_right_or_wrong(alice: Person, only: Any) -> None:
    del alice
    only(Rate.LOGINS_FROM_SOURCE, 2)
    assert [log_in("alice").status_code, log_in("alice", "wrong").status_code] == [201, 401]
    assert_too_many(log_in("alice"))
    assert log_in("alice", address="203.0.113.9").status_code == 201


def test_failed_logins_are_counted_from_one_source_whatever_the_account(
    alice: Person, only: Any
) -> None:
    del alice
    only(Rate.FAILED_LOGINS_FROM_SOURCE, 2)
    assert [log_in(name, "wrong").status_code for name in ("nobody", "dora")] == [401, 401]
    assert_too_many(log_in("alice"))
    assert log_in("alice", address="203.0.113.9").status_code == 201


def test_failed_logins_of_an_account_are_counted_from_everywhere(
    alice: Person, bob: Person, only: Any
) -> None:
    del alice, bob
    only(Rate.FAILED_LOGINS_OF_ACCOUNT, 2)
    for address in ("203.0.113.1", "203.0.113.2"):
        assert log_in("alice", "wrong", address).status_code == 401
    assert_too_many(log_in("alice", "wrong", "203.0.113.3"))
    assert_too_many(log_in("alice", PASSWORD, "203.0.113.4"))
    assert log_in("bob").status_code == 201


@pytest.mark.usefixtures("database")
def test_refused_login_is_the_same_for_an_account_that_nobody_has(only: Any) -> None:
    only(Rate.FAILED_LOGINS_OF_ACCOUNT)
    sign_up("alice")
    for name in ("alice", "nobody"):
        log_in(name, "wrong")
    answers = [log_in(*who) for who in (("alice", PASSWORD), ("alice", "x"), ("nobody", "x"))]
    assert len({(answer.status_code, answer.content) for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers.items())) for answer in answers}) == 1


def test_right_logins_use_nothing_up(alice: Person, only: Any) -> None:
    del alice
    only(Rate.FAILED_LOGINS_OF_ACCOUNT)
    assert {log_in("alice").status_code for _ in range(20)} == {201}


def test_tokens_are_issued_only_so_often_to_an_account(
    alice: Person, bob: Person, only: Any
) -> None:
    del alice, bob
    only(Rate.TOKENS_OF_ACCOUNT)
    assert log_in("alice").status_code == 201
    assert_too_many(log_in("alice"))
    assert log_in("bob").status_code == 201


def test_polls_are_made_only_so_often_by_an_account(alice: Person, bob: Person, only: Any) -> None:
    only(Rate.POLLS_OF_ACCOUNT)
    assert alice.post(POLLS, {"title": "No options"}).status_code == 400  # none is made
    alice.make_poll()
    assert_too_many(alice.post(POLLS, NEW_POLL))
    bob.make_poll()


def test_tickets_are_drawn_only_so_often_from_one_source(alice: Person, only: Any) -> None:
    only(Rate.TICKETS_FROM_SOURCE, 2)
    body = {"polls": [alice.make_poll()["id"]]}
    assert alice.post(TICKETS, body).status_code == 201
    assert voter().post(TICKETS, body).status_code == 201
    assert_too_many(voter().post(TICKETS, body))


def test_voting_is_not_limited(alice: Person, settings: Any) -> None:
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, (1, 60))
    poll = alice.make_poll()
    assert {voter().vote(poll, 0).status_code for _ in range(30)} == {201}
    assert {Person().post("/api/v1/voters/").status_code for _ in range(30)} == {201}
