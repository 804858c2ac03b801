"""Cells of CSV files: no text that somebody typed is a formula in a spreadsheet.

A spreadsheet runs what begins with one of a few characters, whatever quotes stand around it in the
file. So such a text gets an apostrophe in front, which shows it as a text (OWASP, CSV injection),
and `plain` takes away again.
"""

import csv
import io
from collections.abc import Iterable

Value = str | int | float | None

# The last four are the first four in full width, which some spreadsheets read alike.
_BEGINNINGS = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
# What a spreadsheet, or a person who copies, may drop in front of them; and our own apostrophe.
_DROPPED = " '\u00a0\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"


def _is_formula(text: str) -> bool:
    return text.lstrip(_DROPPED)[:1] in _BEGINNINGS and text != ""


def cell(value: Value) -> str:
    """Return a value as a cell: numbers as they are, nothing for None, texts never a formula."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    return f"'{value}" if _is_formula(value) else value


def plain(text: str) -> str:
    """Return the text that a cell was made of: the reverse of `cell`."""
    return text[1:] if text.startswith("'") and _is_formula(text) else text


def line(values: Iterable[Value]) -> str:
    """Return a line of a CSV file (RFC 4180), with its line break."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerow([cell(value) for value in values])
    return written.getvalue()
