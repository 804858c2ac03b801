"""Every field takes its documented type alone: no text for a number, no 1 for true, no null."""

import pytest

from tests.cast import Fault, assert_problem
from tests.polls.doors import Stage

WRONG: dict[str, tuple[list[str], str]] = {
    "text": (["1", "1.0", "true", "[]", "{}", '["x"]'], "It must be a text."),
    "number": (
        ['"1"', '""', "1.0", "1e0", "true", "false", "[]", "{}", "[1]"],
        "It must be a whole number.",
    ),
    "flag": (['"true"', '""', "1", "0", "1.0", "[]", "{}"], "It must be true or false."),
    "choices": (
        [
            '"x"',
            "1",
            "true",
            "null",
            "{}",
            "[1]",
            "[null]",
            "[true]",
            "[{}]",
            '[["x", 1]]',
            '["x", 1.0]',
        ],
        "It must be a list of option ids.",
    ),
    "scores": (
        ['"x"', "1", "true", "null", "[]", '{"x": "5"}', '{"x": 5.0}', '{"x": true}', '{"x": [5]}'],
        "It must be an object of option ids and whole numbers.",
    ),
    "vote code": (["1", "null", "true", "[]", "{}"], "It must be a text."),
}
_POLL_TYPES = {
    "text": "title description kind identity secrecy results_visibility opens_at closes_at",
    "number": "min_selections max_selections network_cap",
    "flag": "allow_change",
}
TYPES: dict[str, dict[str, str]] = {
    "register": {"text": "username password email"},
    "tokens": {"text": "username password name"},
    "erase": {"text": "password"},
    "new poll": {**_POLL_TYPES, "text": f"{_POLL_TYPES['text']} status"},
    "change": _POLL_TYPES,
    "codes": {"number": "count"},
    "new event": {"text": "title current"},
    "change of event": {"text": "title current"},
    "vote": {"choices": "choices", "scores": "scores", "vote code": "code"},
    "other vote": {"choices": "choices", "scores": "scores", "vote code": "code"},
}
# What each call needs besides the field that is wrong.
NEEDED = {
    "register": {"username": '"dora"', "password": '"correct horse battery"'},
    "tokens": {"username": '"dora"', "password": '"correct horse battery"'},
    "new event": {"title": '"An evening"'},
    "new poll": {"title": '"Lunch?"', "options": '[{"text": "a"}, {"text": "b"}]'},
}


def with_field(door: str, name: str, value: str) -> bytes:
    fields = {**NEEDED.get(door, {}), name: value}
    return ("{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}").encode()


@pytest.mark.parametrize(
    ("door", "name", "kind"),
    [
        (door, name, kind)
        for door, kinds in TYPES.items()
        for kind, names in kinds.items()
        for name in names.split()
    ],
)
def test_row_17_31_value_of_another_type_is_malformed(
    stage: Stage, door: str, name: str, kind: str
) -> None:
    values, detail = WRONG[kind]
    errors = [(name, "wrong_type", detail)]
    for value in values:
        answer = stage.send(door, with_field(door, name, value))
        sentence = detail if "vote" in door else ""
        assert_problem(answer, 400, "malformed", detail=sentence, errors=errors)


@pytest.mark.parametrize(
    ("door", "names"),
    [
        ("register", "username password email"),
        ("tokens", "username password name"),
        ("erase", "password"),
        (
            "new poll",
            (
                "title description kind options min_selections max_selections identity secrecy "
                "results_visibility status allow_change embed_origins"
            ),
        ),
        ("change", "title options min_selections identity allow_change embed_origins"),
        ("codes", "count"),
        ("ticket", "polls"),
    ],
)
def test_null_is_malformed_where_it_means_nothing(stage: Stage, door: str, names: str) -> None:
    for name in names.split():
        answer = stage.send(door, with_field(door, name, "null"))
        errors = [(name, "null", "This field may not be null.")]
        assert_problem(answer, 400, "malformed", errors=errors)


def list_error(name: str, kind: str) -> Fault:
    return (name, "not_a_list", f'Expected a list of items but got type "{kind}".')


NO_OBJECT = "Invalid data. Expected a dictionary, but got {}."


@pytest.mark.parametrize("door", ["new poll", "change"])
@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("options", '"x"', list_error("options", "str")),
        ("options", "{}", list_error("options", "dict")),
        ("options", "1", list_error("options", "int")),
        ("options", '["a", {"text": "b"}]', ("options[0]", "invalid", NO_OBJECT.format("str"))),
        ("options", '[{"text": "a"}, 1]', ("options[1]", "invalid", NO_OBJECT.format("int"))),
        ("options", '[{"text": "a"}, []]', ("options[1]", "invalid", NO_OBJECT.format("list"))),
        (
            "options",
            '[{"text": "a"}, {"text": 1}]',
            ("options[1].text", "wrong_type", "It must be a text."),
        ),
        (
            "options",
            '[{"text": null}, {"text": "b"}]',
            ("options[0].text", "null", "This field may not be null."),
        ),
        (
            "options",
            '[{"text": "a"}, {"text": "b", "position": 1}]',
            ("options[1].position", "unknown_field", "There is no such field."),
        ),
        ("embed_origins", '"https://example.org"', list_error("embed_origins", "str")),
        ("embed_origins", "{}", list_error("embed_origins", "dict")),
        ("embed_origins", "[1]", ("embed_origins[0]", "wrong_type", "It must be a text.")),
        (
            "embed_origins",
            "[null]",
            ("embed_origins[0]", "null", "This field may not be null."),
        ),
    ],
)
def test_list_of_something_else_is_malformed(
    stage: Stage, door: str, name: str, value: str, error: Fault
) -> None:
    answer = stage.send(door, with_field(door, name, value))
    assert_problem(answer, 400, "malformed", errors=[error])


@pytest.mark.parametrize("door", ["new poll", "change"])
@pytest.mark.parametrize(
    "value",
    [
        *("", "now", "1893456000", "2030-01-31", "2030-01-31T20:00:00", "2030-01-31 20:00:00Z"),
        *("2030-02-30T20:00:00Z", "2030-01-31T20:60:00Z", "2030-01-31T20:00:00+25:00"),
        *("2030-01-31T20:00Z", "20300131T200000Z", "2030-W05-4T20:00:00Z"),
        *("2030-01-31T20:00:00.Z", "\u0662030-01-31T20:00:00Z", " 2030-01-31T20:00:00Z"),
        *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "-2030-01-31T20:00:00Z"),
    ],
)
def test_time_without_its_offset_or_out_of_the_calendar_is_refused(
    stage: Stage, door: str, value: str
) -> None:
    answer = stage.send(door, with_field(door, "closes_at", f'"{value}"'))
    errors = [("closes_at", "format", "It must be a time like 2030-01-31T20:00:00Z.")]
    assert_problem(answer, 400, "invalid_poll", errors=errors)
