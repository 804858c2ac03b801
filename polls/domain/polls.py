"""Making and changing polls."""

import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from django.db import transaction

from accounts.models import User
from polls import events
from polls.domain import agenda, rate_limits
from polls.domain.database import clock
from polls.domain.definition import MAX_OPTIONS, Definition, check_definition
from polls.domain.join_codes import claim_join_code
from polls.domain.lifecycle import lock_poll, raise_seq
from polls.domain.rate_limits import Rate
from polls.enums import Status
from polls.errors import Code, FieldError, Refusal
from polls.ids import uuid7
from polls.models import Option, Participation, Poll, PollKey, PollTally, Tally
from polls.text import normalised

# What no ballot may find changed under it.
FROZEN_BY_BALLOTS = (
    "kind",
    "options",
    "min_selections",
    "max_selections",
    "identity",
    "network_cap",
    "secrecy",
    "allow_change",
)


# The fields that stand in the poll's own row under the same name.
_COLUMNS = tuple(f.name for f in fields(Definition) if f.name not in {"options", "max_selections"})


def create_poll(
    owner: User,
    definition: Definition,
    *,
    status: str = Status.OPEN,
    event_id: uuid.UUID | None = None,
) -> Poll:
    """Create a poll with its options, tallies and key, as a draft or open (scheduled if ahead).

    It comes last in the owner's event, if one is named; if it cannot, there is no poll either.
    Raises `too_many` where the owner makes more than people do.
    """
    check_definition(definition)
    rate_limits.count((Rate.POLLS_OF_ACCOUNT, str(owner.pk)))
    with transaction.atomic():
        now = clock()
        opens_now = definition.opens_at is None or definition.opens_at <= now
        poll = Poll(
            id=uuid7(),
            join_code=claim_join_code(),
            owner=owner,
            status=status,
            created_at=now,
            opened_at=now if status == Status.OPEN and opens_now else None,
            max_selections=definition.most_selections,
            **{name: getattr(definition, name) for name in _COLUMNS},
        )
        poll.save(force_insert=True)
        PollTally.objects.create(poll=poll)
        PollKey.objects.create(
            poll=poll, key=secrets.token_bytes(32), code_key=secrets.token_bytes(32)
        )
        _add_options(poll, dict(enumerate(definition.options)))
        if event_id is not None:
            agenda.add_poll(event_id, str(poll.id))
    return poll


def _add_options(poll: Poll, texts: Mapping[int, str]) -> None:
    """Create options, each at its position and with its tally at nought."""
    options = [
        Option(
            id=uuid7(), poll=poll, text=text, normalised_text=normalised(text), position=position
        )
        for position, text in texts.items()
    ]
    Option.objects.bulk_create(options)
    Tally.objects.bulk_create([Tally(poll=poll, option=option) for option in options])


def definition_of(poll: Poll) -> Definition:
    """Return what the organiser has said of a poll so far."""
    return Definition(
        options=[option.text for option in poll.options.all()],
        max_selections=poll.max_selections,
        **{name: getattr(poll, name) for name in _COLUMNS},
    )


def duplicate_poll(poll: Poll, owner: User) -> Poll:
    """Return a new draft with the same definition, but for its times: they may have passed."""
    definition = replace(definition_of(poll), opens_at=None, closes_at=None)
    return create_poll(owner, definition, status=Status.DRAFT)


def edit_poll(poll_id: uuid.UUID, changes: Mapping[str, Any]) -> None:
    """Change fields of a definition under the poll's lock, and raise its revision.

    Raises `poll_frozen` where a ballot exists that was cast under the old rule, or where the time
    that would be changed has passed; `invalid_poll` where the whole cannot be.
    """
    with transaction.atomic():
        poll = lock_poll(poll_id)
        before = definition_of(poll)
        after = replace(before, **changes)
        changed = {
            f.name for f in fields(Definition) if getattr(before, f.name) != getattr(after, f.name)
        }
        if "max_selections" not in changes and changed & {"kind", "options"}:
            after = _with_default_most(before, after)
        check_definition(after, closes_at_is_new="closes_at" in changed)
        if not changed:
            return
        _refuse_frozen(poll, changed)
        for name in _COLUMNS:
            setattr(poll, name, getattr(after, name))
        poll.max_selections = after.most_selections
        if poll.status == Status.OPEN and poll.opened_at is None:
            now = clock()
            if poll.opens_at is None or poll.opens_at <= now:
                poll.opened_at = now
        poll.revision += 1
        poll.save()
        if "options" in changed:
            _replace_options(poll, after.options)
        raise_seq(poll_id)
        if poll.status != Status.DRAFT:
            agenda.renew_event_of(poll_id)
    events.publish(poll_id, events.Event.EDITED)


def _with_default_most(before: Definition, after: Definition) -> Definition:
    """Let max_selections follow kind and options where it stood at its default before."""
    default = replace(before, max_selections=None).most_selections
    if before.max_selections == default:
        return replace(after, max_selections=None)
    return after


def frozen_fields(poll: Poll) -> frozenset[str]:
    """Return the fields that can no longer be changed; it stands only under the poll's lock."""
    frozen: set[str] = set()
    if poll.is_closed or Participation.objects.filter(poll=poll).exists():
        frozen |= set(FROZEN_BY_BALLOTS)
    if poll.opened_at is not None or poll.is_closed:
        frozen.add("opens_at")
    if poll.is_closed:
        frozen.add("closes_at")
    return frozenset(frozen)


def _refuse_frozen(poll: Poll, changed: set[str]) -> None:
    """Raise `poll_frozen` naming what can no longer be changed."""
    if frozen := changed & frozen_fields(poll):
        raise Refusal(
            Code.POLL_FROZEN,
            errors=[
                FieldError(name, "frozen", "It can no longer be changed.")
                for name in sorted(frozen)
            ],
        )


def _replace_options(poll: Poll, texts: Sequence[str]) -> None:
    """Make these the poll's options; those that look the same keep their id."""
    kept = {option.normalised_text: option for option in poll.options.all()}
    wanted = {normalised(text): (place, text) for place, text in enumerate(texts)}
    gone = [option.id for key, option in kept.items() if key not in wanted]
    Tally.objects.filter(poll=poll, option_id__in=gone).delete()
    Option.objects.filter(id__in=gone).delete()
    new: dict[int, str] = {}
    # Two passes, for no two options may stand at one position even for a moment.
    for base in (MAX_OPTIONS, 0):
        for key, (place, text) in wanted.items():
            if key in kept:
                Option.objects.filter(id=kept[key].id).update(position=base + place, text=text)
            elif base == 0:
                new[place] = text
    _add_options(poll, new)
