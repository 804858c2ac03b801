"""Rows 1 and 2: nobody reads, edits, runs or deletes what is another account's.

The URL conf is walked, so that a new route is met by itself: what another account may do must
be named below as everybody's.
"""

import uuid
from typing import Any

import pytest

from polls.models import Poll
from tests.cast import (
    NEW_POLL,
    Person,
    assert_problem,
    new_key,
    sign_up,
    signed_in,
    stored_rows,
    voter,
)
from tests.polls.test_route_walk import routes

VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# What belongs to somebody is named in the path.
ROUTES = sorted(
    route for route in routes() if "{" in route and not route.startswith(("/admin/", "/^"))
)
ROUTES.remove("/accounts/^password/reset/key/(?P{uidb36}[0-9A-Za-z]+)-(?P{key}[^/]+)$")
A_POLL = "/api/v1/polls/{poll_id}/"
# Calls on a poll that is no draft which everybody may make.
_READ = (
    *("", "votes/", "results/", "timeline/"),
    *("integrity/",),  # of one that is closed; else it is hidden, which is no secret
)
EVERYBODYS = {
    *((verb, A_POLL + call) for verb in ("GET", "HEAD") for call in _READ),
    *((verb, f"{A_POLL}votes/") for verb in ("POST", "PUT", "DELETE")),
    *((verb, "/api/v1/events/{event_id}/") for verb in ("GET", "HEAD")),
    *((verb, "/api/v1/join/{code}/") for verb in ("GET", "HEAD")),
    *(
        (verb, route)
        for verb in ("GET", "HEAD")
        for route in ROUTES
        if route.startswith(("/p/", "/embed/"))
    ),
    ("POST", "/p/{join_code}"),
}


class Things:
    """What Alice has: a poll in an event, and a token."""

    def __init__(self, alice: Person, **fields: Any) -> None:
        self.poll = alice.make_poll(**fields)
        self.event = alice.make_event(self.poll)
        self.member = f"member-{uuid.uuid4().hex[:12]}"
        sign_up(self.member)
        path = f"{self.poll['links']['self']}members/{self.member}/"
        assert alice.call("PUT", path, {"role": "viewer"}).status_code == 201
        credentials = {"username": "alice", "password": "correct horse battery staple"}
        self.token = alice.post("/api/v1/auth/tokens/", credentials).json()["id"]

    def path(self, route: str) -> str:
        return route.format(
            poll_id=self.poll["id"],
            event_id=self.event["id"],
            token_id=self.token,
            username=self.member,
            code=self.poll["join_code"],
            join_code=self.poll["join_code"],
        )

    def body(self, verb: str, route: str) -> Any:
        """Return what such a call takes, so that nothing else can be what it is refused for."""
        choices = {"choices": [self.poll["options"][0]["id"]]}
        bodies: dict[tuple[str, str], Any] = {
            ("POST", f"{A_POLL}votes/"): choices,
            ("PUT", f"{A_POLL}votes/"): choices,
            ("PATCH", A_POLL): {"title": "Mine!"},
            ("POST", f"{A_POLL}codes/"): {"count": 1},
            ("PUT", f"{A_POLL}members/{{username}}/"): {"role": "viewer"},
            ("PATCH", "/api/v1/events/{event_id}/"): {"title": "Mine!"},
        }
        return bodies.get((verb, route))

    def form(self) -> dict[str, Any]:
        return {
            "title": "Mine!",
            "option": ["Pizza", "Sushi"],
            "poll": self.poll["id"],
            "choice": self.poll["options"][0]["id"],
            "status": "draft",
            "count": "1",
            "username": self.member,
            "role": "viewer",
        }

    def call(self, person: Person, verb: str, route: str) -> Any:
        path = self.path(route)
        if verb == "POST" and not route.startswith("/api/"):
            return person.http.post(path, self.form())
        device = {} if "X-Voter-Token" in person.headers else voter().headers
        return person.call(verb, path, self.body(verb, route), **device)


def state(alice: Person) -> tuple[Any, ...]:
    """Return all that is Alice's."""
    lists = ("/api/v1/polls/", "/api/v1/events/", "/api/v1/auth/tokens/")
    rows = {name: count for name, count in stored_rows().items() if "user" not in name}
    return (rows, *(alice.get(path).json() for path in lists))


def with_session(alice_or_bob: str) -> Person:
    person = signed_in(alice_or_bob)
    person.headers["Accept"] = "text/html"
    return person


@pytest.mark.parametrize("way", ["token", "session"])
@pytest.mark.parametrize("status", ["draft", "open"])
def test_row_01_owners_routes_do_not_exist_for_another_account(
    alice: Person, bob: Person, status: str, way: str
) -> None:
    things = Things(alice, status=status)
    other = bob if way == "token" else with_session("eve")
    before, found, refused = state(alice), {}, 0
    for route in ROUTES:
        for verb in VERBS:
            if (verb, route) in EVERYBODYS and (status == "open" or "{event_id}" in route):
                continue
            if "/desk" in route and way == "token":
                continue  # a token is no session: the way to log in
            answer = things.call(other, verb, route)
            refused += answer.status_code == 404
            if answer.status_code not in {404, 405}:
                found[verb, route] = answer.status_code
            if "Lunch?" in answer.content.decode(errors="replace"):
                found[verb, route] = "told the title"
    assert found == {}
    assert refused >= 9
    assert state(alice) == before


