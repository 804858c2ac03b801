"""Every door that takes JSON refuses what cannot be read, by name, and stores nothing.

Over the wire against a real server, whose own database is counted before and after.
"""

import pytest

from tests.cast import assert_problem
from tests.polls.doors import ANY_DOOR, BODILESS, DOORS, Stage

# -- bodies that are no JSON object ------------------------------------------------------------

NOT_JSON = "The body is not JSON."
NOT_AN_OBJECT = "The body must be one JSON object."
TWICE = "A JSON object holds the same key twice."
BITS = "A number has more than 64 bits."
DEEP = "The JSON is nested more than 16 deep."
NUL = "A text holds a NUL character."
HALF = "A text holds half a surrogate pair."

UNREADABLE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", NOT_AN_OBJECT),
    "blank": (b" \n", NOT_JSON),
    "list": (b"[]", NOT_AN_OBJECT),
    "list of objects": (b'[{"title": "x"}]', NOT_AN_OBJECT),
    "text": (b'"x"', NOT_AN_OBJECT),
    "number": (b"1", NOT_AN_OBJECT),
    "null": (b"null", NOT_AN_OBJECT),
    "true": (b"true", NOT_AN_OBJECT),
    "cut short": (b'{"x": ', NOT_JSON),
    "two objects": (b"{}{}", NOT_JSON),
    "trailing comma": (b'{"x": 1,}', NOT_JSON),
    "single quotes": (b"{'x': 1}", NOT_JSON),
    "bare key": (b"{x: 1}", NOT_JSON),
    "comment": (b'{"x": 1 /* one */}', NOT_JSON),
    "leading nought": (b'{"x": 01}', NOT_JSON),
    "bare fraction": (b'{"x": .5}', NOT_JSON),
    "hexadecimal": (b'{"x": 0x1}', NOT_JSON),
    "line break in a text": (b'{"x": "a\nb"}', NOT_JSON),
    "raw NUL": (b'{"x": "a\0b"}', NOT_JSON),
    "NUL after the object": (b"{}\0", NOT_JSON),
    "form": (b"title=Lunch%3F", NOT_JSON),
    "same key twice": (b'{"x": 1, "x": 1}', TWICE),
    "same key twice, escaped": (b'{"x": 1, "\\u0078": 1}', TWICE),
    "same key twice, deep down": (b'{"x": [{"y": 1, "y": 2}]}', TWICE),
    "65 bits": (b'{"x": 9223372036854775808}', BITS),
    "minus 65 bits": (b'{"x": -9223372036854775809}', BITS),
    "five thousand digits": (b'{"x": %s}' % (b"9" * 5000), BITS),
    "1e999": (b'{"x": 1e999}', "A number is too large."),
    "-1e999": (b'{"x": -1e999}', "A number is too large."),
    "NaN": (b'{"x": NaN}', "NaN is not JSON."),
    "Infinity": (b'{"x": Infinity}', "Infinity is not JSON."),
    "-Infinity": (b'{"x": [-Infinity]}', "-Infinity is not JSON."),
    "NUL in a text": (b'{"x": "a\\u0000b"}', NUL),
    "NUL in a key": (b'{"a\\u0000b": 1}', NUL),
    "high surrogate": (b'{"x": "\\ud800"}', HALF),
    "low surrogate": (b'{"x": ["\\udc00"]}', HALF),
    "surrogates the wrong way round": (b'{"\\udc00\\ud800": 1}', HALF),
    "surrogate in UTF-8": (b'{"x": "\xed\xa0\x80"}', "The body is not UTF-8."),
    "latin-1": (b'{"x": "\xe4"}', "The body is not UTF-8."),
    "overlong UTF-8": (b'{"x": "\xc0\xaf"}', "The body is not UTF-8."),
    "byte order mark": (b"\xef\xbb\xbf{}", NOT_JSON),
    "UTF-16": ('{"x": 1}'.encode("utf-16"), "The body is not UTF-8."),
    "17 deep": (b'{"x": %s1%s}' % (b"[" * 16, b"]" * 16), DEEP),
    "1,000 deep": (b'{"x": %s1%s}' % (b"[" * 1000, b"]" * 1000), DEEP),
    "1,000 objects deep": (b'{"x":' * 1000 + b"1" + b"}" * 1000, DEEP),
    "1,000 deep and cut short": (b"[" * 1000, DEEP),
    "texts full of brackets": (b'{"x": "%s", "y": ]}' % (b"[" * 40), NOT_JSON),
}


