"""Events: an evening's polls in their order, and the one that is shown now.

Locks are taken after those of polls: first the polls that are named, by key, then the event. What
deletes or opens a poll holds its lock before it comes here, so neither waits for the other.
"""

import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import F, Max

from accounts.models import User
from polls import events
from polls.domain.database import clock
from polls.domain.definition import MAX_TITLE, text_errors
from polls.domain.join_codes import claim_join_code
from polls.errors import Code, FieldError, Refusal
from polls.ids import uuid7
from polls.models import Event, EventPoll, Poll

MAX_POLLS = 100  # in an event


def create_event(
    owner: User, title: str, polls: Sequence[str] = (), *, current: str | None = None
) -> Event:
    """Create an event of the owner's own polls, in this order; `current` is one of them.

    Raises `invalid_event` naming every field at fault.
    """
    with transaction.atomic():
        _hold_polls(polls)
        order = _checked(owner.pk, title, polls, current)
        event = Event.objects.create(
            id=uuid7(), join_code=claim_join_code(), owner=owner, title=title, created_at=clock()
        )
        _place(event, order)
        if current is not None:
            event.current_id = uuid.UUID(current)
            event.save(update_fields=["current"])
    return event


def edit_event(event_id: uuid.UUID, changes: Mapping[str, Any]) -> None:
    """Change `title`, `polls` (the whole order) or `current` (a poll's id or None).

    Raises `invalid_event` naming every field at fault; what is current must be one of the polls,
    so whoever takes that away says what is shown instead.
    """
    with transaction.atomic():
        if "polls" in changes:
            _hold_polls(changes["polls"])
        event = _locked(event_id)
        before = order_of(event)
        polls = changes.get("polls", [str(poll_id) for poll_id in before])
        current = changes.get("current", event.current_id and str(event.current_id))
        title = changes.get("title", event.title)
        order = _checked(event.owner_id, title, polls, current, event)
        after = title, current and uuid.UUID(current)
        if (event.title, event.current_id, before) == (*after, order):
            return
        if order != before:
            _place(event, order)
        event.title, event.current_id = after
        event.seq += 1
        event.save(update_fields=["title", "current", "seq"])
        _publish_on_commit(event_id)


def show_poll(event_id: uuid.UUID, poll_id: uuid.UUID | None) -> None:
    """Make one of an event's polls the current one, or none."""
    edit_event(event_id, {"current": None if poll_id is None else str(poll_id)})


def add_poll(event_id: uuid.UUID, poll_id: str) -> None:
    """Put one of the owner's polls behind the others, unless it is there already.

    Raises `invalid_event` for one that cannot be there.
    """
    with transaction.atomic():
        _hold_polls([poll_id])
        event = _locked(event_id)
        order = [str(other) for other in order_of(event)]
        if _id(poll_id) in map(_id, order):
            return
        if len(order) == MAX_POLLS:
            raise _too_many()
        added = _checked(event.owner_id, event.title, [*order, poll_id], None, event)[-1]
        last = EventPoll.objects.filter(event=event).aggregate(last=Max("position"))["last"]
        _insert([EventPoll(poll_id=added, event=event, position=0 if last is None else last + 1)])
        _renew(event)


def take_out_poll(event_id: uuid.UUID, poll_id: uuid.UUID) -> None:
    """Take a poll out of an event, if it is there; if it was shown, nothing is now."""
    with transaction.atomic():
        _take_out(_locked(event_id), poll_id)


def move_poll(event_id: uuid.UUID, poll_id: uuid.UUID, by: int) -> None:
    """Let a poll change places with the one before it (-1) or behind it (1), if there is one."""
    with transaction.atomic():
        event = _locked(event_id)
        places = list(EventPoll.objects.filter(event=event).order_by("position"))
        place = next((n for n, found in enumerate(places) if found.poll_id == poll_id), None)
        if place is None or not 0 <= place + by < len(places):
            return
        one, other = places[place], places[place + by]
        free = places[-1].position + 1  # no two stand at one position, not even between
        for poll, position in (
            (one.poll_id, free),
            (other.poll_id, one.position),
            (one.poll_id, other.position),
        ):
            EventPoll.objects.filter(poll=poll).update(position=position)
        _renew(event)


def delete_event(event_id: uuid.UUID) -> None:
    """Make an event gone; its polls stay, and its join code leads nowhere for ever."""
    with transaction.atomic():
        event = _locked(event_id)
        EventPoll.objects.filter(event=event).delete()
        event.delete()
        _publish_on_commit(event_id)


def order_of(event: Event) -> list[uuid.UUID]:
    """Return the ids of an event's polls in their order, drafts included."""
    places = EventPoll.objects.filter(event=event).order_by("position")
    return list(places.values_list("poll_id", flat=True))


