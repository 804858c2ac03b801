"""A voter's own vote on its page: cast, changed or withdrawn by a form, and told afterwards."""

import unicodedata
from dataclasses import replace

from django.core.signing import BadSignature, Signer
from django.http import HttpRequest

from polls.domain import voting
from polls.domain.access import Viewer
from polls.domain.own_vote import NO_VOTE, OwnVote, find_vote
from polls.domain.statements import Action
from polls.enums import Identity, Secrecy, Visibility
from polls.errors import Code, Refusal
from polls.models import Poll
from web.ballots import FORMS

_counted = Signer(salt="polls.counted")
_ACTIONS = {"replace": Action.REPLACE, "withdraw": Action.WITHDRAW}
_WITHDRAWN = "withdrawn"  # in the place of a receipt
_MOST = 100  # characters of a code that are looked at
# By whom nobody can look a vote up again: the page has no code, and an open poll knows no voter.
_UNKNOWN_AFTERWARDS = frozenset({Identity.OPEN, Identity.CODE})


def read_code(request: HttpRequest) -> str:
    """Return the voting code of a form, without what people and phones put between its letters."""
    typed = unicodedata.normalize("NFKC", request.POST.get("code", "")[:_MOST])
    return "".join(c for c in typed if c.isascii() and c.isalnum())


def with_code(request: HttpRequest, found: Poll, voter: voting.Voter) -> voting.Voter:
    """Return the voter with the form's code where the poll asks for one."""
    return replace(voter, code=read_code(request)) if found.identity == Identity.CODE else voter


def cast_form(request: HttpRequest, found: Poll, voter: voting.Voter) -> voting.Receipt:
    """Do with a vote what the form's button says, or raise why that cannot be."""
    voter = with_code(request, found, voter)
    body = FORMS[found.kind].read(request.POST)
    if voter.code is not None:
        body["code"] = voter.code
    action = _ACTIONS.get(request.POST.get("action", ""), Action.CAST)
    return voting.cast_vote(found.id, body, voter, action=action)


def is_about_code(found: Poll, refusal: Refusal) -> bool:
    """Whether a refusal is told at the field of the code."""
    return found.identity == Identity.CODE and refusal.code in {Code.CODE_INVALID, Code.TOO_MANY}


def own_vote_of(found: Poll, voter: voting.Voter) -> OwnVote:
    """Return what is known of the voter's vote; nothing where nobody can be looked up."""
    if voter.token is None and voter.user_id is None:
        return NO_VOTE
    try:
        return find_vote(found.id, voter)
    except Refusal:
        return NO_VOTE


def viewer_of(found: Poll, voter: voting.Voter) -> Viewer:
    """Return the voter as one who reads: by the code, unless others are guessing at codes."""
    try:
        return voter.viewer_by_code([found])
    except Refusal:
        return voter.viewer()


def is_told_at_once(found: Poll) -> bool:
    """Whether a form is answered by the page itself, for no address may carry what came of it.

    A log keeps addresses, and from the receipt of a secret vote its ballot could be found. Nor can
    an address show the holder of a code the results that a vote opens.
    """
    hidden = found.results_visibility == Visibility.AFTER_VOTE
    return found.secrecy == Secrecy.SECRET or (found.identity == Identity.CODE and hidden)


def counted_query(found: Poll, cast: voting.Receipt) -> dict[str, str]:
    """Return what the way back carries where nobody can look the vote up again."""
    if found.identity not in _UNKNOWN_AFTERWARDS:
        return {}
    told = _WITHDRAWN if cast.action is Action.WITHDRAW or cast.withdrawn else cast.receipt
    return {"counted": _counted.sign(f"{_ballots_of(found)}{told}")}


def told_of(request: HttpRequest, found: Poll, own: OwnVote) -> tuple[str | None, bool]:
    """Return the receipt of the voter's vote, as it stands or as they come from casting it.

    And whether there is none for it was withdrawn.
    """
    if own.receipt is not None or own.withdrawn:
        return own.receipt, own.withdrawn
    try:
        told = _counted.unsign(request.GET.get("counted", ""))
    except BadSignature:
        return None, False
    if found.identity not in _UNKNOWN_AFTERWARDS or not told.startswith(_ballots_of(found)):
        return None, False
    told = told.removeprefix(_ballots_of(found))
    return (None, True) if told == _WITHDRAWN else (told, False)


def _ballots_of(found: Poll) -> str:
    """Return what a receipt is told with: the poll, and how it stood when the vote was cast."""
    return f"{found.id} {found.revision} "
