"""Members of a poll: who may do what, how they come and go, and what nobody learns by it."""

from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from polls.domain import access, members
from polls.domain.access import Viewer, who_may_see
from polls.models import Member, Poll
from tests.cast import Person, assert_problem, sign_up, texts, voter
from tests.polls.threads import together


def members_path(poll: dict[str, Any], name: str = "") -> str:
    return f"{poll['links']['self']}members/" + (f"{name}/" if name else "")


def share(owner: Person, poll: dict[str, Any], person: Person, role: str) -> Any:
    assert person.user is not None
    return owner.call("PUT", members_path(poll, person.user.username), {"role": role})


@dataclass
class Cast:
    """Everybody who may stand in some way to Alice's polls."""

    owner: Person
    organiser: Person
    viewer: Person
    other: Person
    nobody: Person

    def poll(self, **fields: Any) -> dict[str, Any]:
        """Make a poll of the owner's with both members."""
        made = self.owner.make_poll(**fields)
        assert share(self.owner, made, self.organiser, "organiser").status_code == 201
        assert share(self.owner, made, self.viewer, "viewer").status_code == 201
        return made


@pytest.fixture
def cast(alice: Person, bob: Person, charlie: Person) -> Cast:
    return Cast(alice, sign_up("olga"), sign_up("viktor"), bob, charlie)


# Every call that is not everybody's, and what the organiser, the viewer and another account get.
# Nobody at all is always 401.
RUN = (200, 404, 404)
MATRIX: dict[tuple[str, str], tuple[Any, tuple[int, int, int]]] = {
    ("PATCH", ""): ({"title": "Dinner?"}, RUN),
    ("POST", "open/"): (None, RUN),
    ("POST", "close/"): (None, RUN),
    ("POST", "reset/"): (None, RUN),
    ("POST", "codes/"): ({"count": 1}, (400, 404, 404)),  # not offered yet
    ("DELETE", ""): (None, (404, 404, 404)),
    ("GET", "members/"): (None, (200, 200, 404)),
    ("PUT", "members/bob/"): ({"role": "viewer"}, (404, 404, 404)),
    ("PUT", "members/olga/"): ({"role": "viewer"}, (404, 404, 404)),
    ("DELETE", "members/alice/"): (None, (404, 404, 404)),
    ("DELETE", "members/viktor/"): (None, (404, 204, 404)),
    ("DELETE", "members/olga/"): (None, (204, 404, 404)),
}


@pytest.mark.parametrize(("method", "call"), MATRIX)
def test_each_call_is_answered_by_the_callers_role(cast: Cast, method: str, call: str) -> None:
    body, expected = MATRIX[method, call]
    everybody = (cast.organiser, cast.viewer, cast.other)
    for person, status in zip(everybody, expected, strict=True):
        path = cast.poll()["links"]["self"] + call
        answer = person.call(method, path, body)
        assert answer.status_code == status, answer.content
        if status == 404:
            assert_problem(answer, 404, "not_found")
        assert_problem(cast.nobody.call(method, path, body), 401, "authentication_required")


@pytest.mark.parametrize("visibility", ["always", "after_vote", "after_close", "owner"])
def test_both_roles_always_see_results_and_are_told_their_role(cast: Cast, visibility: str) -> None:
    poll = cast.poll(results_visibility=visibility)
    voter().vote(poll, 1)
    for person, role in (
        (cast.owner, "owner"),
        (cast.organiser, "organiser"),
        (cast.viewer, "viewer"),
    ):
        read = person.read_poll(poll)
        assert (read["role"], read["ballots"]) == (role, 1)
        for door in ("results/", "timeline/"):
            assert person.get(poll["links"]["self"] + door).status_code == 200
    for outsider in (cast.other, cast.nobody):
        read = outsider.read_poll(poll)
        assert (read["role"], read["ballots"]) == (None, 1 if visibility == "always" else None)
        assert outsider.get(poll["links"]["results"]).status_code == (
            200 if visibility == "always" else 403
        )


