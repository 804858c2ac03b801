"""The organiser's events: their list, a new one, and the page from which one is run."""

import uuid
from collections.abc import Callable, Collection

from django import forms
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from polls.domain import agenda, lifecycle
from polls.domain.access import access_event_for_owner
from polls.domain.definition import MAX_TITLE
from polls.enums import Status
from polls.errors import Code, Refusal
from polls.models import Event, Poll
from web.addresses import qr_svg, way_in
from web.desk import words
from web.desk.actions import Question
from web.desk.pages import desk_page, go, owner_of, viewer_of
from web.desk.polls import PAGE_SIZE, described
from web.errors import View


class EventForm(forms.Form):
    """An event's title, and polls to put in it. What may be chosen is the domain's to say."""

    title = forms.CharField(
        label=gettext_lazy("Title of the event"),
        required=False,
        widget=forms.TextInput(attrs={"maxlength": MAX_TITLE, "required": True, "dir": "auto"}),
    )

    def __init__(self, data: QueryDict | None = None, *, title: str = "") -> None:
        super().__init__(data, initial={"title": title})
        self.polls = [] if data is None else data.getlist("polls")
        self.polls_errors: list[str] = []

    def refuse(self, refusal: Refusal) -> None:
        """Show each fault beside what it is of."""
        if refusal.code != Code.INVALID_EVENT:
            raise refusal
        for error in refusal.errors:
            sentence = words.fault(error)
            if error.field == "title":
                self.add_error("title", sentence)
            elif sentence not in self.polls_errors:
                self.polls_errors.append(sentence)

    def point(self) -> None:
        """Let the browser begin at the title where that is at fault."""
        if "title" in self.errors:
            self.fields["title"].widget.attrs["autofocus"] = True


def _unplaced(owner: User) -> list[Poll]:
    """Return the owner's polls that are in no event, the oldest first, as many as one takes."""
    own = Poll.objects.standing().filter(owner=owner, event_place=None)
    return list(own.order_by("-created_at", "-id")[: agenda.MAX_POLLS])[::-1]


# -- their list, and a new one ---------------------------------------------------------------


@desk_page("GET", "HEAD", "POST")
def events(request: HttpRequest) -> HttpResponse:
    """List the organiser's events, newest first. A POST makes one."""
    owner = owner_of(request)
    if request.method != "POST":
        return _show_events(request, EventForm())
    form = EventForm(request.POST)
    if form.is_valid():
        try:
            made = agenda.create_event(owner, form.cleaned_data["title"], form.polls)
        except Refusal as refusal:
            form.refuse(refusal)
        else:
            return go(request, "event", _("The event is made."), event_id=made.id)
    form.point()
    return _show_events(request, form, status=400)


def _show_events(request: HttpRequest, form: EventForm, *, status: int = 200) -> HttpResponse:
    owner = owner_of(request)
    lifecycle.settle_due_polls(owner.pk)
    own = Event.objects.filter(owner=owner).select_related("current").annotate(n=Count("places"))
    pages = Paginator(own.order_by("-created_at", "-id"), PAGE_SIZE)
    context = {
        "form": form,
        "choices": [
            (found, str(found.id) in form.polls, described(found)["status_word"])
            for found in _unplaced(owner)
        ],
        "page": pages.get_page(request.GET.get("page")),
    }
    return render(request, "web/desk/events.html", context, status=status)


# -- one of them -----------------------------------------------------------------------------


@desk_page("GET", "HEAD", "POST")
def event(request: HttpRequest, event_id: uuid.UUID) -> HttpResponse:
    """Show what an event shows, its polls, and how people get to it. A POST renames it."""
    found = access_event_for_owner(event_id, viewer_of(request))
    if request.method != "POST":
        return _show(request, found, EventForm(title=found.title))
    form = EventForm(request.POST)
    if form.is_valid():
        try:
            agenda.edit_event(found.id, {"title": form.cleaned_data["title"]})
        except Refusal as refusal:
            form.refuse(refusal)
        else:
            return go(request, "event", _("Your changes are kept."), event_id=found.id)
    form.point()
    return _show(request, found, form, status=400)


