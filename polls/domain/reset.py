"""Resetting a poll after a rehearsal: as if nobody had ever voted."""

import secrets
import uuid

from django.db import transaction
from django.db.models import F, Sum
from django.db.models.functions import Coalesce

from polls import events
from polls.domain import agenda
from polls.domain.database import tell_planner
from polls.domain.lifecycle import lock_poll
from polls.errors import Code, Refusal
from polls.models import (
    Ballot,
    BallotBucket,
    NetworkCount,
    Participation,
    Poll,
    PollKey,
    PollTally,
    Selection,
    Tally,
    TallyBucket,
)

# A reset is one transaction, or somebody would meet half of it: what it deletes must be gone well
# within a request's time, in which it holds back all votes in this poll.
MAX_MARKS = 100_000  # selections, and voters, whose votes may be withdrawn


def reset_poll(poll_id: uuid.UUID) -> None:
    """Remove all votes of a poll that never was closed, under its lock; nobody has voted then.

    It gets a new key, so old receipts and voters are unknown, and a new revision, so a vote on its
    way is checked anew and counted after the reset, or refused. Codes that were handed out are good
    again. Does nothing where nobody has voted. Raises `poll_closed`, and `poll_frozen` where there
    are more than MAX_MARKS selections or voters.
    """
    with transaction.atomic():
        poll = lock_poll(poll_id)
        if poll.is_closed:
            raise Refusal(Code.POLL_CLOSED, "A count that was final stands; make a new poll.")
        if not Participation.objects.filter(poll=poll).exists():
            return
        marks = _marks_to_remove(poll)
        poll.revision += 1
        poll.save(update_fields=["revision"])
        tell_planner(Selection, marks)
        _remove_votes(poll)
        PollKey.objects.filter(poll=poll).update(
            # Codes of a poll that was made before they had a key of their own go by this one.
            code_key=Coalesce("code_key", "key"),
            key=secrets.token_bytes(32),
        )
        agenda.renew_event_of(poll_id)
    events.publish(poll_id, events.Event.EDITED)


def _marks_to_remove(poll: Poll) -> int:
    """Return how many selections its ballots hold; refuse a poll of too many, or of voters."""
    marks: int = Tally.objects.filter(poll=poll).aggregate(marks=Sum("votes"))["marks"] or 0
    voters = Participation.objects.filter(poll=poll).count()
    for number, held in (
        (marks, f"Its ballots hold {marks:,} selections"),
        (voters, f"It has had {voters:,} voters"),
    ):
        if number > MAX_MARKS:
            detail = f"{held}, and a reset takes {MAX_MARKS:,} at most. Make a new poll."
            raise Refusal(Code.POLL_FROZEN, detail)
    return marks


def _remove_votes(poll: Poll) -> None:
    """Delete in the order in which everybody locks; selections refer to their ballots."""
    Participation.objects.filter(poll=poll).delete()
    NetworkCount.objects.filter(poll=poll).delete()
    Selection.objects.filter(poll=poll).delete()
    Ballot.objects.filter(poll=poll).delete()
    PollTally.objects.filter(poll=poll).update(seq=F("seq") + 1, ballots=0)
    Tally.objects.filter(poll=poll).update(votes=0, points=F("points") * 0)  # null stays null
    TallyBucket.objects.filter(poll=poll).delete()
    BallotBucket.objects.filter(poll=poll).delete()
