"""GET /api/v1/join/{code}/ and GET /api/v1/limits/, whose every word is held to."""

from typing import Any

import pytest

from polls.enums import Identity, Kind, Secrecy, Visibility
from tests.cast import NEW_POLL, Person, assert_problem, texts, voter

LIMITS = "/api/v1/limits/"


def join(code: str) -> str:
    return f"/api/v1/join/{code}/"


# -- join codes ------------------------------------------------------------------------------


def test_join_code_leads_to_its_poll_in_either_case(alice: Person, charlie: Person) -> None:
    poll = alice.make_poll()
    code = poll["join_code"]
    for person in (alice, charlie, voter()):
        for typed in (code, code.lower(), code.capitalize()):
            answer = person.get(join(typed))
            assert answer.status_code == 200
            assert answer.json() == {"type": "poll", "poll": person.read_poll(poll)}
            assert answer.headers["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    "code",
    [
        *("AAAAAA", "x", "0", "%20", "{code}A", "A{code}", " {code}", "{short}", "A" * 5000),
        *("\u00e4", "\u202e", "%F0%9F%8D%95", "%2e%2e", "{code}%0a", "'%20OR%201=1--"),
    ],
)
def test_code_that_leads_nowhere_is_not_found(alice: Person, code: str) -> None:
    known = alice.make_poll()["join_code"]
    path = join(code.format(code=known, short=known[:5]))
    assert_problem(Person().get(path), 404, "not_found")


def test_code_of_a_draft_is_its_owners_alone(alice: Person, bob: Person) -> None:
    poll = alice.make_poll(status="draft")
    for person in (bob, voter(), Person()):
        assert_problem(person.get(join(poll["join_code"])), 404, "not_found")
    assert alice.get(join(poll["join_code"])).json() == {"type": "poll", "poll": poll}


def test_code_of_a_closed_poll_still_leads_to_it(alice: Person) -> None:
    poll = alice.make_poll()
    closed = alice.close(poll).json()
    assert Person().get(join(poll["join_code"])).json() == {
        "type": "poll",
        "poll": {**closed, "role": None},
    }


def test_every_poll_has_a_code_of_its_own(alice: Person) -> None:
    codes = {alice.make_poll()["join_code"] for _ in range(20)}
    assert len(codes) == 20


# -- limits ----------------------------------------------------------------------------------


def test_limits_are_public_and_complete(charlie: Person) -> None:
    answer = charlie.get(LIMITS)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    assert "Vary" not in answer.headers
    assert answer.json() == {
        "limits": {
            "username_characters": 150,
            "email_characters": 254,
            "password_characters_min": 8,
            "token_name_characters": 100,
            "polls_per_page": 50,
            "title_characters": 200,
            "description_characters": 10_000,
            "options_min": 2,
            "options_max": 100,
            "option_text_characters": 200,
            "network_cap_max": 1_000_000,
            "codes_per_call": 10_000,
            "codes_per_poll": 100_000,
            "embed_origins": 20,
            "poll_members": 100,
            "event_polls": 100,
            "events_per_page": 50,
            "idempotency_key_characters_min": 16,
            "idempotency_key_characters_max": 255,
            "head_bytes": 32 * 1024,
            "head_headers": 128,
            "head_seconds": 10,
            "vote_body_bytes": 64 * 1024,
            "body_bytes": 1024 * 1024,
            "body_seconds": 10,
            "json_depth": 16,
            "requests_per_process": 264,
            "request_milliseconds": 4500,
            "queued_votes_per_process": 10_000,
            "reset_marks": 100_000,
            "changes_with_known_keys": 8,
            "key_retention_days": 90,
            "poll_retention_days": 0,
            "timeline_buckets": 300,
            "timeline_secret_ballots_min": 5,
            "ticket_seconds": 60,
            "ticket_polls": 100,
            "sockets_per_process": 20_000,
            "socket_message_bytes": 4096,
            "socket_messages_per_10_seconds": 100,
            "socket_polls": 100,
            "tick_milliseconds": 100,
        },
        "rates": {
            "logins_from_source": {"times": 20_000, "seconds": 600},
            "failed_logins_from_source": {"times": 100, "seconds": 60},
            "failed_logins_of_account": {"times": 10, "seconds": 300},
            "tokens_of_account": {"times": 600, "seconds": 600},
            "sign_ups_from_source": {"times": 20_000, "seconds": 600},
            "password_changes_of_account": {"times": 10, "seconds": 60},
            "password_resets_from_source": {"times": 20, "seconds": 60},
            "password_resets_of_address": {"times": 5, "seconds": 60},
            "polls_of_account": {"times": 6000, "seconds": 600},
            "tickets_from_source": {"times": 20_000, "seconds": 60},
            "unknown_names_of_account": {"times": 10, "seconds": 3600},
            "failed_codes_from_source": {"times": 100, "seconds": 60},
            "failed_codes_of_poll": {"times": 1000, "seconds": 60},
        },
        "not_available": {
            "kind": ["ranked", "score"],
        },
    }


def test_limits_ask_for_nobodys_credentials(charlie: Person) -> None:
    # A program whose token has ended still finds out what it may send.
    answer = charlie.get(LIMITS, Authorization="Bearer stale", X_Voter_Token="x")
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("kind", Kind.values),
        ("identity", Identity.values),
        ("secrecy", Secrecy.values),
        ("results_visibility", Visibility.values),
        ("allow_change", [False, True]),
        ("network_cap", [None, 1, 1000]),
    ],
)
def test_value_is_refused_as_not_available_exactly_where_limits_say_so(
    alice: Person, name: str, values: list[Any]
) -> None:
    listed = alice.get(LIMITS).json()["not_available"].get(name, [])
    for value in values:
        answer = alice.post("/api/v1/polls/", {**NEW_POLL, name: value})
        if value in listed or (listed == ["any number"] and value is not None):
            detail = "This value is not offered yet."
            errors = [(name, "not_available", detail)]
            assert_problem(answer, 400, "not_available", errors=errors)
        else:
            assert (answer.status_code, answer.json()[name]) == (201, value)


def test_limits_of_texts_hold_to_the_character(alice: Person) -> None:
    limits = alice.get(LIMITS).json()["limits"]
    pizza = "\U0001f355"  # one character, four bytes
    for name in ("title", "description"):
        most = limits[f"{name}_characters"]
        made = alice.post("/api/v1/polls/", {**NEW_POLL, name: pizza * most})
        assert (made.status_code, made.json()[name]) == (201, pizza * most)
        longer = alice.post("/api/v1/polls/", {**NEW_POLL, name: pizza * (most + 1)})
        errors = [(name, "too_long", f"It may have {most} characters at most.")]
        assert_problem(longer, 400, "invalid_poll", errors=errors)
    most = limits["option_text_characters"]
    for number, status in ((most, 201), (most + 1, 400)):
        body = {**NEW_POLL, "options": texts(pizza * number, "Sushi")}
        assert alice.post("/api/v1/polls/", body).status_code == status


def test_limits_of_options_hold_to_the_option(alice: Person) -> None:
    limits = alice.get(LIMITS).json()["limits"]
    for number, status in (
        (limits["options_min"] - 1, 400),
        (limits["options_min"], 201),
        (limits["options_max"], 201),
        (limits["options_max"] + 1, 400),
    ):
        body = {**NEW_POLL, "options": texts(*map(str, range(number)))}
        assert alice.post("/api/v1/polls/", body).status_code == status
