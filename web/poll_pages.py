"""The pages of one poll: its ballot, its results, the big screen, and the codes that lead there."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render, resolve_url
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import get_language
from django.views.decorators.cache import never_cache

from accounts.models import User
from polls.api.authentication import cookie_token, set_voter_cookie, source_of
from polls.domain import voters, voting
from polls.domain.access import Viewer
from polls.enums import Identity, Kind, Visibility
from polls.errors import Refusal
from polls.models import Poll
from web import fresh, own_votes, words
from web.addresses import qr_picture, qr_svg, way_in
from web.ballots import FORMS
from web.errors import View, answer, only, refusals_as_pages
from web.joining import Joined, join, joined_poll, neighbours
from web.showing import joined_context, poll_context


def voter_of(request: HttpRequest, token: str | None, key: str | None = None) -> voting.Voter:
    """Return whoever holds the browser: its account, its voter token, its form's key."""
    user_id = request.user.pk if isinstance(request.user, User) else None
    return voting.Voter(
        user_id=user_id, token=token, idempotency_key=key, network=source_of(request)
    )


def page(*methods: str) -> Callable[[View], View]:
    """Make a view a page that no cache keeps: it takes these methods and tells refusals."""

    def decorate(view: View) -> View:
        return never_cache(only(*methods)(refusals_as_pages(view)))

    return decorate


# -- the ballot ------------------------------------------------------------------------------


@never_cache
@only("GET", "HEAD", "POST")
def poll(request: HttpRequest, join_code: str) -> HttpResponse:
    """Show a poll: its ballot, and its count as it moves. A POST casts the ballot."""
    token = cookie_token(request) or voters.issue_voter_token()
    voter = voter_of(request, token)
    try:
        joined = join(join_code, voter.viewer())
        if request.method == "POST":
            found = joined_poll(joined, request.POST.get("poll", ""), voter.viewer())
            response = _cast(request, replace(joined, poll=found), token)
        elif joined.poll is None:
            context = _empty_ballot(request, joined, voter.viewer())
            response = render(request, "web/poll.html", context)
        elif request.COOKIES or request.GET.keys() - {"lang"}:
            context = ballot_context(request, joined, joined.poll, voter)
            response = render(request, "web/poll.html", context)
        else:
            response = HttpResponse(_fresh_ballot(request, joined, joined.poll))
    except Refusal as refusal:
        response = answer(request, refusal)
    set_voter_cookie(request, response, token)
    return response


def _fresh_ballot(request: HttpRequest, joined: Joined, found: Poll) -> str:
    """Return the page for a browser that has no cookie: one drawing serves all of them."""
    nobody = voter_of(request, None)

    def draw() -> str:
        context = ballot_context(request, joined, found, nobody)
        context |= {"key": fresh.KEY, "csrf_token": fresh.CSRF}
        return render_to_string("web/poll.html", context, request)

    what = (
        *(found.id, found.revision, found.status_now),
        *(joined.code, joined.event and joined.event.seq),
        *(get_language(), request.GET.get("lang"), request.scheme, request.get_host()),
    )
    text = fresh.drawings.get(what, draw)
    return fresh.filled(text, key=_new_key(), csrf=get_token(request))


def _new_key() -> str:
    return secrets.token_urlsafe(24)


def _wait(request: HttpRequest, joined: Joined, viewer: Viewer) -> HttpResponse:
    """Show that an event shows nothing now; the page follows it."""
    context = joined_context(request, joined, viewer) | {"texts": words.result_texts()}
    return render(request, "web/waiting.html", context)


def _cast(request: HttpRequest, joined: Joined, token: str) -> HttpResponse:
    """Cast the form's ballot and go back to the page, which then shows the vote."""
    found = joined.poll
    assert found is not None  # noqa: S101 - it is what the form was for
    voter = voter_of(request, token, request.POST.get("key"))
    try:
        cast = own_votes.cast_form(request, found, voter)
    except Refusal as refusal:
        context = ballot_context(request, joined, found, voter)
        if own_votes.is_about_code(found, refusal):
            context |= {"code_problem": words.told_of_code(refusal)}
        else:
            context |= {"problem": words.told(refusal)}
        response = render(request, "web/poll.html", context, status=refusal.status)
        # What may pass says so: the same form with the same key can be sent again.
        if "Retry-After" in refusal.headers:
            response.headers["Retry-After"] = refusal.headers["Retry-After"]
        return response
    if own_votes.is_told_at_once(found):
        # The next vote of an open poll has another key.
        voter = replace(own_votes.with_code(request, found, voter), idempotency_key=None)
        context = ballot_context(request, joined, found, voter, cast=cast)
        return render(request, "web/poll.html", context)
    query = {name: request.GET[name] for name in ("lang",) if name in request.GET}
    query |= own_votes.counted_query(found, cast)
    back = reverse("poll", kwargs={"join_code": joined.code})
    response = redirect(f"{back}?{urlencode(query)}" if query else back)
    response.status_code = 303
    return response


