"""Row 16: no call takes a field that is not the caller's to set, whatever columns there are."""

from typing import Any

import pytest
from django.apps import apps

from accounts.models import User
from tests.cast import NEW_POLL, PASSWORD, Person, stored_rows, texts, voter

# What a caller may say, by door; everything else that a table of ours holds is not theirs to set.
POLL = {
    *("title", "description", "kind", "options", "min_selections", "max_selections", "identity"),
    *("network_cap", "secrecy", "results_visibility", "opens_at", "closes_at", "allow_change"),
    "embed_origins",
}
FIELDS = sorted(
    {
        name
        for app in ("accounts", "polls", "auth", "sessions")
        for model in apps.get_app_config(app).get_models()
        for field in model._meta.get_fields()
        for name in (field.name, getattr(field, "attname", field.name))
    }
    | {"is_staff", "is_superuser", "seq", "ballots", "tally", "votes", "owner_id", "receipt", "pk"}
)
# A value of each kind, so that no field is refused for its type alone.
VALUES: tuple[Any, ...] = (1, "x", True)


class Doors:
    """Every call that takes fields, with a body that it takes as it is."""

    def __init__(self, alice: Person) -> None:
        self.alice, self.voter = alice, voter()
        self.poll, self.event = alice.make_poll(), alice.make_event()
        choice = {"choices": [self.poll["options"][0]["id"]]}
        credentials = {"username": "alice", "password": PASSWORD}
        link = self.poll["links"]
        self.doors: dict[str, tuple[Person, str, str, dict[str, Any], set[str]]] = {
            "register": (
                *(alice, "POST", "/api/v1/auth/register/"),
                {"username": "mallory", "password": PASSWORD},
                {"username", "password", "email"},
            ),
            "token": (
                *(alice, "POST", "/api/v1/auth/tokens/", credentials),
                {"username", "password", "name"},
            ),
            "new poll": (alice, "POST", "/api/v1/polls/", dict(NEW_POLL), {*POLL, "status"}),
            "option": (
                *(alice, "POST", "/api/v1/polls/"),
                {"title": "Lunch?", "options": texts("Pizza", "Sushi")},
                {"text"},
            ),
            "change": (alice, "PATCH", link["self"], {"title": "Dinner?"}, POLL),
            "vote": (self.voter, "POST", link["vote"], choice, {"choices", "scores", "code"}),
            "new event": (
                *(alice, "POST", "/api/v1/events/", {"title": "An evening"}),
                {"title", "polls", "current"},
            ),
            "change of event": (
                *(alice, "PATCH", self.event["links"]["self"], {"title": "A night"}),
                {"title", "polls", "current"},
            ),
            "ticket": (
                *(self.voter, "POST", "/api/v1/live-tickets/", {"polls": [self.poll["id"]]}),
                {"polls"},
            ),
        }

    def send(self, door: str, **more: Any) -> Any:
        person, method, path, body, _ = self.doors[door]
        if door == "option":
            options = [{**body["options"][0], **more}, body["options"][1]]
            return person.call(method, path, {**body, "options": options})
        return person.call(method, path, {**body, **more})


DOORS = [
    *("register", "token", "new poll", "option", "change", "vote", "new event"),
    *("ticket", "change of event"),
]


@pytest.mark.parametrize("door", DOORS)
def test_row_16_column_of_any_table_is_refused_by_name(alice: Person, door: str) -> None:
    doors = Doors(alice)
    allowed = doors.doors[door][4]
    before, users = stored_rows(), list(User.objects.values())
    taken = {}
    for name in FIELDS:
        if name in allowed:
            continue
        for value in VALUES:
            answer = doors.send(door, **{name: value})
            body = answer.json()
            if (answer.status_code, body["code"]) != (400, "malformed") or name not in str(
                body["errors"]
            ):
                taken[name, str(value)] = answer.status_code
    assert taken == {}
    assert stored_rows() == before
    assert list(User.objects.values()) == users
    assert len(FIELDS) > 60


@pytest.mark.parametrize("door", DOORS)
def test_row_16_the_same_body_without_such_a_field_is_taken(alice: Person, door: str) -> None:
    """The control: nothing else of these bodies is at fault."""
    assert Doors(alice).send(door).status_code in {200, 201}


def test_row_16_form_of_a_page_sets_what_it_shows_and_nothing_else(alice: Person) -> None:
    assert alice.user
    browser = Person()
    browser.http.force_login(alice.user)
    poll = alice.make_poll()
    extra = {
        "owner": "1",
        "owner_id": "1",
        "seq": "99",
        "join_code": "AAAAAA",
        "revision": "7",
        "certified_at": "2020-01-01",
        "created_at": "2020-01-01",
        "is_staff": "on",
    }
    form = {"title": "Dinner?", "option": ["Pizza", "Sushi"], **extra}
    answer = browser.http.post(f"/desk/polls/{poll['id']}", form)
    assert answer.status_code == 303
    read = alice.read_poll(poll)
    same = ("owner", "join_code", "created_at", "id", "opened_at")
    assert {name: read[name] for name in same} == {name: poll[name] for name in same}
    assert (read["title"], read["seq"]) == ("Dinner?", poll["seq"] + 1)
    sign_up = {"username": "mallory", "password1": PASSWORD, "password2": PASSWORD, **extra}
    Person().http.post("/accounts/signup", {**sign_up, "is_superuser": "on"})
    made = User.objects.get(username="mallory")
    assert (made.is_staff, made.is_superuser) == (False, False)
