"""The organiser's polls: their list, a new one, and the page from which one is run."""

import uuid
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from polls.domain import lifecycle
from polls.domain import polls as domain
from polls.domain.access import (
    access_event_for_owner,
    access_poll_for_organiser,
    polls_shared_with,
    role_of,
)
from polls.domain.definition import Definition
from polls.domain.members import members_of
from polls.domain.results import read_count
from polls.enums import OWNER, Role, Status
from polls.errors import Code, Refusal
from polls.models import Event, Poll
from web import words as pages_words
from web.addresses import qr_svg, way_in
from web.desk import words
from web.desk.codes import described_codes
from web.desk.forms import PollForm, rows_of
from web.desk.pages import desk_page, go, owner_of, viewer_of
from web.embed import embed_line

PAGE_SIZE = 20  # one socket follows them all
_TO_MEND = frozenset({Code.INVALID_POLL, Code.INVALID_EVENT, Code.NOT_AVAILABLE, Code.POLL_FROZEN})


@desk_page("GET", "HEAD")
def polls(request: HttpRequest) -> HttpResponse:
    """List the organiser's polls, newest first."""
    owner = owner_of(request)
    lifecycle.settle_due_polls(owner.pk)
    own = Poll.objects.standing().filter(owner=owner).select_related("tally")
    pages = Paginator(own.order_by("-created_at", "-id"), PAGE_SIZE)
    shown = pages.get_page(request.GET.get("page"))
    context = {
        "page": shown,
        "polls": [described(found) for found in shown],
        "shared": polls_shared_with(viewer_of(request)).exists(),
        "texts": words.texts(),
    }
    return render(request, "web/desk/polls.html", context)


def described(found: Poll, role: str | None = OWNER) -> dict[str, Any]:
    """Return what the desk shows of a poll, wherever it stands, to somebody with this role."""
    status = found.status_now
    return {
        "poll": found,
        "status": status,
        "status_word": pages_words.word_of(status),
        "ballots": found.tally.ballots,
        "owned": role == OWNER,
        "runs": role in {OWNER, Role.ORGANISER},
        "role_word": words.role_word(role),
    }


# -- a new one -------------------------------------------------------------------------------


@desk_page("GET", "HEAD", "POST")
def new(request: HttpRequest) -> HttpResponse:
    """Make a poll. `?title=…&option=…&option=…` fills the form in, `?event=…` is where it goes."""
    into = _event_of(request)
    if request.method != "POST":
        initial = {"title": request.GET.get("title", "").replace("\0", "")}
        form = PollForm(initial=initial, rows=rows_of(request.GET))
        if not initial["title"]:
            form.fields["title"].widget.attrs["autofocus"] = True
        return _show_new(request, form, into)
    form = PollForm(request.POST)
    if command := request.POST.get("do"):
        form.rearrange(command)
        return _show_new(request, form, into)
    if not form.is_valid():
        return _show_new(request, form, into, status=400)
    status = Status.DRAFT if request.POST.get("status") == Status.DRAFT else Status.OPEN
    given = {"options": [], **form.given()}
    try:
        made = domain.create_poll(
            owner_of(request),
            Definition(**given),
            status=status,
            event_id=None if into is None else into.id,
        )
    except Refusal as refusal:
        if refusal.code not in _TO_MEND:
            raise
        form.refuse(refusal)
        return _show_new(request, form, into, status=400)
    said = str(_MADE[made.status_now])
    if into is not None:
        return go(request, "event", said, event_id=into.id)
    return go(request, "poll", said, poll_id=made.id)


def _event_of(request: HttpRequest) -> Event | None:
    """Return the event that a new poll is for, if the address names one."""
    named = request.GET.get("event")
    if named is None:
        return None
    try:
        event_id = uuid.UUID(named)
    except ValueError:
        raise Refusal(Code.NOT_FOUND) from None
    return access_event_for_owner(event_id, viewer_of(request))


