"""Bodies of votes, good and bad, with `<0>` and so on in the place of a poll's options."""

import json
import random
from collections.abc import Callable, Sequence

from fuzz.junk import draw_deep, draw_string, draw_text, draw_value, mutated
from fuzz.oracle import MOST_BODY

_FIELDS = (
    "choices",
    "scores",
    "code",
    "choice",
    "Choices",
    "",
    "votes",
    "choices ",
    "\u0441hoices",
)


def draw_body(
    draw: random.Random, options: int, code: bytes | None = None, *, ordinary: bool = False
) -> bytes | None:
    """Return the body of a vote in a poll with so many options, None for none at all.

    Where the poll asks for codes it has the one that is given.
    """
    shape = draw.choices([shape for _, shape in _SHAPES], [weight for weight, _ in _SHAPES])[0]
    body = (_plain if ordinary else shape)(draw, options)
    if code is None or body is None or draw.random() < 0.05:
        return body
    return body.replace(b"{", b'{"code":"%b",' % code, 1)


def draw_no_body(draw: random.Random, options: int) -> bytes | None:
    """Return the body of a request that should have none."""
    if draw.random() < 0.85:
        return draw.choice((None, None, None, b""))
    return draw.choice((b"{}", b" {} ", b"[]", b"null", b" ", b'{"a":1}', _plain(draw, options)))


def _choice(draw: random.Random, options: int) -> str:
    place = draw.randrange(options)
    return f'"<{place}>"' if draw.random() < 0.9 else f'"<UPPER{place}>"'


def _some(draw: random.Random, options: int) -> list[str]:
    """Return some options, each once; mostly few."""
    number = min(draw.choice((0, 1, 1, 1, 1, 1, 2, 2, 3, 4, options)), options)
    places = draw.sample(range(options), number)
    return [f'"<{place}>"' if draw.random() < 0.9 else f'"<UPPER{place}>"' for place in places]


def _joined(draw: random.Random, items: Sequence[str]) -> str:
    blank = draw.choice(("", "", "", " ", "\n", "\t", " \r\n"))
    return f"[{blank}{f',{blank}'.join(items)}{blank}]"


def _plain(draw: random.Random, options: int) -> bytes:
    """Return a ballot as clients write it, in every way that JSON leaves them."""
    key = draw.choice(('"choices"', '"choices"', '"choices"', '"\\u0063hoices"', '"choice\\u0073"'))
    blank = draw.choice(("", "", " ", "\n"))
    return f"{blank}{{{key}:{blank}{_joined(draw, _some(draw, options))}}}{blank}".encode()


def _spoilt(draw: random.Random, options: int) -> bytes:
    """Return a ballot with one choice that cannot be: another poll's, doubled, tied, or junk."""
    items = _some(draw, options)
    strange = draw.choice(
        (
            *(_choice(draw, options), '"<other>"', '"<poll>"', f"[{_choice(draw, options)}]"),
            *(f"[{_choice(draw, options)},{_choice(draw, options)}]", "[]", '"<0> "', '" <0>"'),
            *('"{<0>}"', '"urn:uuid:<0>"', '"<0>0"', draw_string(draw), draw_value(draw)),
        )
    )
    items.insert(draw.randrange(len(items) + 1), strange)
    return f'{{"choices":{_joined(draw, items)}}}'.encode()


def _other_type(draw: random.Random, options: int) -> bytes:
    del options
    return f'{{"choices":{draw_value(draw)}}}'.encode()


def _more_fields(draw: random.Random, options: int) -> bytes:
    """Return a ballot with another field, or the same one again."""
    members = [f'"choices":{_joined(draw, _some(draw, options))}']
    for _ in range(draw.choice((1, 1, 2))):
        name = json.dumps(draw.choice(_FIELDS), ensure_ascii=draw.random() < 0.5)
        members.insert(draw.randrange(2), f"{name}:{_value_for(draw, options)}")
    return ("{" + ",".join(members) + "}").encode()


def _value_for(draw: random.Random, options: int) -> str:
    scores = (f"{_choice(draw, options)}:{draw.choice(('0', '5', '10', '11', 'true', '1.5'))}",) * 1
    return draw.choice(
        (
            *(
                "{" + ",".join(scores) + "}",
                '"ABCDEF"',
                "null",
                _joined(draw, _some(draw, options)),
            ),
            *(draw_value(draw), draw_string(draw)),
        )
    )


def _other_shape(draw: random.Random, options: int) -> bytes:
    """Return a ballot of another kind of poll."""
    marks = ",".join(f'"<{place}>":{draw.randrange(-1, 12)}' for place in range(options))
    tied = ",".join(f"[{_choice(draw, options)}]" for _ in range(2))
    return draw.choice(
        (
            *(f'{{"scores":{{{marks}}}}}', f'{{"choices":[{tied}]}}', '{"code":"ABCDEF"}', "{}"),
            *('{"scores":{}}', f'{{"choices":["<0>"],"scores":{{{marks}}}}}'),
            '{"choices":["<0>"],"code":"ABCDEF"}',
        )
    ).encode()


def _text(draw: random.Random, options: int) -> bytes:
    del options
    return draw_text(draw).encode("utf-8", "surrogatepass")


def _bytes(draw: random.Random, options: int) -> bytes:
    return mutated(draw, _plain(draw, options))


def _encoded(draw: random.Random, options: int) -> bytes:
    """Return a good ballot in another encoding, or padded."""
    plain = _plain(draw, options)
    match draw.randrange(5):
        case 0:
            return plain.decode().encode(draw.choice(("utf-16", "utf-32", "utf-16-be")))
        case 1:
            return b"\xef\xbb\xbf" + plain
        case 2:
            return plain + draw.choice((b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\x80"))
        case 3:
            return plain.ljust(draw.choice((300, 5000)))
        case _:
            return b'{"choices":["<0>"],"x":' + draw_deep(draw).encode() + b"}"


def _none(draw: random.Random, options: int) -> bytes | None:
    del options
    return draw.choice((None, b"", b" "))


def _too_long(draw: random.Random, options: int) -> bytes:
    """Return a good ballot just over the limit, or far over it."""
    return _plain(draw, options).ljust(draw.choice((MOST_BODY + 2000, 3 * MOST_BODY)))


_SHAPES: Sequence[tuple[int, Callable[[random.Random, int], bytes | None]]] = (
    *((380, _plain), (190, _spoilt), (60, _other_type), (70, _more_fields), (80, _other_shape)),
    *((60, _text), (90, _bytes), (40, _encoded), (10, _none), (1, _too_long)),
)