def _empty_ballot(request: HttpRequest, joined: Joined, viewer: Viewer) -> dict[str, Any]:
    """Return what the page shows of an event that shows nothing: its script draws what comes."""
    return joined_context(request, joined, viewer) | {
        "ballot": FORMS[Kind.SINGLE],
        "blank": _BLANK,
        "texts": words.voting_texts() | words.turning_texts(),
    }


# The template of an option that a script fills in.
_BLANK = ({"id": "", "text": "", "votes": None, "share": 0, "chosen": False},)


def ballot_context(
    request: HttpRequest,
    joined: Joined,
    found: Poll,
    voter: voting.Voter,
    *,
    cast: voting.Receipt | None = None,
) -> dict[str, Any]:
    """Return what the ballot's page shows of a poll to this voter, who has `cast` a vote just now.

    What a form brought that could not be cast stands there again.
    """
    own = own_votes.own_vote_of(found, voter)
    context = poll_context(request, joined, found, own_votes.viewer_of(found, voter))
    receipt, withdrawn = own_votes.told_of(request, found, own)
    brought = QueryDict() if cast else request.POST
    marked = brought.getlist("choices") if own.choices is None else own.choices
    for option in context["options"]:
        option["chosen"] = option["id"] in marked
    form = FORMS[found.kind]
    return context | {
        "ballot": form,
        "blank": _BLANK,
        "rule": form.rule(found, len(context["options"])),
        "several": found.max_selections > 1,
        "receipt": cast.receipt if cast else receipt,
        "voted": own.voted,
        "withdrawn": withdrawn,
        "settled": own.voted and not found.allow_change,
        "asks_code": found.identity == Identity.CODE,
        "login": resolve_url(settings.LOGIN_URL),
        "needs_account": found.identity == Identity.ACCOUNT and voter.user_id is None,
        # The key of this form: sent twice, it counts once.
        "key": voter.idempotency_key or brought.get("key") or _new_key(),
        "typed_code": brought.get("code", ""),
        "texts": words.voting_texts() | (words.turning_texts() if joined.event else {}),
    }


# -- results and the big screen --------------------------------------------------------------


@page("GET", "HEAD")
def results(request: HttpRequest, join_code: str) -> HttpResponse:
    """Show a poll's count as it moves."""
    viewer = voter_of(request, cookie_token(request)).viewer()
    joined = join(join_code, viewer)
    if joined.poll is None:
        return _wait(request, joined, viewer)
    context = poll_context(request, joined, joined.poll, viewer)
    return render(request, "web/results.html", context | {"texts": words.result_texts()})


@page("GET", "HEAD")
def present(request: HttpRequest, join_code: str) -> HttpResponse:
    """Show a poll on the big screen; its owner and its organisers can run it from there."""
    viewer = voter_of(request, cookie_token(request)).viewer()
    joined = join(join_code, viewer)
    if joined.poll is None:
        return _wait(request, joined, viewer)
    context = poll_context(request, joined, joined.poll, viewer)
    # The event is the owner's alone.
    turns = joined.event is not None and viewer.user_id == joined.event.owner_id
    if joined.event is not None and turns:
        before, after = neighbours(joined.event, joined.poll.id)
        context |= {"previous": before, "next": after}
    many = len(context["options"])
    secretive = joined.poll.results_visibility != Visibility.ALWAYS and not joined.poll.is_closed
    context |= {
        "texts": words.result_texts(),
        # Nothing secret is on the wall before a script has hidden it.
        "veiled": secretive or context["count"] is None,
        "secretive": secretive,
        "turns": turns,
        "qr": qr_svg(context["address"]),
        "size": next(size for most, size in _SIZES if many <= most),
    }
    return render(request, "web/present.html", context)


# How large the big screen writes, by the number of options.
_SIZES = ((4, "few"), (8, "some"), (100, "many"))


@only("GET", "HEAD")
def qr_image(request: HttpRequest, join_code: str, form: str) -> HttpResponse:
    """Answer the QR code of a poll's address, as a picture to put on a slide or a sheet."""
    try:
        joined = join(join_code, voter_of(request, None).viewer())
    except Refusal as refusal:
        return answer(request, refusal)
    kinds = {"png": "image/png", "svg": "image/svg+xml"}
    return HttpResponse(
        qr_picture(way_in(request, joined.code)["address"], form),
        content_type=kinds[form],
        headers={"Cache-Control": "public, max-age=3600" if settings.PUBLIC_URL else "no-store"},
    )
