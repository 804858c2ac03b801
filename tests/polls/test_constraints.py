"""What the database refuses by itself, past every line of ours."""

import ast
import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.db import DataError, IntegrityError, connection, transaction

from tests.polls.catalogue import broken_foreign_key, constraint_of, constraints
from tests.polls.rows import FRESH, IMPLIED, REFUSED, WORLD, Row

# PostgreSQL has a type for JSON, SQLite a CHECK.
JSON_COLUMNS = [
    ("polls_poll", "embed_origins"),
    ("polls_liveticket", "polls"),
    ("polls_liveticket", "code_voters"),
]
JSON_CHECKS = {f"{table}: CHECK {column}" for table, column in JSON_COLUMNS}


def _adapted(value: Any) -> Any:
    if connection.vendor == "sqlite":
        match value:
            case uuid.UUID():
                return value.hex
            case datetime():
                return connection.ops.adapt_datetimefield_value(value)
    return value


def _insert(table: str, row: Mapping[str, object]) -> None:
    names, marks = ", ".join(row), ", ".join("%s" for _ in row)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks})",
            [_adapted(value) for value in row.values()],
        )


def _id_in(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT max(id) FROM {table}")
        return int(cursor.fetchone()[0])


def _insert_world() -> dict[str, int]:
    """Insert the world and return the ids that only the database knows."""
    known = {
        "GROUP": Group.objects.create(name="hosts").pk,
        "PERMISSION": Permission.objects.order_by("pk").values_list("pk", flat=True)[0],
    }
    with transaction.atomic():
        for table, row in WORLD:
            _insert(table, _resolved(row, known))
    known["GROUP LINK"] = _id_in("accounts_user_groups")
    known["PERMISSION LINK"] = _id_in("accounts_user_user_permissions")
    return known


@pytest.fixture
def references(db: None) -> dict[str, int]:  # noqa: ARG001 - rolled back, which is quick
    """Give the test a world to write beside."""
    return _insert_world()


def _resolved(row: Row, known: dict[str, int]) -> Row:
    return {
        column: known.get(value, value) if isinstance(value, str) else value
        for column, value in row.items()
    }


def _write(table: str, row: Row) -> str | None:
    """Write a row and return which constraint refuses it; None where it is in."""
    try:
        with transaction.atomic():
            _insert(table, row)
            broken = broken_foreign_key(table)
            transaction.set_rollback(broken is not None)
    except IntegrityError as error:
        return constraint_of(error, table)
    return broken


@pytest.mark.parametrize("table", FRESH)
def test_row_that_breaks_nothing_is_taken(references: dict[str, int], table: str) -> None:
    assert _write(table, _resolved(FRESH[table], references)) is None


@pytest.mark.parametrize(("constraint", "change"), REFUSED)
def test_constraint_refuses(references: dict[str, int], constraint: str, change: Row) -> None:
    table = constraint.partition(":")[0]
    row = _resolved({**FRESH[table], **change}, references)
    assert _write(table, row) == constraint


@pytest.mark.usefixtures("database")
def test_foreign_keys_hold_at_commit_at_the_latest() -> None:
    """SQLite looks at them no earlier; every connection must have them switched on."""
    known = _insert_world()
    foreign_keys = [case for case in REFUSED if "FOREIGN KEY" in case[0]]
    for constraint, change in foreign_keys:
        table = constraint.partition(":")[0]
        with pytest.raises(IntegrityError, match=r"(?i)foreign key constraint"):
            _commit(table, _resolved({**FRESH[table], **change}, known))


def _commit(table: str, row: Row) -> None:
    with transaction.atomic():
        _insert(table, row)


@pytest.mark.parametrize(("constraint", "wider", "change"), IMPLIED)
def test_constraint_refuses_together_with_a_wider_one(
    references: dict[str, int], constraint: str, wider: str, change: Row
) -> None:
    table = constraint.partition(":")[0]
    row = _resolved({**FRESH[table], **change}, references)
    assert _write(table, row) in {constraint, wider}


@pytest.mark.parametrize(("table", "column"), JSON_COLUMNS)
def test_column_of_json_takes_nothing_else(
    references: dict[str, int], table: str, column: str
) -> None:
    row = _resolved({**FRESH[table], column: "[1,"}, references)
    if connection.vendor == "sqlite":
        assert _write(table, row) == f"{table}: CHECK {column}"
    else:
        with pytest.raises(DataError, match="json"):
            _write(table, row)


def _expected() -> set[str]:
    expected = {constraint for constraint, _ in REFUSED} | {
        constraint for constraint, _, _ in IMPLIED
    }
    return expected | JSON_CHECKS if connection.vendor == "sqlite" else expected


@pytest.mark.usefixtures("db")
def test_migrations_leave_exactly_these_constraints() -> None:
    assert constraints() == _expected()


@pytest.mark.usefixtures("db")
def test_rebuilt_table_without_its_composite_key_is_noticed() -> None:
    """What Django's rebuild of a table on SQLite would do, here on both databases."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE rebuilt AS SELECT * FROM polls_tally")
        cursor.execute("DROP TABLE polls_tally")
        cursor.execute("ALTER TABLE rebuilt RENAME TO polls_tally")
        missing = _expected() - constraints()
        assert "polls_tally: FOREIGN KEY (poll_id, option_id) -> polls_option (poll_id, id)" in (
            missing
        )
        transaction.set_rollback(True)
    assert constraints() == _expected()


OURS = ("accounts", "polls", "polls_project", "realtime", "web")


def _imports(path: Path) -> set[str]:
    """Return the packages that a module imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or ".")
    return {name.partition(".")[0] for name in found}


def test_migrations_import_nothing_of_the_apps() -> None:
    """A migration that reads today's models means something else tomorrow."""
    migrations = [
        path
        for config in apps.get_app_configs()
        if config.name in OURS
        for path in Path(config.path).glob("migrations/0*.py")
    ]
    assert len(migrations) >= 3
    assert {path.name: _imports(path) & set(OURS) for path in migrations} == {
        path.name: set() for path in migrations
    }