@desk_page("GET", "HEAD", "POST")
def add(request: HttpRequest, event_id: uuid.UUID) -> HttpResponse:
    """Put one of the organiser's polls into an event, behind the others."""
    found = access_event_for_owner(event_id, viewer_of(request))
    if request.method != "POST":  # where one is who loads a refusal anew
        return go(request, "event", event_id=found.id)
    try:
        agenda.add_poll(found.id, request.POST.get("poll", ""))
    except Refusal as refusal:
        if refusal.code != Code.INVALID_EVENT:
            raise
        form = EventForm(title=found.title)
        return _show(request, found, form, problem=words.told(refusal), status=refusal.status)
    return go(request, "event", _("The poll is in the event."), event_id=found.id)


def _show(
    request: HttpRequest,
    found: Event,
    form: EventForm,
    *,
    problem: str = "",
    status: int = 200,
) -> HttpResponse:
    """Show an event's page; `problem` is why a poll could not be added."""
    lifecycle.settle_due_polls(found.owner_id)
    placed = Poll.objects.standing().filter(event_place__event=found).select_related("tally")
    polls = [described(poll) for poll in placed.order_by("event_place__position")]
    current = next((one for one in polls if one["poll"].id == found.current_id), None)
    way = way_in(request, found.join_code)
    context = {
        "event": found,
        "form": form,
        "problem": problem,
        "polls": polls,
        "current": current,
        "unseen": current is not None and current["status"] == Status.DRAFT,
        "choices": _unplaced(owner_of(request)),
        "full": len(polls) >= agenda.MAX_POLLS,
        **way,
        "qr": qr_svg(way["address"]),
        "texts": words.texts(),
    }
    return render(request, "web/desk/event.html", context, status=status)


# -- what is done by one button --------------------------------------------------------------


def _action(
    move: Callable[[uuid.UUID, uuid.UUID], None], done: Promise, *, stay: bool = False
) -> View:
    """Return the page of an action on one of an event's polls, which a button names.

    The way back leads to that poll if it is one to `stay` at, to press once more.
    """

    @desk_page("POST")
    def act(request: HttpRequest, event_id: uuid.UUID) -> HttpResponse:
        found = access_event_for_owner(event_id, viewer_of(request))
        poll_id = _named(request, agenda.order_of(found))
        if poll_id is None:
            return go(request, "event", problem=words.not_there(), event_id=found.id)
        try:
            move(found.id, poll_id)
        except Refusal as refusal:
            if refusal.code != Code.INVALID_EVENT:
                raise
            return go(request, "event", problem=words.told(refusal), event_id=found.id)
        place = f"poll-{poll_id}" if stay else ""
        return go(request, "event", str(done), place=place, event_id=found.id)

    return act


def _named(request: HttpRequest, polls: Collection[uuid.UUID]) -> uuid.UUID | None:
    """Return which of an event's polls a button was of; it may be gone by now."""
    wanted = request.POST.get("poll", "")
    return next((poll_id for poll_id in polls if str(poll_id) == wanted), None)


def _move_up(event_id: uuid.UUID, poll_id: uuid.UUID) -> None:
    agenda.move_poll(event_id, poll_id, -1)


def _move_down(event_id: uuid.UUID, poll_id: uuid.UUID) -> None:
    agenda.move_poll(event_id, poll_id, 1)


show = _action(agenda.show_poll, gettext_lazy("The poll is shown now."))
up = _action(_move_up, gettext_lazy("The poll is moved."), stay=True)
down = _action(_move_down, gettext_lazy("The poll is moved."), stay=True)
take_out = _action(
    agenda.take_out_poll, gettext_lazy("The poll is out of the event. It is among your polls.")
)


@desk_page("POST")
def show_nothing(request: HttpRequest, event_id: uuid.UUID) -> HttpResponse:
    """Let an event show nothing until another poll is shown."""
    found = access_event_for_owner(event_id, viewer_of(request))
    agenda.show_poll(found.id, None)
    return go(request, "event", _("Nothing is shown now."), event_id=found.id)


@desk_page("GET", "HEAD", "POST")
def delete(request: HttpRequest, event_id: uuid.UUID) -> HttpResponse:
    """Delete an event, once that has been asked."""
    found = access_event_for_owner(event_id, viewer_of(request))
    if request.method != "POST":
        context = {"event": found, "question": _DELETE, "n": len(agenda.order_of(found))}
        return render(request, "web/desk/event_confirm.html", context)
    agenda.delete_event(found.id)
    return go(request, "events", _("The event is deleted."))


_DELETE = Question(
    gettext_lazy("Delete this event?"),
    gettext_lazy("Its polls stay, with their votes. Its code leads nowhere from then on."),
    gettext_lazy("Delete the event"),
)