def test_integrity_of_an_open_poll_is_for_those_who_run_it(cast: Cast) -> None:
    poll = cast.poll(results_visibility="owner")
    path = f"{poll['links']['self']}integrity/"
    everybody = (cast.owner, cast.organiser, cast.viewer, cast.other)
    assert [person.get(path).status_code for person in everybody] == [200, 200, 404, 404]
    cast.owner.close(poll)
    assert [person.get(path).status_code for person in everybody] == [200, 200, 200, 403]


def test_draft_exists_for_its_organisers_and_for_no_viewer(cast: Cast) -> None:
    draft = cast.poll(status="draft")
    event = cast.owner.make_event(draft)
    paths = [
        draft["links"]["self"],
        draft["links"]["results"],
        f"/api/v1/join/{draft['join_code']}/",
        members_path(draft),
    ]
    for path in paths:
        assert cast.organiser.get(path).status_code == 200
        assert_problem(cast.viewer.get(path), 404, "not_found")
    listed = [
        [poll["id"] for poll in person.get(event["links"]["self"]).json()["polls"]]
        for person in (cast.owner, cast.organiser, cast.viewer, cast.other)
    ]
    assert listed == [[draft["id"]], [draft["id"]], [], []]
    assert cast.organiser.open(draft).status_code == 200
    assert cast.viewer.read_poll(draft)["role"] == "viewer"


def test_organiser_edits_as_the_owner_would(cast: Cast) -> None:
    draft = cast.poll(status="draft")
    path, options = draft["links"]["self"], texts("Soup", "Rice")
    changed = cast.organiser.patch(path, {"options": options, "results_visibility": "owner"})
    assert changed.status_code == 200
    assert cast.owner.read_poll(draft) == {**changed.json(), "role": "owner"}
    assert changed.json()["owner"] == "alice"


def test_event_takes_no_poll_that_one_only_organises(cast: Cast) -> None:
    poll = cast.poll()
    answer = cast.organiser.post("/api/v1/events/", {"title": "Mine", "polls": [poll["id"]]})
    assert_problem(
        answer,
        400,
        "invalid_event",
        errors=[("polls[0]", "unknown_poll", answer.json()["errors"][0]["detail"])],
    )


# -- coming and going --------------------------------------------------------------------------


def test_members_are_listed_by_name_to_everybody_of_them(cast: Cast) -> None:
    poll = cast.poll()
    expected = {
        "results": [
            {"username": "olga", "role": "organiser"},
            {"username": "viktor", "role": "viewer"},
        ]
    }
    for person in (cast.owner, cast.organiser, cast.viewer):
        assert person.get(members_path(poll)).json() == expected


def test_role_is_given_changed_kept_and_taken_away(alice: Person, bob: Person) -> None:
    poll = alice.make_poll()
    before = alice.read_poll(poll)
    steps = [("viewer", 201), ("viewer", 200), ("organiser", 200)]
    for role, status in steps:
        answer = share(alice, poll, bob, role)
        assert (answer.status_code, answer.json()) == (status, {"username": "bob", "role": role})
        assert bob.read_poll(poll)["role"] == role
    # In whatever case, as one logs in.
    assert alice.delete(members_path(poll, "BOB")).status_code == 204
    assert bob.read_poll(poll)["role"] is None
    assert_problem(alice.delete(members_path(poll, "bob")), 404, "not_found")
    # Nothing that everybody reads of the poll has changed.
    assert alice.read_poll(poll) == before


def test_member_leaves_by_themself(cast: Cast) -> None:
    poll = cast.poll()
    assert cast.viewer.delete(members_path(poll, "Viktor")).status_code == 204
    assert_problem(cast.viewer.delete(members_path(poll, "viktor")), 404, "not_found")
    assert [one.user.username for one in members.members_of(Poll.objects.get().id)] == ["olga"]


