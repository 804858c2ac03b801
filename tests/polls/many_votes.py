"""Polls of hundreds of thousands of votes, made by the database itself."""

import uuid
from typing import Any

from django.db import connection

_NUMBERS = {
    "postgresql": "generate_series(1, {count}) AS n (n)",
    "sqlite": "(WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up "
    "WHERE n < {count}) SELECT n FROM up) AS n",
}
_NEW_ID = {"postgresql": "gen_random_uuid()", "sqlite": "lower(hex(randomblob(16)))"}
_RECEIPT = {"postgresql": "'\\x00'::bytea", "sqlite": "x'00'"}

_STORE = """
CREATE TEMP TABLE cast_vote AS
    SELECT o.poll_id, o.id AS option_id, {new_id} AS ballot_id
    FROM {numbers} JOIN polls_option o ON o.position = n.n % 3 WHERE o.poll_id = '{poll}';
INSERT INTO polls_ballot (poll_id, id, receipt)
    SELECT poll_id, ballot_id, {receipt} FROM cast_vote;
INSERT INTO polls_selection (poll_id, ballot_id, option_id)
    SELECT poll_id, ballot_id, option_id FROM cast_vote;
UPDATE polls_tally SET votes =
    (SELECT COUNT(*) FROM cast_vote v WHERE v.option_id = polls_tally.option_id)
    WHERE poll_id = '{poll}';
UPDATE polls_polltally SET ballots = {count} WHERE poll_id = '{poll}';
DROP TABLE cast_vote
"""


def poll_key(poll_id: uuid.UUID) -> str:
    """Return a poll's id as this database holds it."""
    return poll_id.hex if connection.vendor == "sqlite" else str(poll_id)


def execute(sql: str) -> list[Any]:
    """Run statements and return the rows of the last one."""
    with connection.cursor() as cursor:
        for statement in sql.split(";"):
            cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


def store_votes(poll_id: uuid.UUID, count: int) -> None:
    """Give a poll of three options so many votes, its tallies agreeing."""
    vendor = connection.vendor
    execute(
        _STORE.format(
            poll=poll_key(poll_id),
            count=count,
            numbers=_NUMBERS[vendor].format(count=count),
            new_id=_NEW_ID[vendor],
            receipt=_RECEIPT[vendor],
        )
    )


def gather_statistics() -> None:
    """Do what autovacuum does by itself; an index alone can answer only vacuumed pages.

    What the deleted rows of other tests have left goes too: in the indexes, and on the last page,
    which a vacuum that finds few of them would leave as it is.
    """
    if connection.vendor == "postgresql":
        execute("REINDEX TABLE polls_ballot; REINDEX TABLE polls_selection")
        execute("VACUUM (ANALYZE, INDEX_CLEANUP ON)")
    else:
        execute("ANALYZE")
