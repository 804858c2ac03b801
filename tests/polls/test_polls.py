"""Polls: reading, listing, changing and deleting them."""

from typing import Any

import pytest

from tests.cast import Fault, Person, assert_problem, sign_up, stored_rows, texts, voter

POLLS = "/api/v1/polls/"
UNKNOWN = "/api/v1/polls/01980c5e-8f00-7000-8000-0000000000a1/"


# -- reading and listing ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", [UNKNOWN, f"{POLLS}x/", f"{POLLS}1/", UNKNOWN.upper(), UNKNOWN[:-1]]
)
def test_unknown_poll_is_not_found(charlie: Person, path: str) -> None:
    assert_problem(charlie.get(path), 404, "not_found")


def test_list_needs_an_account(charlie: Person) -> None:
    answer = charlie.get(POLLS)
    assert_problem(answer, 401, "authentication_required")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_list_holds_the_callers_own_polls_newest_first(alice: Person, bob: Person) -> None:
    first = alice.make_poll(title="1")
    draft = alice.make_poll(title="2", status="draft")
    gone = alice.make_poll(title="3")
    hidden = alice.make_poll(title="4", results_visibility="after_close")
    other = bob.make_poll()
    alice.delete(gone["links"]["self"])
    voter().vote(hidden, 0)
    alice.close(first)
    answer = alice.get(POLLS)
    shown = [alice.read_poll(poll) for poll in (hidden, draft, first)]
    assert answer.json() == {"results": shown, "next": None, "previous": None}
    assert (shown[0]["seq"], shown[0]["ballots"]) == (2, 1)
    assert [poll["id"] for poll in bob.get(POLLS).json()["results"]] == [other["id"]]


def test_list_is_read_to_its_end_and_back_by_cursor(alice: Person) -> None:
    made = [alice.make_poll(title=str(number))["id"] for number in range(52)]
    newest_first = made[::-1]
    page = alice.get(POLLS).json()
    assert [poll["id"] for poll in page["results"]] == newest_first[:50]
    rest = alice.get(page["next"]).json()
    assert [poll["id"] for poll in rest["results"]] == newest_first[50:]
    assert rest["next"] is None
    again = alice.get(rest["previous"]).json()
    assert [poll["id"] for poll in again["results"]] == newest_first[:50]


@pytest.mark.parametrize(
    "cursor",
    [
        *("x", "", "%20", "cD0x", "cD1ub3QrYStkYXRl", "eHl6", "cD0yMDI2LTAxLTAx", "\u00e4"),
        # 9999-12-31 23:59:59-23:59 and 0001-01-01 00:00:00+23:59: no such times in UTC
        *("cD05OTk5LTEyLTMxIDIzOjU5OjU5LTIzOjU5", "cD0wMDAxLTAxLTAxIDAwOjAwOjAwJTJCMjM6NTk="),
    ],
)
def test_cursor_that_was_not_issued_is_refused(alice: Person, cursor: str) -> None:
    errors = [("cursor", "invalid", "Take it from `next` or `previous`.")]
    assert_problem(alice.get(f"{POLLS}?cursor={cursor}"), 400, "malformed", errors=errors)


# -- changing --------------------------------------------------------------------------------


CHANGES: dict[str, Any] = {
    "title": "Dinner?",
    "description": "At seven",
    "kind": "multiple",
    "options": texts("Pizza", "Pho"),
    "min_selections": 2,
    "max_selections": 2,
    "identity": "account",
    "results_visibility": "owner",
    "opens_at": "2098-01-01T00:00:00Z",
    "closes_at": "2099-01-01T00:00:00Z",
    "embed_origins": ["https://example.org"],
}
NEVER_FROZEN = ("title", "description", "results_visibility", "embed_origins")
FROZEN_BY_BALLOTS = ("kind", "options", "min_selections", "max_selections", "identity")


def frozen(*names: str) -> list[Fault]:
    return [(name, "frozen", "It can no longer be changed.") for name in names]


