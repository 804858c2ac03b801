"""The foreign keys that Django cannot write, and room for hot rows to be updated in place.

SQLite takes a foreign key only with the table, so its tables, empty so far, are made again with
their keys, and there is no way back. Whoever lets Django rebuild one of them later must add the
keys again: Django drops them without a word, and tests/polls/test_constraints.py says so.
"""

from django.db import migrations
from django.db.migrations.exceptions import IrreversibleError

# table, columns, the table and columns they refer to, name
FOREIGN_KEYS = [
    (
        "polls_selection",
        "poll_id, ballot_id",
        "polls_ballot (poll_id, id)",
        "selection_of_a_ballot",
    ),
    (
        "polls_selection",
        "poll_id, option_id",
        "polls_option (poll_id, id)",
        "selection_of_an_option",
    ),
    ("polls_tally", "poll_id, option_id", "polls_option (poll_id, id)", "tally_of_an_option"),
    (
        "polls_tallybucket",
        "poll_id, option_id",
        "polls_option (poll_id, id)",
        "tallybucket_of_an_option",
    ),
    ("polls_ballot", "poll_id", "polls_poll (id)", "ballot_of_a_poll"),
    ("polls_participation", "poll_id", "polls_poll (id)", "participation_in_a_poll"),
]
HOT_TABLES = ["polls_tally", "polls_polltally", "polls_tallybucket"]


def add_keys(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        _rebuild_with_keys(schema_editor)
        return
    for table, columns, target, name in FOREIGN_KEYS:
        schema_editor.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY ({columns}) REFERENCES {target}"
        )
    for table in HOT_TABLES:
        # Half of each page stays free for the next version of its rows (HOT updates).
        schema_editor.execute(f"ALTER TABLE {table} SET (fillfactor = 50)")


def _rebuild_with_keys(schema_editor):
    connection = schema_editor.connection
    for table in {key[0] for key in FOREIGN_KEYS}:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT sql FROM sqlite_master WHERE tbl_name = %s AND sql IS NOT NULL "
                "ORDER BY type = 'table' DESC",
                [table],
            )
            create_table, *create_indexes = [row[0] for row in cursor.fetchall()]
            cursor.execute(f"SELECT 1 FROM {table} LIMIT 1")  # noqa: S608 - our own names
            if cursor.fetchone() is not None:
                raise ValueError(f"{table} holds rows, and making it again would lose them.")
        keys = "".join(
            f", CONSTRAINT {name} FOREIGN KEY ({columns}) REFERENCES {target} "
            "DEFERRABLE INITIALLY DEFERRED"
            for owner, columns, target, name in FOREIGN_KEYS
            if owner == table
        )
        schema_editor.execute(f"DROP TABLE {table}", params=None)
        schema_editor.execute(create_table.rstrip().removesuffix(")") + keys + ")", params=None)
        for create_index in create_indexes:
            schema_editor.execute(create_index, params=None)


def drop_keys(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        raise IrreversibleError(
            "SQLite drops a foreign key only with its table, and here that would be with the votes."
        )
    for table, _, _, name in FOREIGN_KEYS:
        schema_editor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    for table in HOT_TABLES:
        schema_editor.execute(f"ALTER TABLE {table} RESET (fillfactor)")


class Migration(migrations.Migration):
    dependencies = [("polls", "0001_polls_ballots_tallies")]
    operations = [migrations.RunPython(add_keys, drop_keys)]