_MADE = {
    "draft": gettext_lazy("The draft is kept. Nobody but you can see it."),
    "scheduled": gettext_lazy("The poll opens by itself at its time."),
    "open": gettext_lazy("The poll is open."),
}


def _show_new(
    request: HttpRequest, form: PollForm, into: Event | None, *, status: int = 200
) -> HttpResponse:
    if status != 200:  # noqa: PLR2004 - HTTP
        form.point()
    context = {"form": form, "event": into, "texts": words.texts()}
    return render(request, "web/desk/new.html", context, status=status)


# -- one of them -----------------------------------------------------------------------------


@desk_page("GET", "HEAD", "POST")
def poll(request: HttpRequest, poll_id: uuid.UUID) -> HttpResponse:
    """Show where a poll stands, how people get to it, and its definition. A POST changes that."""
    found = access_poll_for_organiser(poll_id, viewer_of(request))
    if request.method != "POST":
        form = form_of(found)
        form.freeze(domain.frozen_fields(found))
        return show(request, found, form)
    form = form_of(found, request)
    if command := request.POST.get("do"):
        form.rearrange(command)
        return show(request, found, form, editing=True)
    if not form.is_valid():
        return show(request, found, form, editing=True, status=400)
    try:
        domain.edit_poll(found.id, form.changes())
    except Refusal as refusal:
        if refusal.code not in _TO_MEND:
            raise
        form.refuse(refusal)
        if refusal.code == Code.POLL_FROZEN:
            form.add_error(None, words.too_late())
        return show(request, found, form, editing=True, status=refusal.status)
    return go(request, "poll", _("Your changes are kept."), poll_id=found.id)


def form_of(found: Poll, request: HttpRequest | None = None) -> PollForm:
    """Return the form of a poll as it stands, or as it has been filled in."""
    definition = domain.definition_of(found)
    default = Definition(title="", options=definition.options, kind=found.kind).most_selections
    times = {
        name: None if at is None else at.replace(second=0, microsecond=0)
        for name, at in (("opens_at", found.opens_at), ("closes_at", found.closes_at))
    }
    initial = {
        "title": found.title,
        "description": found.description,
        "kind": found.kind,
        "min_selections": found.min_selections,
        "max_selections": None if found.max_selections == default else found.max_selections,
        "identity": found.identity,
        "network_cap": found.network_cap,
        "secrecy": found.secrecy,
        "allow_change": found.allow_change,
        "results_visibility": found.results_visibility,
        "embed_origins": "\n".join(found.embed_origins),
        **times,
    }
    data = None if request is None else request.POST
    return PollForm(data, initial=initial, rows=list(definition.options))


def show(  # noqa: PLR0913 - what a form has come to
    request: HttpRequest,
    found: Poll,
    form: PollForm,
    *,
    editing: bool = False,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    """Show a poll's page; what is frozen by now is shown as it stands, whatever was sent.

    `problem` is why somebody could not be made a member.
    """
    form.freeze(domain.frozen_fields(found), rows=domain.definition_of(found).options)
    if status != 200:  # noqa: PLR2004 - HTTP
        form.point()
    way = way_in(request, found.join_code)
    counted = {option.id: option.votes for option in read_count(found).options}
    role = role_of(found, viewer_of(request))
    context = {
        **described(found, role),
        **described_codes(found),
        "members": [(one, words.role_word(one.role)) for one in members_of(found.id)],
        "roles": [(role.value, words.role_word(role)) for role in Role],
        "problem": problem,
        "rules": pages_words.rules_in_words(found),
        "form": form,
        "editing": editing or found.status == Status.DRAFT,
        "frozen": "kind" in domain.frozen_fields(found),
        "counts": [(option, counted[option.id]) for option in found.options.all()],
        **way,
        "qr": qr_svg(way["address"]),
        "embed": embed_line(request, found),
        "event": Event.objects.filter(places__poll=found).first() if role == OWNER else None,
        "ahead": found.opens_at is not None and found.status == Status.DRAFT,
        "texts": words.texts(),
    }
    return render(request, "web/desk/poll.html", context, status=status)