@pytest.mark.parametrize("status", ["draft", "scheduled", "open"])
def test_whole_definition_can_be_changed_before_the_first_ballot(
    alice: Person, status: str
) -> None:
    first = {"scheduled": {"opens_at": "2097-01-01T00:00:00Z"}, "draft": {"status": "draft"}}
    poll = alice.make_poll(**first.get(status, {}))
    changes = dict(CHANGES)
    if status == "open":  # whose opening has been
        del changes["opens_at"]
    answer = alice.patch(poll["links"]["self"], changes)
    assert answer.status_code == 200, answer.content
    changed = answer.json()
    expected = {**poll, **changes, "seq": poll["seq"] + 1}
    # An option that looks the same keeps its id; a new one has its own.
    expected["options"] = [poll["options"][0], {**changed["options"][1], "text": "Pho"}]
    assert changed == expected
    assert changed["options"][1]["id"] != poll["options"][1]["id"]
    assert alice.read_poll(poll) == changed


def test_options_that_change_places_keep_their_ids(alice: Person) -> None:
    poll = alice.make_poll(options=texts("a", "b", "c"))
    by_text = {option["text"]: option["id"] for option in poll["options"]}
    answer = alice.patch(poll["links"]["self"], {"options": texts("C", "a", "d", "b")})
    options = answer.json()["options"]
    assert [option["text"] for option in options] == ["C", "a", "d", "b"]
    assert [option["position"] for option in options] == [0, 1, 2, 3]
    ids = [option["id"] for option in options]
    assert [ids[0], ids[1], ids[3]] == [by_text["c"], by_text["a"], by_text["b"]]
    assert ids[2] not in by_text.values()


def test_most_selections_follow_kind_and_options_unless_they_were_set(alice: Person) -> None:
    poll = alice.make_poll(options=texts("a", "b", "c"))
    path = poll["links"]["self"]
    assert alice.patch(path, {"kind": "approval"}).json()["max_selections"] == 3
    assert alice.patch(path, {"options": texts("a", "b")}).json()["max_selections"] == 2
    assert alice.patch(path, {"max_selections": 1}).json()["max_selections"] == 1
    assert alice.patch(path, {"options": texts("a", "b", "c")}).json()["max_selections"] == 1


@pytest.mark.parametrize("name", FROZEN_BY_BALLOTS)
def test_rule_is_frozen_once_a_ballot_exists(alice: Person, name: str) -> None:
    poll = alice.make_poll(kind="multiple", options=texts("a", "b", "c"), max_selections=3)
    voter().vote(poll, 0)
    before, rows = alice.read_poll(poll), stored_rows()
    changes = {**CHANGES, "kind": "approval", "max_selections": 2}
    answer = alice.patch(poll["links"]["self"], {name: changes[name], "title": "Dinner?"})
    assert_problem(answer, 409, "poll_frozen", errors=frozen(name))
    assert (alice.read_poll(poll), stored_rows()) == (before, rows)


@pytest.mark.parametrize("name", [*NEVER_FROZEN, "closes_at"])
def test_rest_of_the_definition_can_be_changed_after_ballots(alice: Person, name: str) -> None:
    poll = alice.make_poll()
    voter().vote(poll, 0)
    answer = alice.patch(poll["links"]["self"], {name: CHANGES[name]})
    assert answer.status_code == 200
    assert answer.json() == {**poll, name: CHANGES[name], "seq": 3, "ballots": 1}


def test_frozen_rule_may_be_sent_again_as_it_stands(alice: Person) -> None:
    poll = alice.make_poll()
    voter().vote(poll, 0)
    same = {name: poll[name] for name in FROZEN_BY_BALLOTS if name != "options"}
    same["options"] = texts("Pizza", "Sushi")
    answer = alice.patch(poll["links"]["self"], {**same, "network_cap": None})
    assert (answer.status_code, answer.json()) == (200, {**poll, "seq": 2, "ballots": 1})


def test_opening_time_is_frozen_once_the_poll_is_open(alice: Person) -> None:
    poll = alice.make_poll()
    answer = alice.patch(poll["links"]["self"], {"opens_at": "2099-01-01T00:00:00Z"})
    assert_problem(answer, 409, "poll_frozen", errors=frozen("opens_at"))
    assert alice.read_poll(poll) == poll


@pytest.mark.parametrize("name", ["opens_at", "closes_at"])
def test_times_are_frozen_once_the_poll_is_closed(alice: Person, name: str) -> None:
    poll = alice.make_poll()
    closed = alice.close(poll).json()
    answer = alice.patch(poll["links"]["self"], {name: "2099-01-01T00:00:00Z"})
    assert_problem(answer, 409, "poll_frozen", errors=frozen(name))
    assert alice.read_poll(poll) == closed


