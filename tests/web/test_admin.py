"""The admin: it shows polls and does what the domain does."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import User
from polls.models import Poll
from tests.cast import PASSWORD, Person, voter


@pytest.fixture
def admin(database: None) -> Client:
    """A signed-in member of staff."""
    del database
    User.objects.create_superuser("root", password=PASSWORD)
    client = Client()
    assert client.login(username="ROOT", password=PASSWORD)
    return client


def act(admin: Client, action: str, poll: dict[str, Any], **fields: str) -> str:
    """Run an action on one poll and return the page that follows."""
    chosen = {"action": action, "_selected_action": poll["id"], **fields}
    answer = admin.post("/admin/polls/poll/", chosen, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def test_list_and_detail_show_polls_with_their_counts(admin: Client, alice: Person) -> None:
    poll = alice.make_poll()
    voter().vote(poll, 0)
    assert poll["join_code"] in admin.get("/admin/polls/poll/").content.decode()
    page = admin.get(f"/admin/polls/poll/{poll['id']}/change/").content.decode()
    assert "Pizza" in page
    assert "Sushi" in page


def test_close_closes_through_the_domain(admin: Client, alice: Person) -> None:
    poll = alice.make_poll()
    act(admin, "close_now", poll)
    now = alice.get(poll["links"]["self"]).json()
    assert (now["status"], now["seq"]) == ("closed", poll["seq"] + 1)


def test_opening_a_closed_poll_is_refused_by_name(admin: Client, alice: Person) -> None:
    poll = alice.make_poll()
    act(admin, "close_now", poll)
    assert "The poll is closed" in act(admin, "open_now", poll)


def test_delete_makes_the_poll_gone(admin: Client, alice: Person) -> None:
    poll = alice.make_poll()
    asked = act(admin, "delete_now", poll)
    assert "cannot be undone" in asked
    assert f"({poll['join_code']}): 0 ballots" in asked
    assert alice.get(poll["links"]["self"]).status_code == 200
    act(admin, "delete_now", poll, confirmed="yes")
    assert alice.get(poll["links"]["self"]).status_code == 404
    assert Poll.objects.get(id=poll["id"]).deleted_at is not None
    assert poll["join_code"] not in admin.get("/admin/polls/poll/").content.decode()


@pytest.mark.parametrize(
    ("permissions", "offered"),
    [
        ({"view_poll"}, set()),
        ({"view_poll", "change_poll"}, {"open_now", "close_now"}),
        ({"view_poll", "delete_poll"}, {"delete_now"}),
    ],
)
def test_staff_do_what_they_have_the_permission_for(
    alice: Person, permissions: set[str], offered: set[str]
) -> None:
    vera = User.objects.create_user("vera", is_staff=True)
    vera.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(vera)
    for action, changed in (("close_now", "closed"), ("delete_now", 404)):
        poll = alice.make_poll()
        assert (f'value="{action}"' in client.get("/admin/polls/poll/").content.decode()) == (
            action in offered
        )
        act(client, action, poll, confirmed="yes")
        now = alice.get(poll["links"]["self"]).json()
        assert now.get("status") == (changed if action in offered else "open"), now


def test_users_and_tokens_are_listed_without_secrets(admin: Client, alice: Person) -> None:
    token = alice.headers["Authorization"].removeprefix("Bearer ")
    page = admin.get("/admin/accounts/apitoken/").content.decode()
    assert str(alice.row.id) in page
    assert token not in page
    assert admin.get("/admin/accounts/apitoken/add/").status_code == 403
    assert admin.get("/admin/accounts/user/").status_code == 200


def test_form_says_that_a_name_in_other_letters_is_taken(admin: Client, alice: Person) -> None:
    del alice
    fields = {"username": "\u00c5LICE", "password1": PASSWORD, "password2": PASSWORD}
    fields["usable_password"] = "true"
    assert admin.post("/admin/accounts/user/add/", fields).status_code == 302
    page = admin.post("/admin/accounts/user/add/", fields | {"username": "\u00e5lice"})
    assert page.status_code == 200
    # Django's form looks too, as far as the database knows the letters.
    refused = ("Somebody has this name.", "A user with that username already exists.")
    assert any(text in page.content.decode() for text in refused)
    assert User.objects.filter(username_key="\u00e5lice").count() == 1
