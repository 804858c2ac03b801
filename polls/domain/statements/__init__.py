"""The SQL of a flush, statement by statement, in each database's words.

Every statement takes whole columns of the batch. A lock never shares a statement with what it
protects: a voter who waits for the lock inside one big statement would be counted after the close
by the snapshot that the statement began with; and whoever loses ON CONFLICT cannot see the
winner's row in the statement that lost.
"""

from typing import Any

from django.db import connection

from polls.domain.statements.base import (
    KEPT_CHANGES,
    Action,
    Cast,
    Counting,
    Id,
    Marks,
    NetworkId,
    Statements,
    Tallied,
    Vote,
    VoterId,
    Window,
)
from polls.domain.statements.postgres import Postgres
from polls.domain.statements.sqlite import Sqlite

__all__ = [
    "KEPT_CHANGES",
    "Action",
    "Cast",
    "Counting",
    "Id",
    "Marks",
    "NetworkId",
    "Postgres",
    "Sqlite",
    "Statements",
    "Tallied",
    "Vote",
    "VoterId",
    "Window",
    "statements",
]


def statements(cursor: Any) -> Statements:  # noqa: ANN401 - Django's cursor wrapper
    """Return the statements in the words of this connection's database."""
    return Postgres(cursor) if connection.vendor == "postgresql" else Sqlite(cursor)