# -- what becomes of a poll, under its lock ----------------------------------------------------


def drop_poll(poll_id: uuid.UUID) -> None:
    """Take a poll that is being deleted out of its event; if it was shown, nothing is now."""
    for event_id in EventPoll.objects.filter(poll=poll_id).values_list("event_id", flat=True):
        event = Event.objects.select_for_update(of=("self",)).filter(id=event_id).first()
        if event is not None:  # else it was deleted while its lock was waited for
            _take_out(event, poll_id)


def _take_out(event: Event, poll_id: uuid.UUID) -> None:
    """Let an event that is locked be without this poll, as it may be already."""
    if not EventPoll.objects.filter(poll=poll_id, event=event).delete()[0]:
        return
    if event.current_id == poll_id:
        event.current_id = None
    _renew(event)


def renew_event_of(poll_id: uuid.UUID) -> None:
    """Give the event of a poll that is told otherwise from now on a new version, if it has one."""
    for event_id in EventPoll.objects.filter(poll=poll_id).values_list("event_id", flat=True):
        if Event.objects.filter(id=event_id).update(seq=F("seq") + 1):
            _publish_on_commit(event_id)


def _renew(event: Event) -> None:
    """Give an event that is locked a new version, with what it shows now."""
    event.seq += 1
    event.save(update_fields=["current", "seq"])
    _publish_on_commit(event.id)


def _publish_on_commit(event_id: uuid.UUID) -> None:
    transaction.on_commit(partial(events.publish, event_id, events.Event.AGENDA))


# -- checks and rows ---------------------------------------------------------------------------


def _locked(event_id: uuid.UUID) -> Event:
    event = Event.objects.select_for_update(of=("self",)).filter(id=event_id).first()
    if event is None:
        raise Refusal(Code.NOT_FOUND)
    return event


def _ids(polls: Sequence[str]) -> list[uuid.UUID]:
    """Return the ids that these texts are; what is none is refused when they are checked."""
    return [found for found in map(_id, polls) if found is not None]


def _id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _hold_polls(polls: Sequence[str]) -> None:
    """Let nobody delete or open these polls until the transaction ends; votes go on."""
    if len(polls) > MAX_POLLS:
        raise _too_many()
    if connection.vendor == "postgresql":  # on SQLite every write transaction stands in one queue
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM polls_poll WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE",
                [_ids(polls)],
            )


def _checked(
    owner_id: int,
    title: str,
    polls: Sequence[str],
    current: str | None,
    event: Event | None = None,
) -> list[uuid.UUID]:
    """Return the order of the polls, or raise `invalid_event` naming every field at fault."""
    errors = text_errors("title", title, MAX_TITLE)
    ids = [_id(text) for text in polls]
    found = Poll.objects.standing().filter(id__in=_ids(polls), owner=owner_id)
    owned = dict(found.values_list("id", "event_place__event_id"))
    for place, poll_id in enumerate(ids):
        name = f"polls[{place}]"
        if poll_id not in owned:
            errors.append(FieldError(name, "unknown_poll", "This is no poll of yours."))
        elif poll_id in ids[:place]:
            errors.append(FieldError(name, "repeated", "A poll comes once."))
        elif owned[poll_id] not in {None, event and event.id}:
            errors.append(_in_another_event(name))
    if current is not None and (_id(current) is None or _id(current) not in ids):
        errors.append(FieldError("current", "not_in_event", "It must be one of the event's polls."))
    if errors:
        raise Refusal(Code.INVALID_EVENT, errors=errors)
    return [poll_id for poll_id in ids if poll_id is not None]


def _too_many() -> Refusal:
    detail = f"An event has {MAX_POLLS} polls at most."
    return Refusal(Code.INVALID_EVENT, errors=[FieldError("polls", "too_many", detail)])


def _in_another_event(name: str) -> FieldError:
    return FieldError(name, "in_another_event", "It is in another event.")


def _place(event: Event, order: Sequence[uuid.UUID]) -> None:
    """Make these an event's polls, in this order."""
    EventPoll.objects.filter(event=event).delete()
    _insert(
        [
            EventPoll(poll_id=poll_id, event=event, position=place)
            for place, poll_id in enumerate(order)
        ]
    )


def _insert(places: Sequence[EventPoll]) -> None:
    """Insert places; who comes second to a poll that two events want is refused."""
    try:
        with transaction.atomic():
            EventPoll.objects.bulk_create(places)
    except IntegrityError:
        raise Refusal(Code.INVALID_EVENT, errors=[_in_another_event("polls")]) from None