@pytest.mark.parametrize("name", NEVER_FROZEN)
def test_wording_and_visibility_can_be_changed_after_closing(alice: Person, name: str) -> None:
    poll = alice.make_poll()
    voter().vote(poll, 0)
    closed = alice.close(poll).json()
    answer = alice.patch(poll["links"]["self"], {name: CHANGES[name]})
    assert answer.json() == {**closed, name: CHANGES[name], "seq": closed["seq"] + 1}


def test_change_of_nothing_leaves_the_version(alice: Person) -> None:
    poll = alice.make_poll()
    for changes in ({}, {"title": "Lunch?"}):
        answer = alice.patch(poll["links"]["self"], changes)
        assert (answer.status_code, answer.json()) == (200, poll)


@pytest.mark.parametrize(
    ("changes", "errors"),
    [
        ({"title": ""}, [("title", "blank", "There is nothing to read in it.")]),
        (
            {"options": texts("a", "A")},
            [("options[1].text", "repeated", "It looks the same as options[0].")],
        ),
        (
            {"max_selections": 2},
            [("max_selections", "single", "A single-choice poll takes exactly one.")],
        ),
        ({"closes_at": "2001-01-01T00:00:00Z"}, [("closes_at", "passed", "It must lie ahead.")]),
        (
            {"closes_at": "2098-01-01T00:00:00Z"},
            [("closes_at", "before_opens_at", "It must lie after opens_at.")],
        ),
        (
            {"identity": "open", "results_visibility": "after_vote"},
            [
                (
                    "results_visibility",
                    "open_identity",
                    "An open poll knows no voter to show them to.",
                )
            ],
        ),
    ],
)
def test_change_that_makes_a_poll_impossible_is_refused(
    alice: Person, changes: dict[str, Any], errors: list[Fault]
) -> None:
    poll = alice.make_poll(opens_at="2098-01-01T00:00:00Z")
    before = stored_rows()
    answer = alice.patch(poll["links"]["self"], changes)
    assert_problem(answer, 400, "invalid_poll", errors=errors)
    assert (alice.read_poll(poll), stored_rows()) == (poll, before)


def test_status_is_not_changed_by_patching(alice: Person) -> None:
    poll = alice.make_poll(status="draft")
    answer = alice.patch(poll["links"]["self"], {"status": "open"})
    errors = [("status", "unknown_field", "There is no such field.")]
    assert_problem(answer, 400, "malformed", errors=errors)
    assert alice.read_poll(poll)["status"] == "draft"


# -- deleting --------------------------------------------------------------------------------


def test_deleted_poll_is_gone_for_everybody_on_every_route(alice: Person) -> None:
    poll = alice.make_poll()
    somebody, path = voter(), poll["links"]["self"]
    somebody.vote(poll, 0)
    answer = alice.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    choices = {"choices": [poll["options"][0]["id"]]}
    for person in (alice, somebody, sign_up("carol")):
        for method, route, body in (
            ("GET", path, None),
            ("GET", f"{path}results/", None),
            ("GET", f"{path}timeline/", None),
            ("GET", f"{path}integrity/", None),
            ("GET", f"{path}votes/", None),
            ("POST", f"{path}votes/", choices),
            ("PUT", f"{path}votes/", choices),
            ("DELETE", f"{path}votes/", None),
            ("GET", f"/api/v1/join/{poll['join_code']}/", None),
            ("POST", "/api/v1/live-tickets/", {"polls": [poll["id"]]}),
        ):
            assert_problem(person.call(method, route, body), 404, "not_found")
        assert person.get(poll["links"]["page"]).status_code == 404
    owners: list[tuple[str, str, Any]] = [
        ("PATCH", path, {"title": "x"}),
        ("DELETE", path, None),
        ("POST", f"{path}open/", None),
        ("POST", f"{path}close/", None),
        ("POST", f"{path}reset/", None),
        ("POST", f"{path}codes/", {"count": 1}),
    ]
    for method, route, body in owners:
        assert_problem(alice.call(method, route, body), 404, "not_found")
