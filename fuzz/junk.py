"""Values and texts that nobody should send: JSON of every shape, nearly JSON, and bytes."""

import json
import random
from collections.abc import Callable, Sequence

_NUMBERS = (
    *("0", "-0", "1", "-1", "5", "10", "11", "1.0", "1e2", "1E-400", "1e400", "-1e999", "0.1"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809"),
    *("18446744073709551616", "9" * 400, "1" * 5000, "NaN", "Infinity", "-Infinity", "01", "+1"),
    *("0x10", "1_000", "1.", ".5", "1e", "--1", "\u0661", "-", "2147483648", "1" * 310 + ".0"),
)
_STRINGS = (
    *("", " ", "x", "null", "true", "choices", "0", "<0>", "<other>", "\u00e9", "\u202e", "\u200b"),
    *("\ufeff", "\U0001f5f3", "a" * 300, "\u2028", "<script>", "'; DROP TABLE polls_poll;--"),
    *("../../etc/passwd", "%00", "{}", "[]", "\u0130", "\ufb01", "\u0301" * 40, "\ud7ff\ue000"),
    *("2030-01-31T20:00:00Z", "0000-00-00T00:00:00Z", "9999-12-31T23:59:59+23:59"),
    *("00000000-0000-0000-0000-000000000000", "open", "single", "https://a.example", "\x7f"),
)
_ESCAPED = (
    *(r"\u0000", r"\ud800", r"\udfff", r"\udfff\ud800", r"\ud83d\ude00", r"x\u0000x", r"\x41"),
    *(r"\u12", r"\u00g0", r"\\", r"\/", r"\"", "\\", "\x00", "\x1f", "\t", r"\ud83dx", r"\U0041"),
)
_WORDS = ("true", "false", "null", "True", "None", "nul", "undefined", "TRUE")
_TEXTS = (
    *("", " ", "{", "}", "[", "]", "[]", "null", "{}", "{}{}", "{,}", '{"choices"}', '{"a":}', ","),
    *('{"choices":["<0>"]', '{"choices":["<0>"]}]', '{"choices":["<0>"],}', "{'choices':['<0>']}"),
    *(
        '{"choices":["<0>"]}//x',
        "/**/{}",
        "choices=<0>",
        "\ufeff{}",
        "-",
        '"',
        '"\\',
        "\x00",
        "<a/>",
    ),
    *('{"choices":["<0>"]}\x00', '{"choices":["<0>"]}\x0b', '\x0c{"choices":["<0>"]}', "\xa0{}"),
)
_DEEP = (2, 15, 16, 17, 18, 500, 5000)


def draw_string(draw: random.Random) -> str:
    """Return a JSON string, or nearly one."""
    if draw.random() < 0.15:
        return f'"{draw.choice(_ESCAPED)}"'
    return json.dumps(draw.choice(_STRINGS), ensure_ascii=draw.random() < 0.5)


def draw_value(draw: random.Random, depth: int = 0) -> str:
    """Return a JSON value of any type, or nearly one."""
    kind = draw.randrange(8 if depth < 3 else 5)
    if kind < 1:
        return draw.choice(_WORDS)
    if kind < 3:
        return draw.choice(_NUMBERS)
    if kind < 5:
        return draw_string(draw)
    if kind < 6:
        return f"[{','.join(draw_value(draw, depth + 1) for _ in range(draw.randrange(4)))}]"
    if kind < 7:
        members = (f"{draw_string(draw)}:{draw_value(draw, depth + 1)}" for _ in range(3))
        return "{" + ",".join(list(members)[: draw.randrange(4)]) + "}"
    return draw_deep(draw)


def draw_deep(draw: random.Random) -> str:
    """Return deep nesting, which may not end."""
    levels = draw.choice(_DEEP)
    opening, closing = draw.choice((("[", "]"), ('{"a":', "}")))
    inner = draw.choice(("", "1", '"<0>"')) if opening == "[" else "1"
    return opening * levels + inner + closing * (levels - draw.choice((0, 0, 0, 1)))


def draw_text(draw: random.Random) -> str:
    """Return a whole text that is no object, or nearly one."""
    return draw.choice(_TEXTS) if draw.random() < 0.5 else draw_value(draw)


def _flip(draw: random.Random, data: bytearray) -> None:
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def _insert(draw: random.Random, data: bytearray) -> None:
    at = draw.randrange(len(data) + 1)
    data[at:at] = bytes(draw.randrange(256) for _ in range(draw.choice((1, 1, 2, 8))))


def _cut_out(draw: random.Random, data: bytearray) -> None:
    at = draw.randrange(len(data))
    del data[at : at + draw.choice((1, 1, 2, 8))]


def _repeat(draw: random.Random, data: bytearray) -> None:
    at = draw.randrange(len(data))
    piece = data[at : at + draw.choice((1, 2, 8, 30))]
    data[at:at] = piece * draw.choice((1, 1, 2, 20))


def _break_off(draw: random.Random, data: bytearray) -> None:
    del data[draw.randrange(len(data)) :]


def _exchange(draw: random.Random, data: bytearray) -> None:
    one, other = (draw.randrange(len(data)) for _ in range(2))
    data[one], data[other] = data[other], data[one]


_MUTATIONS: Sequence[Callable[[random.Random, bytearray], None]] = (
    *(_flip, _flip, _insert, _cut_out, _repeat, _break_off, _exchange),
)


def mutated(draw: random.Random, data: bytes, most: int = 3) -> bytes:
    """Return bytes that differ from these in a few places."""
    changed = bytearray(data)
    for _ in range(draw.randrange(1, most + 1)):
        if changed:
            draw.choice(_MUTATIONS)(draw, changed)
    return bytes(changed)
