"""Polls and votes in the domain's words, and what the database holds of them."""

import secrets
import uuid
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Sum

from polls.domain import voting
from polls.domain.ballot_paper import BallotPaper, load_ballot_paper
from polls.domain.definition import Definition
from polls.domain.outcomes import Counted
from polls.domain.polls import create_poll
from polls.domain.statements import Action, Cast, Tallied
from polls.ids import new_join_code, uuid7
from polls.models import (
    Ballot,
    JoinCode,
    Option,
    Participation,
    Poll,
    PollKey,
    PollTally,
    Selection,
    Tally,
    TallyBucket,
)
from tests.cast import Person
from tests.polls.threads import boxes, outcomes

OPTIONS = ("Pizza", "Sushi", "Soup")


def new_paper(owner: Person, *, status: str = "open", **definition: Any) -> BallotPaper:
    """Make a poll of three options and return its ballot paper."""
    assert owner.user is not None
    fields = {"title": "Lunch?", "options": OPTIONS, **definition}
    return load_ballot_paper(create_poll(owner.user, Definition(**fields), status=status))


def new_papers(owner: Person, count: int) -> list[BallotPaper]:
    """Make many polls in a few statements."""
    assert owner.user is not None
    polls = [Poll(id=uuid7(), owner=owner.user, title="Lunch?") for _ in range(count)]
    codes = set[str]()
    while len(codes) < count:
        codes.add(new_join_code())
    for poll, code in zip(polls, codes, strict=True):
        poll.join_code, poll.opened_at = code, poll.created_at
    options = [
        Option(id=uuid7(), poll=poll, text=text, normalised_text=text, position=position)
        for poll in polls
        for position, text in enumerate(OPTIONS)
    ]
    JoinCode.objects.bulk_create([JoinCode(code=code) for code in codes])
    Poll.objects.bulk_create(polls)
    Option.objects.bulk_create(options)
    Tally.objects.bulk_create([Tally(poll=option.poll, option=option) for option in options])
    PollTally.objects.bulk_create([PollTally(poll=poll) for poll in polls])
    keys = {poll.id: secrets.token_bytes(32) for poll in polls}
    PollKey.objects.bulk_create([PollKey(poll_id=poll, key=key) for poll, key in keys.items()])
    return [load_ballot_paper(poll) for poll in polls]


def make_cast(
    paper: BallotPaper,
    *places: int,
    voter: str | None = None,
    key: str | None = None,
    network: str = "192.0.2.1",
    action: Action = Action.CAST,
) -> Cast:
    """Return a checked vote for the options at these places; each nameless voter is another."""
    chosen = paper.canonical([list(paper.options)[place] for place in places])
    ballot = voting.NO_BALLOT if action is Action.WITHDRAW else chosen
    sender = voting.Voter(idempotency_key=key, network=network)
    return voting.make_cast(paper, voter or uuid.uuid4().hex, sender, ballot, action)


def counted(cast: Cast, seq: int) -> Counted:
    """Return the outcome of a vote that was counted first in this version."""
    return Counted(cast.receipt, seq, Tallied(seq, 0))  # what else it says is not compared


def casts_of(paper: BallotPaper, count: int) -> list[Cast]:
    """Return votes of so many voters, spread over the options."""
    return [make_cast(paper, place % len(paper.options)) for place in range(count)]


def voted(owner: Person, count: int = 10) -> BallotPaper:
    """Make a poll with so many ballots, some of which mark two options."""
    paper = new_paper(owner, kind="multiple")
    marks = [(place % 3,) if place % 4 else (0, 2) for place in range(count)]
    with boxes() as (box,):
        outcomes([box.submit(make_cast(paper, *places)) for places in marks])
    assert stored(paper.poll_id).ballots == count
    return paper


@dataclass(frozen=True)
class Stored:
    """What the tables say of one poll; lists go by the options' positions."""

    participations: int
    ballots: int
    selections: list[int]
    kept_ballots: int
    votes: list[int]
    bucketed: list[int]
    seq: int


def stored(poll_id: uuid.UUID) -> Stored:
    """Read all of a poll's tables."""
    options = list(Option.objects.filter(poll=poll_id).values_list("id", flat=True))
    marked = Selection.objects.filter(poll=poll_id).values_list("option_id")
    selections = dict(marked.annotate(Count("ballot_id")))
    bucketed = dict(
        TallyBucket.objects.filter(poll=poll_id).values_list("option_id").annotate(Sum("votes"))
    )
    votes = dict(Tally.objects.filter(poll=poll_id).values_list("option_id", "votes"))
    assert not selections.keys() - set(options)
    tally = PollTally.objects.get(poll=poll_id)
    return Stored(
        participations=Participation.objects.filter(poll=poll_id).count(),
        ballots=Ballot.objects.filter(poll=poll_id).count(),
        selections=[selections.get(option, 0) for option in options],
        kept_ballots=tally.ballots,
        votes=[votes[option] for option in options],
        bucketed=[bucketed.get(option, 0) for option in options],
        seq=tally.seq,
    )


def disagreements(found: Stored) -> list[str]:
    """Return which of a poll's kept counts differ from its counted rows."""
    return [
        name
        for name, kept, counted in (
            ("participations", found.participations, found.ballots),
            ("ballots", found.kept_ballots, found.ballots),
            ("votes", found.votes, found.selections),
            ("buckets", found.bucketed, found.selections),
        )
        if kept != counted
    ]
