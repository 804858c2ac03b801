"""Removing what is gone: the rows of deleted polls, a chunk at a time, and unused tickets."""

import uuid
from datetime import timedelta

from django.db import connection, transaction

from polls.domain.database import PURGING, as_stored, clock, is_alone
from polls.models import (
    Ballot,
    BallotBucket,
    LiveTicket,
    NetworkCount,
    Option,
    Participation,
    Poll,
    Selection,
    Tally,
    TallyBucket,
    VotingCode,
)

_AFTER = timedelta(minutes=1)  # for whoever still reads the poll
_CHUNK = 5_000  # rows that go in one transaction
_CHUNKS = 5  # in one round: polls that are due wait no longer than that takes

# What makes out a row within its poll.
_BULKY = (
    (Selection, "ballot_id, option_id"),
    (Participation, "voter_key"),
    (NetworkCount, "network"),
    (Ballot, "id"),
    (TallyBucket, "at, option_id"),
    (BallotBucket, "at"),
    (VotingCode, "code_hash"),
)


def purge_deleted_polls() -> None:
    """Remove some rows of polls that were deleted a minute ago or longer; the next round goes on.

    One process at a time does it.
    """
    left = _CHUNKS
    for poll in Poll.objects.filter(deleted_at__lt=clock() - _AFTER).order_by("deleted_at")[:5]:
        for model, key in _BULKY:
            table = model._meta.db_table  # noqa: SLF001 - public in Django
            while (deleted := _delete_chunk(table, key, poll.id)) == _CHUNK:
                left -= 1
                if left == 0:
                    return
            if deleted is None:
                return
        with transaction.atomic():
            Tally.objects.filter(poll_id=poll.id).delete()
            Option.objects.filter(poll_id=poll.id).delete()
            poll.delete()


def _delete_chunk(table: str, key: str, poll_id: uuid.UUID) -> int | None:
    """Delete some rows of a poll in a short transaction; return how many.

    None where another process is at it: what that one has locked would look like nothing left.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        if not is_alone(PURGING):
            return None
        poll_key = as_stored(poll_id)
        cursor.execute(
            f"DELETE FROM {table} WHERE poll_id = %s AND ({key}) IN "  # noqa: S608 - our own names
            f"(SELECT {key} FROM {table} WHERE poll_id = %s ORDER BY {key} LIMIT {_CHUNK})",
            [poll_key, poll_key],
        )
        return int(cursor.rowcount)


def purge_expired_tickets() -> None:
    """Remove tickets that nobody used in time."""
    LiveTicket.objects.filter(expires_at__lt=clock()).delete()
