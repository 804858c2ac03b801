"""The reader of the oracle and the service's own agree about every text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.ballots import draw_body
from fuzz.junk import draw_text, draw_value
from fuzz.reading import UnreadableError, read
from fuzz.report import dice
from polls import strict_json
from polls.errors import Refusal

NOTHING = object()


def _ours(body: bytes) -> object:
    try:
        return strict_json.loads(body)
    except Refusal:
        return NOTHING


def _theirs(body: bytes) -> object:
    try:
        return read(body)
    except UnreadableError:
        return NOTHING


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(st.randoms(use_true_random=False))
def test_readers_agree(draw: object) -> None:
    body = draw_body(draw, 3) or b""  # type: ignore[arg-type] # hypothesis has a class of its own
    assert repr(_ours(body)) == repr(_theirs(body))


def test_readers_agree_about_thousands_of_texts() -> None:
    draw = dice("readers")
    for _ in range(5000):
        for text in (draw_text(draw), draw_value(draw)):
            body = text.encode("utf-8", "surrogatepass")
            assert repr(_ours(body)) == repr(_theirs(body)), body


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (
            b' {"a" : [1, -2.5e1, true, null, "\\ud83d\\ude00\\n"]} ',
            {"a": [1, -25.0, True, None, "\U0001f600\n"]},
        ),
        (b"9223372036854775807", 2**63 - 1),
        (b"[" * 16 + b"]" * 16, None),
    ],
)
def test_reader_takes_what_is_json(body: bytes, value: object) -> None:
    if value is not None:
        assert read(body) == value
    else:
        read(body)
