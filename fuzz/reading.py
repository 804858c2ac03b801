"""JSON as the service promises to read it, by a parser of its own.

It shares nothing with the service's, which stands on Python's. It takes RFC 8259 in UTF-8, without
the same key twice, numbers of more than 64 bits or beyond all floats, NUL, half a surrogate pair
and more than 16 levels.
"""

import re

DEPTH = 16
_BLANK = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_HEX = re.compile(r"[0-9a-fA-F]{4}")
_ESCAPES = {
    '"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"
}  # fmt: skip
_WORDS: dict[str, object] = {"true": True, "false": False, "null": None}
_HIGH, _LOW, _END = 0xD800, 0xDC00, 0xE000  # surrogates
_BITS = 64
_MOST_DIGITS = 19


class UnreadableError(Exception):
    """A text is not JSON, or not what the service takes."""


class _Reader:
    """One text and how far it has been read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def document(self) -> object:
        """Return the one value of the text."""
        value = self._value(0)
        if self._next():
            raise UnreadableError("something follows")
        return value

    def _next(self) -> str:
        """Return the next character that is no blank, and stand before it; empty at the end."""
        found = _BLANK.match(self._text, self._at)
        self._at = self._at if found is None else found.end()
        return self._text[self._at : self._at + 1]

    def _take(self, character: str) -> None:
        if self._next() != character:
            raise UnreadableError(f"{character} is missing")
        self._at += 1

    def _value(self, depth: int) -> object:
        match self._next():
            case "{":
                return self._object(depth + 1)
            case "[":
                return self._list(depth + 1)
            case '"':
                return self._string()
        for word, value in _WORDS.items():
            if self._text.startswith(word, self._at):
                self._at += len(word)
                return value
        return self._number()

    def _object(self, depth: int) -> dict[str, object]:
        self._enter("{", depth)
        found: dict[str, object] = {}
        if self._next() != "}":
            while True:
                if self._next() != '"':
                    raise UnreadableError("a key is missing")
                key = self._string()
                self._take(":")
                if key in found:
                    raise UnreadableError("a key comes twice")
                found[key] = self._value(depth)
                if self._next() != ",":
                    break
                self._at += 1
        self._take("}")
        return found

    def _list(self, depth: int) -> list[object]:
        self._enter("[", depth)
        found: list[object] = []
        if self._next() != "]":
            while True:
                found.append(self._value(depth))
                if self._next() != ",":
                    break
                self._at += 1
        self._take("]")
        return found

    def _enter(self, bracket: str, depth: int) -> None:
        self._take(bracket)
        if depth > DEPTH:
            raise UnreadableError("too deep")

    def _number(self) -> int | float:
        found = _NUMBER.match(self._text, self._at)
        if found is None:
            raise UnreadableError("no value")
        self._at = found.end()
        if found[1] or found[2]:
            value = float(found[0])
            if value in {float("inf"), float("-inf")}:
                raise UnreadableError("beyond all floats")
            return value
        if len(found[0].lstrip("-")) > _MOST_DIGITS:
            raise UnreadableError("more than 64 bits")
        number = int(found[0])
        if not -(2 ** (_BITS - 1)) <= number < 2 ** (_BITS - 1):
            raise UnreadableError("more than 64 bits")
        return number

    def _string(self) -> str:
        self._at += 1
        parts: list[str] = []
        while True:
            plain = _PLAIN.match(self._text, self._at)
            if plain is not None:
                parts.append(plain[0])
                self._at = plain.end()
            match self._text[self._at : self._at + 1]:
                case '"':
                    self._at += 1
                    return "".join(parts)
                case "\\":
                    parts.append(self._escape())
                case _:
                    raise UnreadableError("a text does not end, or holds a control character")

    def _escape(self) -> str:
        name = self._text[self._at + 1 : self._at + 2]
        self._at += 2
        if name in _ESCAPES:
            return _ESCAPES[name]
        if name != "u":
            raise UnreadableError("no such escape")
        unit = self._unit()
        if _LOW <= unit < _END:
            raise UnreadableError("half a surrogate pair")
        if _HIGH <= unit < _LOW:
            if self._text[self._at : self._at + 2] != "\\u":
                raise UnreadableError("half a surrogate pair")
            self._at += 2
            low = self._unit()
            if not _LOW <= low < _END:
                raise UnreadableError("half a surrogate pair")
            return chr(0x10000 + ((unit - _HIGH) << 10) + (low - _LOW))
        if unit == 0:
            raise UnreadableError("NUL")
        return chr(unit)

    def _unit(self) -> int:
        found = _HEX.match(self._text, self._at)
        if found is None:
            raise UnreadableError("four hex digits are missing")
        self._at += 4
        return int(found[0], 16)


def read(body: bytes) -> object:
    """Return the value of a document, or raise `UnreadableError`."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise UnreadableError("not UTF-8") from None
    return _Reader(text).document()
