"""The desk of polls that are shared: what each role finds there, and what the server refuses."""

from typing import Any

import pytest

from accounts.models import User
from tests.cast import PASSWORD, Person
from tests.web.browsers import Browser, page_of


def members_of(person: Person, poll: dict[str, Any]) -> list[tuple[str, str]]:
    found = person.get(f"{poll['links']['self']}members/").json()["results"]
    return [(one["username"], one["role"]) for one in found]


@pytest.fixture
def desks(alice: Person) -> dict[str, Browser]:
    assert alice.user is not None
    people = {
        name: User.objects.create_user(name, password=PASSWORD) for name in ("olga", "viktor")
    }
    return {name: Browser(user) for name, user in {"alice": alice.user, **people}.items()}


def share(desks: dict[str, Browser], poll: dict[str, Any], name: str, role: str) -> Any:
    page = page_of(poll)
    return desks["alice"].send(f"{page}/members", page, username=name, role=role)


def test_owner_shares_a_poll_and_takes_it_back(alice: Person, desks: dict[str, Browser]) -> None:
    poll = alice.make_poll()
    page = page_of(poll)
    for role in ("viewer", "organiser"):
        answer = share(desks, poll, " Olga ", role)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"{page}#members")
        assert members_of(alice, poll) == [("olga", role)]
    assert ">olga</strong>" in desks["alice"].read(page)
    answer = desks["alice"].send(f"{page}/members/remove", page, username="olga")
    assert answer.headers["Location"] == f"{page}#members"
    assert members_of(alice, poll) == []


@pytest.mark.parametrize(
    ("name", "role", "told"),
    [
        ("nobody", "viewer", (404, "Nobody has this name here.")),
        ("", "viewer", (404, "Nobody has this name here.")),
        ("Alice", "viewer", (400, "This is your own name.")),
        ("olga", "owner", (400, "This is not possible.")),
    ],
)
def test_name_that_cannot_be_is_told_beside_the_form(
    alice: Person, desks: dict[str, Browser], name: str, role: str, told: tuple[int, str]
) -> None:
    poll = alice.make_poll()
    answer = share(desks, poll, name, role)
    assert answer.status_code == told[0]
    assert told[1] in answer.content.decode()
    assert members_of(alice, poll) == []


def test_organiser_runs_a_poll_from_the_desk_but_neither_deletes_nor_shares_it(
    alice: Person, desks: dict[str, Browser]
) -> None:
    poll = alice.make_poll(status="draft")
    alice.make_event(poll)
    share(desks, poll, "olga", "organiser")
    olga, page = desks["olga"], page_of(poll)
    listed, shown = olga.read("/desk/shared"), olga.read(page)
    assert '<a href="/desk/shared">Shared with me</a>' in olga.read("/desk")
    assert f'href="{page}"' in listed
    for text in (listed, shown):
        assert f'action="{page}/open"' in text
        assert f'href="{page}/close"' in text
        assert f"{page}/delete" not in text
    assert 'id="members"' not in shown
    assert "/desk/events/" not in shown
    back = olga.send(f"{page}/open", page, back="shared")
    assert back.headers["Location"] == "/desk/shared"
    assert alice.read_poll(poll)["status"] == "open"
    for act in ("delete", "members"):
        assert olga.get(f"{page}/{act}").status_code == 404
        assert olga.send(f"{page}/{act}", page, username="viktor").status_code == 404
    assert members_of(alice, poll) == [("olga", "organiser")]
    copied = olga.send(f"{page}/duplicate", page)
    assert copied.headers["Location"].startswith("/desk/polls/")
    assert f'href="{copied.headers["Location"]}"' in olga.read("/desk")


def test_viewer_finds_results_and_no_button(alice: Person, desks: dict[str, Browser]) -> None:
    poll = alice.make_poll(results_visibility="owner")
    draft = alice.make_poll(title="Secret plan", status="draft")
    for one in (poll, draft):
        share(desks, one, "viktor", "viewer")
    viktor, page = desks["viktor"], page_of(poll)
    listed = viktor.read("/desk/shared")
    assert "Secret plan" not in listed
    assert page not in listed.replace(f"{page}/members/remove", "")
    assert f'href="/p/{poll["join_code"]}/results"' in listed
    assert "The results are shown to the organiser alone" not in viktor.read(
        f"/p/{poll['join_code']}/results"
    )
    for act in ("", "/close", "/reset", "/delete"):
        assert viktor.get(page + act).status_code == 404
    answer = viktor.send(f"{page}/members/remove", "/desk/shared", username="olga")
    assert answer.status_code == 404
    answer = viktor.send(f"{page}/members/remove", "/desk/shared", username="viktor")
    assert answer.headers["Location"] == "/desk/shared"
    assert members_of(alice, poll) == []
    assert "Nobody shares a poll with you." in viktor.read("/desk/shared")


def test_big_screen_has_the_keys_of_whoever_may_use_them(
    alice: Person, desks: dict[str, Browser]
) -> None:
    first, second = alice.make_poll(), alice.make_poll()
    event = alice.make_event(first, second, current=first["id"])
    share(desks, first, "olga", "organiser")
    share(desks, first, "viktor", "viewer")
    keys = {
        name: {
            key
            for key in ("open", "close", "next", "hide")
            if f'data-do="{key}"' in desk.read(f"/p/{event['join_code']}/present")
        }
        for name, desk in desks.items()
    }
    assert keys == {
        "alice": {"open", "close", "next", "hide"},
        "olga": {"open", "close", "hide"},
        "viktor": {"hide"},
    }