def test_owner_is_no_member(alice: Person) -> None:
    poll = alice.make_poll()
    detail = "The owner has all rights already, and no other role."
    for name in ("alice", "Alice"):
        answer = alice.call("PUT", members_path(poll, name), {"role": "viewer"})
        assert_problem(
            answer, 400, "invalid_member", detail=detail, errors=[("username", "owner", detail)]
        )
    assert alice.get(members_path(poll)).json() == {"results": []}
    assert_problem(alice.delete(members_path(poll, "alice")), 404, "not_found")


@pytest.mark.parametrize("body", [{}, {"role": "owner"}, {"role": 1}, {"role": "viewer", "x": 1}])
def test_role_that_there_is_not_is_refused(alice: Person, bob: Person, body: Any) -> None:
    poll = alice.make_poll()
    answer = alice.call("PUT", members_path(poll, "bob"), body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] in {"role", "x"}
    assert bob.read_poll(poll)["role"] is None


def test_poll_has_a_hundred_members_at_most(alice: Person, bob: Person) -> None:
    poll = alice.make_poll()
    crowd = [User(username=f"m{n}", username_key=f"m{n}") for n in range(access.MAX_MEMBERS - 1)]
    now = Poll.objects.get().created_at
    Member.objects.bulk_create(
        Member(poll_id=poll["id"], user=user, role="viewer", changed_at=now)
        for user in User.objects.bulk_create(crowd)
    )
    assert share(alice, poll, bob, "viewer").status_code == 201
    sign_up("late")
    detail = "A poll has 100 members at most."
    assert_problem(
        alice.call("PUT", members_path(poll, "late"), {"role": "viewer"}),
        400,
        "invalid_member",
        detail=detail,
        errors=[("username", "too_many", detail)],
    )
    assert share(alice, poll, bob, "organiser").status_code == 200
    assert alice.get("/api/v1/limits/").json()["limits"]["poll_members"] == 100


def test_bound_holds_for_many_who_come_at_once(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "MAX_MEMBERS", 3)
    poll = alice.make_poll()
    people = [sign_up(f"member{n}") for n in range(8)]

    def come(person: Person) -> int:
        return int(share(alice, poll, person, "viewer").status_code)

    statuses = together(len(people), lambda place: come(people[place]))
    assert sorted(statuses) == [201] * 3 + [400] * 5


def test_membership_ends_with_the_account_and_with_the_poll(cast: Cast) -> None:
    cast.poll()
    assert cast.viewer.user is not None
    cast.viewer.user.delete()
    assert [one.user.username for one in Member.objects.all()] == ["olga"]
    Poll.objects.get().tally.delete()
    with connection.cursor() as cursor:
        for table in ("tally", "option"):
            cursor.execute(f"DELETE FROM polls_{table}")
    Poll.objects.get().delete()
    assert not Member.objects.exists()
    assert User.objects.filter(username="olga").exists()


# -- polls that are shared with somebody -------------------------------------------------------


def test_shared_polls_are_listed_to_their_members_the_newest_first(cast: Cast) -> None:
    first, draft = cast.poll(), cast.poll(status="draft")
    cast.owner.make_poll()
    deleted = cast.poll()
    cast.owner.delete(deleted["links"]["self"])
    own = cast.organiser.make_poll()

    def shared(person: Person) -> list[dict[str, Any]]:
        answer = person.get("/api/v1/polls/shared/").json()
        assert (answer["next"], answer["previous"]) == (None, None)
        found: list[dict[str, Any]] = answer["results"]
        return found

    assert shared(cast.organiser) == [
        {**cast.owner.read_poll(poll), "role": "organiser"} for poll in (draft, first)
    ]
    assert shared(cast.viewer) == [{**cast.owner.read_poll(first), "role": "viewer"}]
    assert shared(cast.owner) == shared(cast.other) == []
    assert_problem(cast.nobody.get("/api/v1/polls/shared/"), 401, "authentication_required")
    mine = cast.organiser.get("/api/v1/polls/").json()["results"]
    assert [(poll["id"], poll["role"]) for poll in mine] == [(own["id"], "owner")]


