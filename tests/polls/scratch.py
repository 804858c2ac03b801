"""Tables of the same name without their keys, in front of the real ones: for controls."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection


@contextmanager
def without_keys(table: str) -> Iterator[Callable[[], None]]:
    """Give the block a copy of a table without any key.

    A connection uses the copy once it has called what this yields. On PostgreSQL all of them
    share it, in a schema of its own; on SQLite each connection has its own.
    """
    if connection.vendor == "sqlite":
        yield lambda: _execute(
            f"CREATE TEMP TABLE IF NOT EXISTS {table} AS SELECT * FROM main.{table} WHERE 0"
        )
        _execute(f"DROP TABLE IF EXISTS temp.{table}")
        return
    _execute("CREATE SCHEMA scratch")
    try:
        _execute(
            f"CREATE TABLE scratch.{table} "
            f"(LIKE public.{table} INCLUDING DEFAULTS INCLUDING IDENTITY)"
        )
        yield lambda: _execute("SET search_path TO scratch, public")
    finally:
        _execute("RESET search_path")
        _execute("DROP SCHEMA scratch CASCADE")


def _execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)
