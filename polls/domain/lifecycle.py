"""Opening, closing, certifying and purging polls."""

import logging
import time
import uuid
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from polls import events
from polls.domain import results
from polls.domain.database import ADVISORY_CLASS, clock, turnstiles
from polls.enums import Status
from polls.errors import Code, FieldError, Refusal
from polls.models import (
    Ballot,
    LiveTicket,
    Option,
    Participation,
    Poll,
    PollTally,
    Selection,
    Tally,
    TallyBucket,
)

logger = logging.getLogger(__name__)

_CHUNK = 5_000  # rows of a deleted poll that go in one transaction
_DISAGREED_SECONDS = 60.0  # until a poll whose recount differed is recounted
_disagreed: dict[uuid.UUID, float] = {}  # when this process found that, in monotonic seconds


def lock_poll(poll_id: uuid.UUID) -> Poll:
    """Return the poll with its row locked against votes and changes until the transaction ends.

    Raises `not_found` where it has been deleted meanwhile.
    """
    _wait_for_flushes(poll_id)
    poll = Poll.objects.standing().select_for_update(of=("self",)).filter(id=poll_id).first()
    if poll is None:
        raise Refusal(Code.NOT_FOUND)
    return poll


def _wait_for_flushes(poll_id: uuid.UUID) -> None:
    """Let the flushes under way end and hold back later ones until the transaction ends."""
    if connection.vendor == "postgresql":  # on SQLite every write transaction stands in one queue
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(%s, %s)", [ADVISORY_CLASS, *turnstiles([poll_id])]
            )


def raise_seq(poll_id: uuid.UUID) -> None:
    """Give everything that is said of the poll a new version."""
    PollTally.objects.filter(poll_id=poll_id).update(seq=F("seq") + 1)


def open_poll(poll_id: uuid.UUID) -> None:
    """Open a draft or scheduled poll now; an open one stays open, a closed one is refused."""
    with transaction.atomic():
        poll = lock_poll(poll_id)
        now = clock()
        if poll.is_closed or _is_over(poll, now):
            raise Refusal(Code.POLL_CLOSED)
        if poll.opened_at is not None:
            return
        if poll.closes_at is not None and poll.closes_at <= now:
            detail = "closes_at has passed; set another before opening."
            raise Refusal(
                Code.INVALID_POLL, detail, errors=[FieldError("closes_at", "passed", detail)]
            )
        poll.status, poll.opened_at = Status.OPEN, now
        poll.save(update_fields=["status", "opened_at"])
        raise_seq(poll_id)
    events.publish(poll_id, events.Event.OPENED)


def _is_over(poll: Poll, now: datetime) -> bool:
    return poll.status == Status.OPEN and poll.closes_at is not None and poll.closes_at <= now


def close_poll(poll_id: uuid.UUID) -> None:
    """Close an open or scheduled poll now; a closed one stays closed, a draft is refused.

    Waits for the flushes that hold the poll's shared lock; none can count a vote after it.
    """
    with transaction.atomic():
        poll = lock_poll(poll_id)
        if poll.is_closed:
            return
        if poll.status == Status.DRAFT:
            raise Refusal(Code.POLL_NOT_OPEN, "A draft cannot be closed; delete it instead.")
        now = clock()
        poll.status = Status.CLOSED
        poll.closed_at = poll.closes_at if _is_over(poll, now) else now
        poll.save(update_fields=["status", "closed_at"])
        raise_seq(poll_id)
    events.publish(poll_id, events.Event.CLOSED)


def settle_poll(poll_id: uuid.UUID) -> None:
    """Open or close a poll whose time has come. Of many processes that try, one does it."""
    with transaction.atomic():
        _wait_for_flushes(poll_id)
        if not Poll.objects.select_for_update(of=("self",)).filter(id=poll_id).exists():
            return
        # Asked again under the lock: whoever held it before us may have done the work.
        due = Poll.objects.due().filter(id=poll_id)
        opened_at = Coalesce(F("opened_at"), F("opens_at"))
        closing = due.filter(closes_at__lte=Now()).update(
            status=Status.CLOSED, opened_at=opened_at, closed_at=F("closes_at")
        )
        changed = closing or due.update(opened_at=opened_at)
        if not changed:
            return
        raise_seq(poll_id)
    events.publish(poll_id, events.Event.CLOSED if closing else events.Event.OPENED)


def certify_poll(poll_id: uuid.UUID) -> bool:
    """Recount a closed poll and record that it agrees. Return whether it does.

    Needs no lock: nothing can be added to a closed poll.
    """
    count = results.recount(poll_id)
    if not count.equal:
        logger.critical(
            "Poll %s is closed but its recount differs from its tallies: %s against %s.",
            poll_id,
            count.recount,
            count.tally,
        )
        return False
    Poll.objects.filter(id=poll_id, status=Status.CLOSED, certified_at=None).update(
        certified_at=clock()
    )
    return True


def settle_due_polls() -> None:
    """Open and close every poll whose time has come."""
    for poll_id in Poll.objects.due().order_by("id").values_list("id", flat=True)[:500]:
        settle_poll(poll_id)


def certify_closed_polls() -> None:
    """Certify closed polls that are not certified yet.

    One whose recount differed is left alone for a while, so that it neither fills the log nor
    keeps the others waiting.
    """
    now = time.monotonic()
    for poll_id, at in list(_disagreed.items()):
        if now - at >= _DISAGREED_SECONDS:
            del _disagreed[poll_id]
    waiting = Poll.objects.standing().filter(status=Status.CLOSED, certified_at=None)
    waiting = waiting.exclude(id__in=list(_disagreed)).order_by("closed_at")
    for poll_id in waiting.values_list("id", flat=True)[:20]:
        if not certify_poll(poll_id):
            _disagreed[poll_id] = now


def delete_poll(poll_id: uuid.UUID) -> None:
    """Make a poll gone for everybody at once; its rows go later, in chunks."""
    with transaction.atomic():
        poll = lock_poll(poll_id)
        poll.deleted_at = clock()
        poll.save(update_fields=["deleted_at"])
        raise_seq(poll_id)
    events.publish(poll_id, events.Event.DELETED)


def purge_deleted_polls() -> None:
    """Remove the rows of polls that were deleted a minute ago or longer, a chunk at a time."""
    before = clock() - timedelta(minutes=1)
    for poll in Poll.objects.filter(deleted_at__lt=before).order_by("deleted_at")[:5]:
        _purge(poll)


def _purge(poll: Poll) -> None:
    for model, key in (
        (Selection, "ballot_id"),
        (Participation, "voter_key"),
        (Ballot, "id"),
    ):
        while _delete_chunk(model._meta.db_table, key, poll.id):  # noqa: SLF001 - public in Django
            pass
    with transaction.atomic():
        for hot in (TallyBucket, Tally):
            hot.objects.filter(poll_id=poll.id).delete()
        Option.objects.filter(poll_id=poll.id).delete()
        poll.delete()


def _delete_chunk(table: str, key: str, poll_id: uuid.UUID) -> int:
    """Delete some rows of a poll in a short transaction; return how many."""
    poll_key = poll_id.hex if connection.vendor == "sqlite" else poll_id
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {table} WHERE poll_id = %s AND {key} IN "  # noqa: S608 - our own names
            f"(SELECT {key} FROM {table} WHERE poll_id = %s ORDER BY {key} LIMIT {_CHUNK})",
            [poll_key, poll_key],
        )
        return int(cursor.rowcount)


def purge_expired_tickets() -> None:
    """Remove tickets that nobody used in time."""
    LiveTicket.objects.filter(expires_at__lt=clock()).delete()
