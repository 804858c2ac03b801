"""What votes that may be changed have left in the tables, second by second."""

import uuid
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F

from polls.domain import results
from polls.models import (
    Ballot,
    Participation,
    PollTally,
    Selection,
    Tally,
    TallyBucket,
)

Bucket = tuple[datetime, uuid.UUID]  # the second, and the option


def faults(poll: uuid.UUID | str) -> list[str]:
    """Return where a poll's kept counts are not exactly what its standing votes make.

    Ballots are counted by the participations that refer to them, marks by the ballots, buckets by
    the second that each participation names; a bucket without a ballot is a fault.
    """
    poll_id = uuid.UUID(str(poll))
    votes = Participation.objects.filter(poll=poll_id, ballot_id__isnull=False)
    cast_at = dict(votes.values_list("ballot_id", "counted_at"))
    ballots = set(Ballot.objects.filter(poll=poll_id).values_list("id", flat=True))
    marked = list(Selection.objects.filter(poll=poll_id).values_list("ballot_id", "option_id"))
    by_option = Counter(option for _, option in marked)
    by_second = Counter((cast_at.get(ballot), option) for ballot, option in marked)
    kept = dict(Tally.objects.filter(poll=poll_id).values_list("option_id", "votes"))
    recount = results.recount(poll_id)
    pairs: dict[str, tuple[object, object]] = {
        "participations": (set(cast_at), ballots),
        "marked ballots": ({ballot for ballot, _ in marked}, ballots),
        "ballots": (PollTally.objects.get(poll=poll_id).ballots, len(ballots)),
        "votes": (kept, {option: by_option[option] for option in kept}),
        "buckets": (buckets(poll_id), by_second),
        "recount": (recount.equal, True),
    }
    return [f"{name}: {one} {other}" for name, (one, other) in pairs.items() if one != other]


def buckets(poll: uuid.UUID | str) -> dict[Bucket, int]:
    """Return the buckets of a poll as they are kept."""
    rows = TallyBucket.objects.filter(poll=uuid.UUID(str(poll))).values_list(
        "at", "option_id", "votes"
    )
    return {(at, option): votes for at, option, votes in rows}


def standings(poll: uuid.UUID | str) -> dict[bytes, bytes | None]:
    """Return the receipt of what stands for each voter key, None where the vote is withdrawn."""
    poll_id = uuid.UUID(str(poll))
    ballots = Ballot.objects.filter(poll=poll_id).values_list("id", "receipt")
    receipts = {ballot: bytes(receipt) for ballot, receipt in ballots}
    votes = Participation.objects.filter(poll=poll_id).values_list("voter_key", "ballot_id")
    return {bytes(key): receipts[ballot] if ballot else None for key, ballot in votes}


def let_time_pass(poll: uuid.UUID | str, **duration: int) -> None:
    """Let everything in a poll have been cast this much earlier."""
    earlier = timedelta(**duration)
    votes = Participation.objects.filter(poll=uuid.UUID(str(poll)), counted_at__isnull=False)
    votes.update(counted_at=F("counted_at") - earlier)
    TallyBucket.objects.filter(poll=uuid.UUID(str(poll))).update(at=F("at") - earlier)


def timeline_of(person: Any, poll: dict[str, Any]) -> list[list[int]]:
    """Return the votes of each bucket of a timeline, by the options' places, the earliest first."""
    body = person.get(f"{poll['links']['self']}timeline/").json()
    ids = [option["id"] for option in poll["options"]]
    return [[bucket["votes"][option] for option in ids] for bucket in body["buckets"]]
