"""Opening, closing, certifying and deleting polls."""

import logging
import time
import uuid
from collections.abc import Callable, Iterable
from functools import partial

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from polls import events
from polls.domain import agenda, results
from polls.domain.database import ADVISORY_CLASS, Failure, clock, failure_of, turnstiles
from polls.enums import Secrecy, Status
from polls.errors import Code, FieldError, Refusal
from polls.models import Poll, PollTally

logger = logging.getLogger(__name__)


class LeftAlone:
    """Polls that this process leaves alone for a while, so that they keep no others waiting."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[uuid.UUID, float] = {}

    def add(self, poll_id: uuid.UUID) -> None:
        """Leave a poll alone from now on."""
        self._until[poll_id] = time.monotonic() + self._seconds

    def now(self) -> list[uuid.UUID]:
        """Return the polls whose time is not over."""
        now = time.monotonic()
        # Another thread may add one meanwhile.
        self._until = {poll_id: at for poll_id, at in list(self._until.items()) if at > now}
        return list(self._until)


_stuck = LeftAlone(5.0)  # could not be opened or closed: somebody holds them
_disagreed = LeftAlone(60.0)  # their recount differed, or could not be made


def lock_poll(poll_id: uuid.UUID) -> Poll:
    """Return the poll with its row locked against votes and changes until the transaction ends.

    Its time may have come while nobody looked: it is opened or closed first, so that whoever
    changes it decides by where it stands for the voters. Raises `not_found` where it has been
    deleted meanwhile.
    """
    _wait_for_flushes(poll_id)
    locked = Poll.objects.standing().select_for_update(of=("self",)).filter(id=poll_id)
    poll = locked.first()
    if poll is not None and poll.has_a_time and _settle_locked(poll_id):
        poll = locked.all().first()
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
        if poll.is_closed:
            raise Refusal(Code.POLL_CLOSED)
        if poll.opened_at is not None:
            return
        now = clock()
        if poll.closes_at is not None and poll.closes_at <= now:
            raise _passed("closes_at")
        was_draft = poll.status == Status.DRAFT
        poll.status, poll.opened_at = Status.OPEN, now
        poll.save(update_fields=["status", "opened_at"])
        raise_seq(poll_id)
        if was_draft:
            agenda.renew_event_of(poll_id)
    events.publish(poll_id, events.Event.OPENED)


def schedule_poll(poll_id: uuid.UUID) -> None:
    """Let a draft open by itself at its `opens_at`, which must lie ahead.

    One that is scheduled or open stays so, a closed one is refused.
    """
    with transaction.atomic():
        poll = lock_poll(poll_id)
        if poll.is_closed:
            raise Refusal(Code.POLL_CLOSED)
        if poll.status == Status.OPEN:
            return
        if poll.opens_at is None or poll.opens_at <= clock():
            raise _passed("opens_at")
        poll.status = Status.OPEN
        poll.save(update_fields=["status"])
        raise_seq(poll_id)
        agenda.renew_event_of(poll_id)
    events.publish(poll_id, events.Event.OPENED)


def _passed(field: str) -> Refusal:
    """Return the refusal of a poll whose time has passed before it could open."""
    detail = f"{field} has passed; set another before opening."
    return Refusal(Code.INVALID_POLL, detail, errors=[FieldError(field, "passed", detail)])


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
        poll.closed_at = now if poll.closes_at is None else min(now, poll.closes_at)
        poll.save(update_fields=["status", "closed_at"])
        raise_seq(poll_id)
    events.publish(poll_id, events.Event.CLOSED)


def settle_poll(poll_id: uuid.UUID) -> None:
    """Open or close a poll whose time has come. Of many processes that try, one does it."""
    with transaction.atomic():
        _wait_for_flushes(poll_id)
        if Poll.objects.select_for_update(of=("self",)).filter(id=poll_id).exists():
            _settle_locked(poll_id)


def _settle_locked(poll_id: uuid.UUID) -> bool:
    """Open or close a poll under its lock where its time has come; return whether it had.

    The database's clock is asked again: whoever held the lock before us may have done the work.
    """
    due = Poll.objects.due().filter(id=poll_id)
    opened_at = Coalesce(F("opened_at"), F("opens_at"))
    closing = due.filter(closes_at__lte=Now()).update(
        status=Status.CLOSED, opened_at=opened_at, closed_at=F("closes_at")
    )
    if not closing and not due.update(opened_at=opened_at):
        return False
    raise_seq(poll_id)
    event = events.Event.CLOSED if closing else events.Event.OPENED
    transaction.on_commit(partial(events.publish, poll_id, event))
    return True


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
    closed = Poll.objects.filter(id=poll_id, status=Status.CLOSED, certified_at=None)
    closed.exclude(secrecy=Secrecy.SECRET, shuffled_at=None).update(certified_at=clock())
    return True


def settle_due_polls(owner_id: int | None = None, *, member_id: int | None = None) -> None:
    """Open and close every poll whose time has come, or every one of an owner's or a member's."""
    due = Poll.objects.due()
    if owner_id is not None:
        due = due.filter(owner=owner_id)
    if member_id is not None:
        due = due.filter(members__user=member_id)
    due = due.exclude(id__in=_stuck.now()).order_by("id")
    do_each(due.values_list("id", flat=True)[:500], settle_poll, _stuck)


def certify_closed_polls() -> None:
    """Certify closed polls that are not certified yet."""
    waiting = Poll.objects.standing().filter(status=Status.CLOSED, certified_at=None)
    waiting = waiting.exclude(secrecy=Secrecy.SECRET, shuffled_at=None)
    waiting = waiting.exclude(id__in=_disagreed.now()).order_by("closed_at")

    def certify(poll_id: uuid.UUID) -> None:
        if not certify_poll(poll_id):
            _disagreed.add(poll_id)

    do_each(waiting.values_list("id", flat=True)[:20], certify, _disagreed)


def do_each(
    polls: Iterable[uuid.UUID], chore: Callable[[uuid.UUID], None], left_alone: LeftAlone
) -> None:
    """Do a chore for each poll; one that fails is left alone for a while."""
    for poll_id in polls:
        try:
            chore(poll_id)
        except (DatabaseError, InterfaceError) as error:
            if failure_of(error) is Failure.LOST:
                raise  # as it is for all the others
            logger.warning("Poll %s is left alone for a while: %s", poll_id, error)
            left_alone.add(poll_id)


def delete_poll(poll_id: uuid.UUID) -> None:
    """Make a poll gone for everybody at once; its rows go later, in chunks."""
    with transaction.atomic():
        poll = lock_poll(poll_id)
        poll.deleted_at = clock()
        poll.save(update_fields=["deleted_at"])
        raise_seq(poll_id)
        agenda.drop_poll(poll_id)
    events.publish(poll_id, events.Event.DELETED)
