"""The constraints that the database really has, in the same words for both databases.

Each reads like `polls_option: UNIQUE (poll_id, position)`; a CHECK goes by its name, or by its
column where Django gave it none.
"""

import re
import sqlite3
from collections.abc import Iterator
from typing import Any

import psycopg2
from django.db import IntegrityError, connection

_OURS = ("polls_", "accounts_")


def _columns(names: list[str]) -> str:
    return f"({', '.join(names)})"


_POSTGRES = """
SELECT c.relname, k.conname, k.contype::text,
       ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS n (number, place)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = n.number
             ORDER BY n.place),
       k.confrelid::regclass::text,
       ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS n (number, place)
             JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = n.number
             ORDER BY n.place)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
WHERE k.contype IN ('c', 'u', 'p', 'f') AND c.relnamespace = 'public'::regnamespace
UNION ALL
SELECT t.relname, i.relname, 'index', ARRAY[]::text[], '', ARRAY[]::text[]
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
WHERE x.indisunique AND t.relnamespace = 'public'::regnamespace
      AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = x.indexrelid)
"""


def _of_postgres() -> dict[str, str]:
    """Return each constraint's words by its name."""
    with connection.cursor() as cursor:
        cursor.execute(_POSTGRES)
        rows = cursor.fetchall()
    found = {}
    for table, name, kind, columns, target, target_columns in rows:
        match kind:
            case "p":
                words = f"PRIMARY KEY {_columns(columns)}"
            case "u":
                words = f"UNIQUE {_columns(columns)}"
            case "f":
                words = f"FOREIGN KEY {_columns(columns)} -> {target} {_columns(target_columns)}"
            case "c":
                nameless = re.fullmatch(rf"{table}_(\w+)_check", name)
                words = f"CHECK {nameless[1] if nameless else name}"
            case _:
                words = f"UNIQUE {name}"
        if table.startswith(_OURS):
            found[name] = f"{table}: {words}"
    return found


def _rows(sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def _foreign_keys(table: str) -> dict[int, str]:
    """Return the words of a table's foreign keys by SQLite's number for them."""
    keys: dict[int, list[Any]] = {}
    for row in _rows(f'PRAGMA foreign_key_list("{table}")'):
        keys.setdefault(row[0], []).append(row)
    return {
        number: f"{table}: FOREIGN KEY {_columns([row[3] for row in rows])} -> "
        f"{rows[0][2]} {_columns([row[4] for row in rows])}"
        for number, rows in keys.items()
    }


# `CONSTRAINT name CHECK (…)`, or a CHECK of one column, which comes first in it.
_CHECK = re.compile(r'(?:CONSTRAINT "?(\w+)"? )?CHECK \(+(?:JSON_VALID\(|NOT \()?\(*"(\w+)"')


def _of_sqlite_table(table: str, sql: str) -> Iterator[str]:
    keys = sorted((row[5], row[1]) for row in _rows(f'PRAGMA table_info("{table}")') if row[5])
    yield f"{table}: PRIMARY KEY {_columns([name for _, name in keys])}"
    for _, name, unique, origin, _ in _rows(f'PRAGMA index_list("{table}")'):
        if unique and origin != "pk":
            columns = [row[2] for row in _rows(f'PRAGMA index_info("{name}")')]
            yield f"{table}: UNIQUE {name if None in columns else _columns(columns)}"
    yield from _foreign_keys(table).values()
    assert sql.count("CHECK (") == len(_CHECK.findall(sql)), sql
    for name, column in _CHECK.findall(sql):
        yield f"{table}: CHECK {name or column}"


def constraints() -> set[str]:
    """Return every CHECK, UNIQUE, PRIMARY KEY and FOREIGN KEY of polls and accounts."""
    if connection.vendor == "postgresql":
        return set(_of_postgres().values())
    tables = _rows("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
    return {
        words
        for table, sql in tables
        if table.startswith(_OURS)
        for words in _of_sqlite_table(table, sql)
    }


def broken_foreign_key(table: str) -> str | None:
    """Return the foreign key that a row of this transaction breaks, on SQLite before COMMIT.

    At COMMIT SQLite would only say that there is one.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # those that Django defers
        return None
    broken = _rows(f'PRAGMA foreign_key_check("{table}")')
    return _foreign_keys(table)[broken[0][3]] if broken else None


def constraint_of(error: IntegrityError, table: str) -> str:
    """Return the words of the constraint that refused a row of this table."""
    cause = error.__cause__
    if isinstance(cause, psycopg2.Error):
        return _of_postgres()[str(cause.diag.constraint_name)]
    assert isinstance(cause, sqlite3.IntegrityError)
    kind, _, what = str(cause).partition(" constraint failed: ")
    if kind == "CHECK":
        column = re.match(r'\W*(?:JSON_VALID\W+)?"?(\w+)', what)
        return f"{table}: CHECK {column[1] if column else what}"
    index = re.match(r"index '(\w+)'", what)
    if index:
        return f"{table}: UNIQUE {index[1]}"
    columns = _columns([column.partition(".")[2] for column in what.split(", ")])
    primary = f"{table}: PRIMARY KEY {columns}"
    return primary if primary in constraints() else f"{table}: UNIQUE {columns}"