def test_page_of_shared_polls_takes_no_more_queries_the_longer_it_is(cast: Cast) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert cast.viewer.get("/api/v1/polls/shared/").status_code == 200
        return len(captured)

    cast.poll()
    few = queries()
    for _ in range(5):
        cast.poll(results_visibility="owner")
    assert queries() == few


def test_who_may_see_takes_no_more_queries_the_more_ask(cast: Cast) -> None:
    cast.poll(results_visibility="after_vote")
    poll = Poll.objects.get()
    users = User.objects.order_by("username")
    members_and_others = [Viewer(user.pk, f"device-{user.pk}") for user in users]
    crowd = [Viewer(None, f"device-{number}") for number in range(50)]
    crowd += [Viewer(1_000_000 + number) for number in range(2 * access.MAX_MEMBERS)]

    def queries(viewers: list[Viewer]) -> tuple[int, list[bool]]:
        with CaptureQueriesContext(connection) as captured:
            seen = who_may_see(poll, viewers)
        return len(captured), seen

    few, seen = queries(members_and_others)
    names = [user.username for user, sees in zip(users, seen, strict=True) if sees]
    assert names == ["alice", "olga", "viktor"]
    assert queries(members_and_others + crowd) == (few, seen + [False] * len(crowd))


# -- what nobody learns ------------------------------------------------------------------------


def test_name_that_nobody_has_is_not_found(alice: Person) -> None:
    poll = alice.make_poll()
    for name in ("nobody", "x" * 200, "a%00b", "%F0%9F%8D%95"):
        answer = alice.call("PUT", members_path(poll, name), {"role": "viewer"})
        assert_problem(answer, 404, "not_found", detail="Nobody has this name.")
        assert_problem(alice.delete(members_path(poll, name)), 404, "not_found")


def test_account_that_is_not_active_cannot_be_named_but_taken_out(cast: Cast) -> None:
    poll = cast.poll()
    User.objects.filter(username__in=["viktor", "bob"]).update(is_active=False)
    answer = cast.owner.call("PUT", members_path(poll, "bob"), {"role": "viewer"})
    assert_problem(answer, 404, "not_found", detail="Nobody has this name.")
    assert cast.owner.delete(members_path(poll, "viktor")).status_code == 204


@pytest.fixture
def closed_registration(settings: Any) -> None:
    settings.REGISTRATION = "closed"


@pytest.mark.usefixtures("closed_registration")
def test_names_cannot_be_tried_out_where_nobody_may_register(alice: Person) -> None:
    poll = alice.make_poll()
    for name in ("olga", "viktor", "bob"):
        sign_up(name)

    def add(name: str) -> Any:
        return alice.call("PUT", members_path(poll, name), {"role": "viewer"})

    guesses = together(30, lambda n: add(f"guess{n}").status_code)
    assert sorted(guesses) == [404] * 10 + [429] * 20
    # From then on names that somebody has are told by nothing, either.
    for name in ("bob", "guess99"):
        answer = add(name)
        assert_problem(answer, 429, "too_many")
        assert 3500 < int(answer.headers["Retry-After"]) <= 3600


@pytest.mark.usefixtures("closed_registration")
def test_names_that_somebody_has_cost_no_try(alice: Person, bob: Person) -> None:
    for _ in range(11):
        assert share(alice, alice.make_poll(), bob, "viewer").status_code == 201


def test_names_are_told_freely_where_registering_tells_them(alice: Person) -> None:
    poll = alice.make_poll()
    for number in range(15):
        answer = alice.call("PUT", members_path(poll, f"guess{number}"), {"role": "viewer"})
        assert answer.status_code == 404