@ANY_DOOR
@pytest.mark.parametrize("body", UNREADABLE)
def test_row_17_30_31_32_body_that_cannot_be_read_is_malformed(
    stage: Stage, door: str, body: str
) -> None:
    sent, detail = UNREADABLE[body]
    assert_problem(stage.send(door, sent), 400, "malformed", detail=detail)


@ANY_DOOR
def test_row_32_nesting_of_a_hundred_thousand_is_refused_by_size_or_depth(
    stage: Stage, door: str
) -> None:
    answer = stage.send(door, b'{"x": %s}' % (b"[" * 100_000 + b"]" * 100_000))
    if door in {"vote", "other vote"}:
        assert_problem(answer, 413, "body_too_large", detail="The body may have 65536 bytes.")
    else:
        assert_problem(answer, 400, "malformed", detail=DEEP)


@ANY_DOOR
def test_row_16_field_that_there_is_not_is_refused_by_name(stage: Stage, door: str) -> None:
    unknown = ("nope", "unknown_field", "There is no such field.")
    answer = stage.send(door, b'{"nope": 1}')
    # A vote is told in a sentence; everything else names all it can.
    detail = unknown[2] if "vote" in door else ""
    assert_problem(answer, 400, "malformed", detail=detail, errors=[unknown])


# -- bodies of another kind --------------------------------------------------------------------

OTHER_TYPES = [
    *("", "text/plain", "text/json", "application/xml", "application/x-ndjson", "*/*", "json"),
    *("application/json-patch+json", "application/vnd.api+json", "application/octet-stream"),
    *("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jso"),
]


@pytest.mark.parametrize("door", [*DOORS, *BODILESS])
def test_body_of_another_type_is_unsupported(stage: Stage, door: str) -> None:
    for content_type in OTHER_TYPES:
        answer = stage.send(door, b'{"x": 1}', Content_Type=content_type)
        assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("door", [*DOORS, *BODILESS])
def test_encoded_body_is_unsupported(stage: Stage, door: str) -> None:
    for encoding in ("gzip", "br", "deflate", "gzip, identity", "x"):
        answer = stage.send(door, b'{"x": 1}', Content_Encoding=encoding)
        assert_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("door", [*DOORS, *BODILESS])
def test_row_17_parameter_that_comes_twice_is_refused_by_name(stage: Stage, door: str) -> None:
    errors = [("page", "repeated", "A parameter comes once.")]
    for query in ("?page=1&page=2", "?page=1&x=1&page=1", "?page&page", "?page=&p%61ge="):
        answer = stage.send(door, query=query)
        assert_problem(answer, 400, "malformed", errors=errors)


@ANY_DOOR
@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json ;x=y"]
)
def test_json_is_read_however_its_type_is_written(
    stage: Stage, door: str, content_type: str
) -> None:
    answer = stage.send(door, b'{"nope": 1}', Content_Type=content_type)
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    assert answer.json()["errors"][0]["code"] == "unknown_field"


@pytest.mark.parametrize("door", BODILESS)
@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"x": 1}', ""),
        (b"[]", NOT_AN_OBJECT),
        (b"null", NOT_AN_OBJECT),
        (b"x", NOT_JSON),
        (b" ", NOT_JSON),
        (b'{"x": 1, "x": 2}', TWICE),
    ],
)
def test_call_without_fields_refuses_a_body(
    stage: Stage, door: str, body: bytes, detail: str
) -> None:
    unknown = [] if detail else [("x", "unknown_field", "This call takes no fields.")]
    assert_problem(stage.send(door, body), 400, "malformed", detail=detail, errors=unknown)


@pytest.mark.parametrize("door", ["voter", "read", "results", "own vote", "list", "join", "limits"])
def test_call_without_a_body_ignores_the_type_that_it_names(stage: Stage, door: str) -> None:
    for content_type in OTHER_TYPES:
        assert stage.send(door, Content_Type=content_type).status_code in {200, 201}
    assert stage.send(door, b"{}").status_code in {200, 201}
