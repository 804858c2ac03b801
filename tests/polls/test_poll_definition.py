"""What a poll may be: its defaults, its rules, and the texts of its options."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from polls.ids import JOIN_CODE_ALPHABET, JOIN_CODE_LENGTH
from polls.models import Option, Poll
from tests.cast import NEW_POLL, Fault, Person, assert_problem, stored_rows, texts

POLLS = "/api/v1/polls/"


# -- making ----------------------------------------------------------------------------------


def test_poll_of_a_title_and_options_has_the_documented_defaults(alice: Person) -> None:
    before = datetime.now(UTC)
    answer = alice.post(POLLS, NEW_POLL)
    poll = answer.json()
    path = f"/api/v1/polls/{poll['id']}/"
    assert (answer.status_code, answer.headers["Location"]) == (201, path)
    row = Poll.objects.get(id=poll["id"])
    created = row.created_at.isoformat().replace("+00:00", "Z")
    assert abs(row.created_at - before) < timedelta(minutes=1)
    assert poll == {
        "id": str(row.id),
        "join_code": row.join_code,
        "owner": "alice",
        "title": "Lunch?",
        "description": "",
        "kind": "single",
        "options": [
            {"id": str(option.id), "text": text, "position": position}
            for position, (option, text) in enumerate(
                zip(row.options.all(), ("Pizza", "Sushi"), strict=True)
            )
        ],
        "min_selections": 1,
        "max_selections": 1,
        "identity": "device",
        "network_cap": None,
        "secrecy": "confidential",
        "results_visibility": "always",
        "status": "open",
        "opens_at": None,
        "closes_at": None,
        "allow_change": False,
        "embed_origins": [],
        "created_at": created,
        "opened_at": created,
        "closed_at": None,
        "seq": 1,
        "ballots": 0,
        "role": "owner",
        "links": {
            "self": path,
            "vote": f"{path}votes/",
            "results": f"{path}results/",
            "live": f"/ws/polls/{row.id}/",
            "page": f"/p/{row.join_code}",
        },
    }
    assert UUID(poll["id"]).version == 7
    assert {UUID(option["id"]).version for option in poll["options"]} == {7}
    assert len(row.join_code) == JOIN_CODE_LENGTH
    assert set(row.join_code) <= set(JOIN_CODE_ALPHABET)


def test_poll_reads_as_it_was_made(alice: Person, charlie: Person) -> None:
    fields = {
        "title": "Dinner?",
        "description": "For *everybody*\nwho comes",
        "kind": "multiple",
        "options": texts("Pizza", "Sushi", "Pho"),
        "min_selections": 2,
        "max_selections": 3,
        "identity": "account",
        "network_cap": None,
        "secrecy": "confidential",
        "results_visibility": "after_close",
        "status": "open",
        "opens_at": "2099-01-31T20:00:00Z",
        "closes_at": "2099-01-31T22:00:00.500000Z",
        "allow_change": False,
        "embed_origins": ["https://example.org", "http://localhost:8080", "https://[::1]:8443"],
    }
    poll = alice.post(POLLS, fields).json()
    shown = {**poll, "options": [{"text": option["text"]} for option in poll["options"]]}
    expected = {**fields, "status": "scheduled"}
    assert {name: shown[name] for name in fields} == expected
    assert alice.read_poll(poll) == poll
    # Whoever may not see results learns nothing from the poll either.
    assert charlie.read_poll(poll) == {**poll, "seq": None, "ballots": None, "role": None}


@pytest.mark.parametrize(("kind", "most"), [("single", 1), ("multiple", 3), ("approval", 3)])
def test_most_selections_default_to_what_the_kind_allows(
    alice: Person, kind: str, most: int
) -> None:
    poll = alice.make_poll(kind=kind, options=texts("a", "b", "c"))
    assert (poll["min_selections"], poll["max_selections"]) == (1, most)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, "open"),
        ({"status": "draft"}, "draft"),
        ({"status": "draft", "opens_at": "2099-01-01T00:00:00Z"}, "draft"),
        ({"opens_at": "2099-01-01T00:00:00Z"}, "scheduled"),
        ({"opens_at": "2001-01-01T00:00:00Z"}, "open"),
        ({"opens_at": "2099-01-01T01:00:00+01:00"}, "scheduled"),
    ],
    ids=str,
)
def test_status_of_a_new_poll_follows_from_draft_and_opening(
    alice: Person, fields: dict[str, str], status: str
) -> None:
    poll = alice.make_poll(**fields)
    assert poll["status"] == status
    assert (poll["opened_at"] is not None) == (status == "open")


def test_longest_definition_is_stored(alice: Person) -> None:
    # Eighteen characters each after NFKC: no text expands further.
    longest = [chr(0xFDFA) * 199 + chr(0x4E00 + place) for place in range(100)]
    poll = alice.make_poll(
        title="x" * 200, description="y" * 10_000, options=texts(*longest), kind="approval"
    )
    assert [option["text"] for option in alice.read_poll(poll)["options"]] == longest


RANGE = "It lies between 1 and the number of options."
ORIGIN = "It must be like https://example.org."
ONE_CHOICE = ("max_selections", "single", "A single-choice poll takes exactly one.")
BLANK = "There is nothing to read in it."


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"title": ""}, [("title", "blank", BLANK)]),
        ({"title": " \t\n"}, [("title", "blank", BLANK)]),
        ({"title": "\u200b\ufeff"}, [("title", "blank", BLANK)]),
        ({"title": "x" * 201}, [("title", "too_long", "It may have 200 characters at most.")]),
        (
            {"description": "x" * 10_001},
            [("description", "too_long", "It may have 10000 characters at most.")],
        ),
        ({"options": []}, [("options", "count", "A poll has 2 to 100 options.")]),
        ({"options": texts("a")}, [("options", "count", "A poll has 2 to 100 options.")]),
        (
            {"options": texts(*map(str, range(101)))},
            [("options", "count", "A poll has 2 to 100 options.")],
        ),
        (
            {"options": texts("x" * 201, "b")},
            [("options[0].text", "too_long", "It may have 200 characters at most.")],
        ),
        ({"kind": "plurality"}, [("kind", "invalid_choice", '"plurality" is not a valid choice.')]),
        ({"kind": ""}, [("kind", "invalid_choice", '"" is not a valid choice.')]),
        ({"status": "closed"}, [("status", "invalid_choice", '"closed" is not a valid choice.')]),
        ({"max_selections": 2}, [ONE_CHOICE]),
        ({"max_selections": 0}, [ONE_CHOICE]),
        ({"kind": "multiple", "max_selections": 3}, [("max_selections", "out_of_range", RANGE)]),
        ({"kind": "multiple", "max_selections": 0}, [("max_selections", "out_of_range", RANGE)]),
        (
            {"kind": "multiple", "max_selections": 2**63 - 1},
            [("max_selections", "out_of_range", RANGE)],
        ),
        (
            {"kind": "multiple", "min_selections": 2, "max_selections": 1},
            [("min_selections", "out_of_range", "It lies between 1 and max_selections.")],
        ),
        (
            {"min_selections": 0},
            [("min_selections", "out_of_range", "It lies between 1 and max_selections.")],
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
        (
            {"identity": "open", "allow_change": True},
            [
                (
                    "allow_change",
                    "open_identity",
                    "An open poll knows no voter whose vote to change.",
                )
            ],
        ),
        (
            {"secrecy": "secret", "allow_change": True},
            [("allow_change", "secret", "A secret poll cannot tell whose ballot to change.")],
        ),
        (
            {"identity": "account", "network_cap": 3},
            [("network_cap", "identity", "A cap goes with identity `device`.")],
        ),
        ({"closes_at": "2001-01-01T00:00:00Z"}, [("closes_at", "passed", "It must lie ahead.")]),
        (
            {"opens_at": "2099-01-01T00:00:00Z", "closes_at": "2099-01-01T00:00:00Z"},
            [("closes_at", "before_opens_at", "It must lie after opens_at.")],
        ),
        *(
            (
                {"embed_origins": ["https://ok.example", origin]},
                [("embed_origins[1]", "origin", ORIGIN)],
            )
            for origin in (
                "",
                "*",
                "example.org",
                "ftp://example.org",
                "https://",
                "https://example.org/",
                "https://example.org/page",
                "https://*.example.org",
                "https://user@example.org",
                "https://example.org:port",
                "https://example.org;script-src *",
                "https://example.org https://evil.example",
            )
        ),
        (
            {"embed_origins": ["https://example.org"] * 21},
            [("embed_origins", "too_many", "There may be 20 of them at most.")],
        ),
        (
            {"title": "", "options": texts("a", "A", ""), "max_selections": 9},
            [
                ("title", "blank", BLANK),
                ("options[1].text", "repeated", "It looks the same as options[0]."),
                ("options[2].text", "blank", BLANK),
                ONE_CHOICE,
            ],
        ),
    ],
)
def test_definition_that_cannot_be_is_refused_naming_every_field(
    alice: Person, fields: dict[str, Any], errors: list[Fault]
) -> None:
    before = stored_rows()
    answer = alice.post(POLLS, {**NEW_POLL, **fields})
    assert_problem(answer, 400, "invalid_poll", errors=errors)
    assert stored_rows() == before


@pytest.mark.parametrize("missing", ["title", "options"])
def test_definition_without_title_or_options_is_refused(alice: Person, missing: str) -> None:
    body = {name: value for name, value in NEW_POLL.items() if name != missing}
    errors = [(missing, "required", "This field is required.")]
    assert_problem(alice.post(POLLS, body), 400, "invalid_poll", errors=errors)


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"kind": "ranked"}, ["kind"]),
        ({"kind": "score"}, ["kind"]),
    ],
    ids=str,
)
def test_value_that_is_not_offered_yet_is_refused_by_name(
    alice: Person, fields: dict[str, Any], names: list[str]
) -> None:
    poll, before = alice.make_poll(), stored_rows()
    errors = [(name, "not_available", "This value is not offered yet.") for name in names]
    answer = alice.post(POLLS, {**NEW_POLL, **fields})
    assert_problem(answer, 400, "not_available", errors=errors)
    assert stored_rows() == before
    answer = alice.patch(poll["links"]["self"], fields)
    assert_problem(answer, 400, "not_available", errors=errors)
    assert alice.read_poll(poll) == poll


# -- texts of options ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Pizza", "Pizza"),
        ("Pizza", "pIZZA"),
        ("stra\u00dfe", "STRASSE"),
        ("caf\u00e9", "cafe\u0301"),  # composed and combining
        ("Pizza", "\uff30izza"),  # full width
        ("Pizza", "Pi\u200bzza"),  # zero-width space
        ("Pizza", "Pi\u200dzza"),  # zero-width joiner
        ("Pizza", "Pi\u00adzza"),  # soft hyphen
        ("Pizza", "\u2066Pizza\u2069"),  # isolates
        ("Pizza", "\ufeffPizza"),  # byte order mark
        ("Pizza", "Pizza\ufe0f"),  # variation selector
        ("Pizza", "Pizza\u180b"),  # Mongolian variation selector
        ("Pizza", "Pi\u034fzza"),  # combining grapheme joiner
        ("Pizza", "Pizza\U000e0041"),  # tag letter
        ("Pizza", "Pizza\u3164"),  # Hangul filler
        ("Pizza", " Pizza  "),
        ("Pizza Roma", "Pizza\u00a0 Roma"),  # no-break space
        ("Pizza Roma", "Pizza\tRoma"),
        ("\u00bd", "1\u20442"),  # one half, and the same with a fraction slash
        ("ff", "\ufb00"),  # ligature
    ],
)
def test_row_29_options_that_look_the_same_are_refused(alice: Person, one: str, other: str) -> None:
    before = stored_rows()
    answer = alice.post(POLLS, {**NEW_POLL, "options": texts("Sushi", one, other)})
    errors = [("options[2].text", "repeated", "It looks the same as options[1].")]
    assert_problem(answer, 400, "invalid_poll", errors=errors)
    assert stored_rows() == before


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\u3000\u2003",
        "\u200b",
        "\u2060\ufeff",
        "\u00ad",
        "\u202e\u202c",
        "\u034f",
        "\ufe0f",
        "\u180b",
        "\u3164",
        "\uffa0",
        "\u2800",
        "\U000e0001\U000e0041",
        "\x01\x7f",
    ],
)
def test_row_29_option_of_nothing_visible_is_refused(alice: Person, text: str) -> None:
    before = stored_rows()
    answer = alice.post(POLLS, {**NEW_POLL, "options": texts("Pizza", text)})
    errors = [("options[1].text", "blank", BLANK)]
    assert_problem(answer, 400, "invalid_poll", errors=errors)
    assert stored_rows() == before


def test_options_that_look_different_are_taken(alice: Person) -> None:
    # The pink heart is younger than some Pythons: unassigned to them, seen by everybody.
    options = ["resume", "r\u00e9sum\u00e9", "\u2764", "\U0001fa77", "\U0001fa75", "0", "O", "o0"]
    options += ["\u05e9\u05dc\u05d5\u05dd", "\u4f60\u597d", "a b", "ab", "2", "\u2082x"]
    poll = alice.make_poll(options=texts(*options))
    assert [option["text"] for option in poll["options"]] == options


def test_options_of_a_poll_keep_their_order(alice: Person) -> None:
    names = [f"option {number}" for number in range(12)]
    poll = alice.make_poll(options=texts(*names))
    rows = Option.objects.filter(poll_id=poll["id"]).order_by("position")
    assert [row.text for row in rows] == [option["text"] for option in poll["options"]] == names
