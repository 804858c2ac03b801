"""Tests that only one stack can run: collected there, and no test at all on the other."""

from collections.abc import Callable
from typing import Any, TypeVar

from tests.stack import STACK

Test = TypeVar("Test", bound=Callable[..., Any])


def _only_on(stack: str) -> Callable[[Test], Test]:
    def mark(test: Test) -> Test:
        test.__test__ = stack == STACK  # type: ignore[attr-defined] # pytest's own switch
        return test

    return mark


# Several processes, row locks and connections that can be lost are PostgreSQL's alone.
on_postgres_alone = _only_on("servers")
# One file, one writer at a time, a lock that another process may hold: SQLite's alone.
on_sqlite_alone = _only_on("embedded")
