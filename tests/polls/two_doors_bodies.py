"""Votes whose bodies say something else, or say it in another way."""

from tests.polls.two_doors import DEVICE, FIRST, JSON
from tests.polls.two_doors_rows import body, head, keyed

PICK_TWO = {"kind": "multiple", "min_selections": 2, "max_selections": 2}

BALLOTS = [
    body(
        "express",
        "200",
        "same ballot in upper case",
        '{"choices": ["<OPTION0>"]}',
        headers=keyed(),
        happened="warm voted",
    ),
    body(
        "express",
        "200",
        "same ballot with other spaces",
        ' {\n"choices":\t[ "<0>" ]\r\n}\n',
        headers=keyed(),
        happened="warm voted",
    ),
    body(
        "express",
        "200",
        "same ballot with escapes",
        '{"\\u0063hoices": ["<0>"]}',
        headers=keyed(),
        happened="warm voted",
    ),
    body("express", "201", "two options", '{"choices": ["<0>", "<1>"]}', poll=PICK_TWO),
    body(
        "express",
        "201",
        "two options in the other order",
        '{"choices": ["<1>", "<0>"]}',
        poll=PICK_TWO,
    ),
    body("django", "400 invalid_ballot", "too few", '{"choices": ["<0>"]}', poll=PICK_TWO),
    body("django", "400 invalid_ballot", "none", '{"choices": []}'),
    body("django", "400 invalid_ballot", "too many", '{"choices": ["<0>", "<1>"]}'),
    body(
        "django",
        "400 invalid_ballot",
        "twice the same",
        '{"choices": ["<0>", "<OPTION0>"]}',
        poll=PICK_TWO,
    ),
    body("django", "400 invalid_ballot", "unknown option", '{"choices": ["Pizza"]}'),
    body(
        "django",
        "400 invalid_ballot",
        "option of another poll",
        '{"choices": ["<other>"]}',
        happened="warm other_poll",
    ),
    body("django", "400 invalid_ballot", "equal ranks", '{"choices": [["<0>"]]}'),
    body("django", "400 invalid_ballot", "no choices", "{}"),
    body("django", "400 invalid_ballot", "scores", '{"scores": {"<0>": 5}}'),
    body(
        "django", "400 invalid_ballot", "choices and a code", '{"choices": ["<0>"], "code": "ABC"}'
    ),
    body(
        "django", "401 voter_token_required", "nothing right", '{"choices": ["x"]}', headers=(JSON,)
    ),
    *(
        body("django", "400 malformed", name, content)
        for name, content in {
            "unknown field": '{"choices": ["<0>"], "choice": 1}',
            "choices no list": '{"choices": "<0>"}',
            "choices null": '{"choices": null}',
            "choice a number": '{"choices": [1]}',
            "choice an object": '{"choices": [{}]}',
            "scores a list": '{"scores": []}',
            "score true": '{"scores": {"<0>": true}}',
            "code a number": '{"choices": ["<0>"], "code": 5}',
            "same key twice": '{"choices": ["<0>"], "choices": ["<0>"]}',
            "same key twice, escaped": '{"choices": ["<0>"], "\\u0063hoices": ["<0>"]}',
            "NaN": '{"choices": ["<0>"], "scores": {"<0>": NaN}}',
            "infinity": '{"choices": [-Infinity]}',
            "number too large": '{"choices": [1e999]}',
            "number of more than 64 bits": '{"scores": {"<0>": 9223372036854775808}}',
            "number of many digits": '{"scores": {"<0>": ' + "9" * 5000 + "}}",
            "lone surrogate": '{"choices": ["\\ud800"]}',
            "lone surrogate as a key": '{"\\udfff": 1}',
            "NUL": '{"choices": ["\\u0000"]}',
            "NUL as a byte": b'{"choices": ["<0>\x00"]}',
            "nested deep": '{"choices": ' + "[" * 16 + '"<0>"' + "]" * 16 + "}",
            "nested very deep": "[" * 30_000,
            "BOM": b'\xef\xbb\xbf{"choices": ["<0>"]}',
            "not UTF-8": b'{"choices": ["\xff"]}',
            "UTF-16": '{"choices": ["<0>"]}'.encode("utf-16"),
            "list": '["<0>"]',
            "text": '"<0>"',
            "null": "null",
            "two objects": '{"choices": ["<0>"]} {}',
            "broken off": '{"choices": ["<0>"',
            "comment": '{"choices": ["<0>"]} // x',
            "single quotes": "{'choices': ['<0>']}",
            "form": "choices=<0>",
            "white space": " ",
            "empty": "",
            "no body": None,
        }.items()
    ),
    body("gate", "413 body_too_large", "too long", b" " * 70_000),
    body("express", "201", "nearly too long", FIRST + " " * (65_536 - 60)),
    body(
        "express", "201", "in chunks", FIRST, headers=(JSON, DEVICE, "Transfer-Encoding: chunked")
    ),
    body(
        "express",
        "201",
        "that waits for leave",
        FIRST,
        headers=(JSON, DEVICE, "Expect: 100-continue"),
    ),
]

TYPES = [
    *(
        head(door, answer, f"type {name}", DEVICE, *([f"Content-Type: {name}"] if name else []))
        for door, answer, name in (
            ("express", "201", "application/json; charset=utf-8"),
            ("express", "201", "APPLICATION/JSON"),
            ("express", "201", "application/json; charset=UTF-8"),
            ("django", "201", "application/json;charset=utf-8"),
            ("django", "201", "application/json; charset=latin-1"),
            ("django", "201", "application/json; charset=nonsense"),
            ("django", "201", "application/json; version=1"),
            ("django", "415 unsupported_media_type", "application/merge-patch+json"),
            ("django", "415 unsupported_media_type", "application/x-www-form-urlencoded"),
            ("django", "415 unsupported_media_type", "multipart/form-data; boundary=x"),
            ("django", "415 unsupported_media_type", "text/plain"),
            ("django", "415 unsupported_media_type", "json"),
            ("django", "415 unsupported_media_type", ""),
        )
    ),
    head("gate", "400 malformed", "two types", JSON, JSON, DEVICE),
    head("django", "415 unsupported_media_type", "gzip", JSON, DEVICE, "Content-Encoding: gzip"),
    head("django", "201", "encoded as itself", JSON, DEVICE, "Content-Encoding: identity"),
]
