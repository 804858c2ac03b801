"""The pages: the way in, a poll's own page, the list of errors, and the protocol of sockets."""

import secrets
from typing import Any

from django.core.signing import BadSignature, Signer
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache

from accounts.models import User
from polls.api.authentication import cookie_token, set_voter_cookie
from polls.domain import voters, voting
from polls.domain.access import access_poll_by_code, may_see_results
from polls.domain.results import read_count
from polls.enums import Identity
from polls.errors import CATALOGUE, Refusal
from polls.ids import JOIN_CODE_LENGTH
from polls.models import Poll
from realtime.asyncapi import document
from web.errors import answer, only
from web.protocol import described

_counted = Signer(salt="polls.counted")


@only("GET", "HEAD")
def home(request: HttpRequest) -> HttpResponse:
    """Show where to enter a join code, or go where the code leads."""
    code = request.GET.get("code", "").strip().upper()
    if len(code) == JOIN_CODE_LENGTH and code.isalnum():
        return redirect("poll", join_code=code)
    return render(request, "web/home.html", {"code": code})


@only("GET", "HEAD")
def errors(request: HttpRequest) -> HttpResponse:
    """List every error code."""
    return render(request, "web/errors.html", {"catalogue": CATALOGUE.items()})


@only("GET", "HEAD")
def protocol(request: HttpRequest) -> HttpResponse:
    """Show the protocol of the sockets: every frame and every close code."""
    return render(request, "web/protocol.html", described(_document(request)))


@only("GET", "HEAD")
def asyncapi(request: HttpRequest) -> HttpResponse:
    """Answer the protocol of the sockets as AsyncAPI 3.0."""
    return JsonResponse(_document(request), headers={"Cache-Control": "public, max-age=60"})


def _document(request: HttpRequest) -> dict[str, Any]:
    return document(host=request.get_host(), secure=request.is_secure())


def _voter(request: HttpRequest, token: str, key: str | None = None) -> voting.Voter:
    user_id = request.user.pk if isinstance(request.user, User) else None
    return voting.Voter(user_id=user_id, token=token, idempotency_key=key)


@never_cache
@only("GET", "HEAD", "POST")
def poll(request: HttpRequest, join_code: str) -> HttpResponse:
    """Show a poll: its ballot, and its count as it moves. A POST casts the ballot."""
    token = cookie_token(request) or voters.issue_voter_token()
    voter = _voter(request, token)
    try:
        found = access_poll_by_code(join_code, voter.viewer())
        if request.method == "POST":
            response = _cast(request, found, token)
        else:
            response = render(request, "web/poll.html", _context(request, found, voter))
    except Refusal as refusal:
        response = answer(request, refusal)
    set_voter_cookie(request, response, token)
    return response


def _cast(request: HttpRequest, found: Poll, token: str) -> HttpResponse:
    """Cast the form's ballot and go back to the page, which then shows the vote."""
    body = {"choices": request.POST.getlist("choices")}
    voter = _voter(request, token, request.POST.get("key"))
    try:
        cast = voting.cast_vote(found.id, body, voter)
    except Refusal as refusal:
        # What may pass says what to do: the same form with the same key can be sent again.
        may_pass = CATALOGUE[refusal.code].retry_after is not None
        telling = may_pass or refusal.errors
        problem = refusal.detail if telling else CATALOGUE[refusal.code].title
        context = _context(request, found, voter) | {"problem": problem}
        return render(request, "web/poll.html", context, status=refusal.status)
    page = reverse("poll", kwargs={"join_code": found.join_code})
    if found.identity == Identity.OPEN:
        # Nobody can look such a vote up again, so the way back carries what it came to.
        page += "?" + urlencode({"counted": _counted.sign(cast.receipt)})
    response = redirect(page)
    response.status_code = 303
    return response


def _receipt_of(request: HttpRequest, own: voting.StandingVote | None) -> str | None:
    """Return the receipt of the voter's vote, as it stands or as they come from casting it."""
    if own is not None:
        return own.receipt
    try:
        return _counted.unsign(request.GET.get("counted", ""))
    except BadSignature:
        return None


def _context(request: HttpRequest, found: Poll, voter: voting.Voter) -> dict[str, Any]:
    """Return what the page shows of a poll to this voter."""
    own = _own_vote(found, voter)
    visible = may_see_results(found, voter.viewer())
    count = read_count(found) if visible else None
    votes = {option.id: option.votes for option in count.options} if count else {}
    most = max(votes.values(), default=0)
    return {
        "poll": found,
        "status": found.status_now,
        "options": [
            {
                "id": str(option.id),
                "text": option.text,
                "votes": votes.get(option.id),
                "chosen": own is not None and str(option.id) in own.choices,
                "share": votes.get(option.id, 0) / most if most else 0,
            }
            for option in found.options.all()
        ],
        "count": count,
        "own": own,
        "receipt": _receipt_of(request, own),
        "needs_account": found.identity == Identity.ACCOUNT and voter.user_id is None,
        # The key of this form: sent twice, it counts once.
        "key": voter.idempotency_key or request.POST.get("key") or secrets.token_urlsafe(24),
        "several": found.max_selections > 1,
    }


def _own_vote(found: Poll, voter: voting.Voter) -> voting.StandingVote | None:
    try:
        return voting.find_vote(found.id, voter)
    except Refusal:
        return None  # an open poll, or no account: nobody to look up
