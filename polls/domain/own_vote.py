"""What a voter is told of their own vote."""

import uuid
from dataclasses import dataclass

from polls.domain.access import access_poll
from polls.domain.ballot_paper import load_ballot_paper
from polls.domain.codes import Lookup
from polls.domain.vote_input import check_key
from polls.domain.voting import Voter, require_identity
from polls.errors import Code, Refusal
from polls.models import Ballot, Participation, Selection


@dataclass(frozen=True, slots=True)
class OwnVote:
    """Whether a vote stands, and, in polls that keep the link, how it was cast."""

    voted: bool
    receipt: str | None = None
    choices: list[str] | None = None
    withdrawn: bool = False  # there was one: the next is a PUT


NO_VOTE = OwnVote(voted=False)


def find_vote(poll_id: uuid.UUID, voter: Voter) -> OwnVote:
    """Return what is known of this voter's vote.

    Raises `not_found` and the identity's refusals; an open poll knows its voters by the
    Idempotency-Key alone.
    """
    check_key(voter.idempotency_key)
    poll = access_poll(poll_id, voter.viewer())
    identity = require_identity(poll, voter)
    if identity is None:
        raise Refusal(Code.VOTER_TOKEN_REQUIRED)
    paper = load_ballot_paper(poll)
    if paper.asks_for_codes:
        Lookup(voter.network).find(paper, identity)
    taken = Participation.objects.filter(poll=poll, voter_key=paper.voter_key(identity))
    while True:
        row = taken.values_list("ballot_id").first()
        if row is None:
            return NO_VOTE
        if paper.is_secret:
            return OwnVote(voted=True)
        (ballot_id,) = row
        if ballot_id is None:
            return OwnVote(voted=False, withdrawn=True)
        chosen = Selection.objects.filter(poll=poll, ballot_id=ballot_id)
        chosen = chosen.order_by("option__position")
        choices = [str(option) for option in chosen.values_list("option_id", flat=True)]
        # Last, for a reset or a change takes all of it at once: where the ballot still stands, so
        # did its marks. Where it does not, another may stand in its place: ask again.
        receipts = Ballot.objects.filter(poll=poll, id=ballot_id).values_list("receipt", flat=True)
        receipt = receipts.first()
        if receipt is not None:
            return OwnVote(voted=True, receipt=bytes(receipt).hex(), choices=choices)