@pytest.mark.parametrize("way", ["token", "session"])
def test_row_01_the_same_calls_reach_their_owner(alice: Person, way: str) -> None:
    """The control: what the walk above asks for is there, and its paths and bodies are right."""
    owner = alice
    if way == "session":
        assert alice.user
        owner = Person()
        owner.http.force_login(alice.user)
        owner.headers["Accept"] = "text/html"
    found = {}
    for route in ROUTES:
        if "/desk" in route and way == "token":
            continue
        fields = {"identity": "code"} if route.endswith(("/codes", "/codes/")) else {}
        statuses = {Things(alice, **fields).call(owner, verb, route).status_code for verb in VERBS}
        if not statuses & {200, 201, 204, 302, 303, 400}:
            found[route] = statuses
    assert found == {}


def test_row_01_pages_of_staff_are_for_staff(alice: Person) -> None:
    things, bob = Things(alice), with_session("bob")
    before = state(alice)
    for path in (
        "/admin/",
        "/admin/polls/poll/",
        f"/admin/polls/poll/{things.poll['id']}/change/",
        f"/admin/polls/poll/{things.poll['id']}/delete/",
        "/admin/accounts/apitoken/",
        "/admin/accounts/user/",
    ):
        for answer in (bob.http.get(path), bob.http.post(path, {"post": "yes"})):
            assert (answer.status_code, answer.headers["Location"][:13]) == (302, "/admin/login/")
    assert state(alice) == before


# -- 2: ballots and receipts, and what is reached by the wrong parent -----------------------------


def test_row_02_vote_is_its_voters_alone(alice: Person) -> None:
    poll = alice.make_poll()
    path, one, other, key = poll["links"]["vote"], voter(), voter(), new_key()
    receipt = one.vote(poll, 0, Idempotency_Key=key).json()["receipt"]
    assert one.get(path).json()["receipt"] == receipt
    assert other.get(path).json() == {"voted": False}
    assert_problem(alice.get(path), 401, "voter_token_required")
    # Knowing the key of another's vote is not being them.
    mine = other.vote(poll, 1, Idempotency_Key=key)
    assert (mine.status_code, mine.json()["receipt"] == receipt) == (201, False)
    assert one.get(path).json()["receipt"] == receipt


@pytest.mark.parametrize("body", ["both", "theirs"])
def test_row_02_option_of_another_poll_is_no_choice(alice: Person, bob: Person, body: str) -> None:
    theirs, own = alice.make_poll(), bob.make_poll(kind="multiple")
    choices = [theirs["options"][0]["id"]]
    if body == "both":
        choices.append(own["options"][0]["id"])
    before = stored_rows()
    answer = voter().post(own["links"]["vote"], {"choices": choices})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_ballot")
    assert stored_rows() == before


def test_row_02_poll_of_another_gets_into_no_event(alice: Person, bob: Person) -> None:
    things = Things(alice)
    own = bob.make_event(bob.make_poll())
    path, theirs = own["links"]["self"], things.poll["id"]
    before = state(alice), bob.get(path).json()
    ids = [poll["id"] for poll in own["polls"]]
    for fields, name in (
        ({"polls": [theirs]}, "polls[0]"),
        ({"polls": [*ids, theirs]}, "polls[1]"),
    ):
        errors = [(name, "unknown_poll", "This is no poll of yours.")]
        assert_problem(bob.patch(path, fields), 400, "invalid_event", errors=errors)
    answer = bob.patch(path, {"current": theirs})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_event")
    answer = bob.post("/api/v1/events/", {"title": "Mine", "polls": [theirs]})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_event")
    assert (state(alice), bob.get(path).json()) == before


@pytest.mark.parametrize("action", ["show", "up", "down", "add", "take-out"])
def test_row_02_desk_reaches_no_poll_through_an_event_of_ones_own(
    alice: Person, bob: Person, action: str
) -> None:
    things, own = Things(alice, title="A secret of Alice's"), bob.make_event(bob.make_poll())
    assert bob.user
    browser = Person()
    browser.http.force_login(bob.user)
    before = state(alice), bob.get(own["links"]["self"]).json()
    answer = browser.http.post(
        f"/desk/events/{own['id']}/{action}", {"poll": things.poll["id"]}, follow=True
    )
    assert "A secret of Alice's" not in answer.content.decode()
    assert (state(alice), bob.get(own["links"]["self"]).json()) == before


def test_row_02_ticket_is_for_polls_that_its_holder_may_reach(alice: Person, bob: Person) -> None:
    draft, own = alice.make_poll(status="draft"), bob.make_poll()
    before = stored_rows()
    for ids in ([draft["id"]], [own["id"], draft["id"]], [str(uuid.uuid4())]):
        assert_problem(bob.post("/api/v1/live-tickets/", {"polls": ids}), 404, "not_found")
    assert stored_rows() == before


def test_row_02_new_poll_gets_into_no_event_of_another(alice: Person) -> None:
    things, bob = Things(alice), with_session("bob")
    before = state(alice)
    for path in (f"/desk/new?event={things.event['id']}", f"/desk/new?from={things.poll['id']}"):
        for answer in (bob.http.get(path), bob.http.post(path, {**NEW_POLL, **things.form()})):
            assert things.event["title"] not in answer.content.decode()
    rows, *lists = state(alice)
    assert lists == list(before[1:])
    assert rows["polls_eventpoll"] == before[0]["polls_eventpoll"]
    assert not Poll.objects.filter(owner__username="bob", event_place__isnull=False).exists()
