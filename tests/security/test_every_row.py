"""docs/security.md and the tests agree: each row has a test with its number, or a sentence."""

import ast
import re

import pytest

from tests.live import ROOT

DOCUMENT = (ROOT / "docs/security.md").read_text()
ROWS = range(1, 46)
_TABLE_ROW = re.compile(r"(?m)^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]*)\|$")


def rows_of(name: str) -> set[int]:
    """Return the rows that a test's name stands for: `test_row_04_to_08_x`, `test_row_17_30_x`."""
    span = re.match(r"test_row_(\d\d)_to_(\d\d)_", name)
    if span:
        return set(range(int(span[1]), int(span[2]) + 1))
    found = re.match(r"test_row_((?:\d\d_)+)", name)
    return {int(number) for number in found[1].split("_") if number} if found else set()


def _tests() -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                # The rows may stand in the name of the file.
                rows = rows_of(node.name) or (
                    rows_of(path.stem + "_") if node.name.startswith("test_") else set()
                )
                found[node.name] = rows
    return found


TESTS = _tests()
TABLE = {int(row): told.strip() for row, _, told, _ in _TABLE_ROW.findall(DOCUMENT)}


@pytest.mark.parametrize("row", ROWS)
def test_row_of_the_checks_has_a_test_or_a_sentence(row: int) -> None:
    assert row in TABLE
    named = [name for name, rows in TESTS.items() if row in rows and name.startswith("test_")]
    sentence = re.sub("`[^`]*`|,", "", TABLE[row]).strip()
    assert named or len(sentence.split()) >= 2, "name a test of this row, or say why there is none"


@pytest.mark.parametrize("row", ROWS)
def test_tests_that_the_document_names_are_there_and_of_that_row(row: int) -> None:
    for name in re.findall(r"`(test_row_\w+)`", TABLE[row]):
        assert row in TESTS.get(name, set()), name


def test_files_that_the_document_names_are_there() -> None:
    named = re.findall(r"`((?:tests|polls_project|polls|realtime|docs|deploy)/[\w/.-]+)`", DOCUMENT)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
    for target in re.findall(r"\]\(([^)#]+)\)", DOCUMENT):
        assert (ROOT / "docs" / target).resolve().exists(), target


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("test_row_09_login_takes_as_long", {9}),
        ("test_row_17_30_31_32_body", {17, 30, 31, 32}),
        ("test_row_04_to_08_anything", {4, 5, 6, 7, 8}),
        ("test_row_of_the_checks", set()),
        ("test_rows_of_a_table", set()),
    ],
)
def test_rows_are_read_from_names(name: str, rows: set[int]) -> None:
    assert rows_of(name) == rows
