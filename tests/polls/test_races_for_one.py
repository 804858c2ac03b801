"""Things that one of many may have: a live ticket, a name."""

import threading
from typing import Any

import pytest
from django.db.models import QuerySet

from accounts.models import User
from polls.domain.access import Viewer
from polls.domain.tickets import Ticket, consume_ticket, issue_ticket
from polls.models import LiveTicket
from tests.cast import PASSWORD, Person
from tests.polls.scratch import without_keys
from tests.polls.threads import PATIENCE, together

CONNECTIONS = 20  # a server that others use as well has a hundred


def _issue(alice: Person) -> str:
    assert alice.user is not None
    return issue_ticket(Viewer(alice.user.pk), [])[0]


def test_one_of_fifty_threads_consumes_a_ticket(alice: Person) -> None:
    ticket = _issue(alice)
    assert alice.user is not None
    places = threading.Semaphore(CONNECTIONS)

    def consume(_: int) -> Ticket | None:
        with places:
            return consume_ticket(ticket)

    found = together(50, consume)
    won = Ticket(Viewer(alice.user.pk), None, None, frozenset())
    assert sorted(found, key=str) == [*[None] * 49, won]
    assert consume_ticket(ticket) is None
    assert not LiveTicket.objects.exists()


def _consume_after_all_have_read(
    alice: Person, monkeypatch: pytest.MonkeyPatch, *, believe_delete: bool
) -> list[Ticket | None]:
    """Let every thread find the ticket before the first of them deletes it."""
    ticket = _issue(alice)
    read = threading.Barrier(CONNECTIONS)
    delete = QuerySet.delete

    def delete_together(self: "QuerySet[Any]") -> tuple[int, dict[str, int]]:
        read.wait(PATIENCE)
        found = delete(self)
        return found if believe_delete else (1, {})

    with monkeypatch.context() as patched:
        patched.setattr(QuerySet, "delete", delete_together)
        return together(CONNECTIONS, lambda _: consume_ticket(ticket))


def test_one_of_those_who_have_read_a_ticket_consumes_it(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _consume_after_all_have_read(alice, monkeypatch, believe_delete=True)
    assert found.count(None) == CONNECTIONS - 1


def test_control_without_a_look_at_what_was_deleted_all_of_them_consume_it(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _consume_after_all_have_read(alice, monkeypatch, believe_delete=False)
    assert found.count(None) == 0


NAMES = ["zoe", "Zoe", "ZOE", "zOE", "zoE", "ZOe", "zOe", "ZoE"]


def _register(name: str) -> tuple[int, str | None]:
    body = {"username": name, "password": PASSWORD}
    answer = Person().post("/api/v1/auth/register/", body)
    return answer.status_code, answer.json().get("code")


@pytest.mark.usefixtures("database")
def test_name_that_is_registered_at_once_in_every_case_has_one_account() -> None:
    found = together(len(NAMES), lambda place: _register(NAMES[place]))
    assert sorted(found, key=str) == [(201, None)] + [(409, "username_taken")] * 7
    assert User.objects.filter(username__iexact="zoe").count() == 1


@pytest.mark.usefixtures("database")
def test_control_without_the_unique_index_a_name_has_many_accounts() -> None:
    """One after the other: nothing but the index stands between them."""
    with without_keys("accounts_user") as use_copy:
        use_copy()
        assert [_register(name) for name in NAMES] == [(201, None)] * 8
