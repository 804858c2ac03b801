"""What an organiser does with a poll by one button: open, close, reset, duplicate, delete."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from polls.domain import lifecycle
from polls.domain.access import (
    Viewer,
    access_poll_for_organiser,
    access_poll_for_owner,
    role_of,
)
from polls.domain.polls import duplicate_poll
from polls.domain.reset import reset_poll
from polls.errors import CATALOGUE, Refusal
from polls.models import Poll
from web.desk import words
from web.desk.pages import desk_page, go, owner_of, viewer_of
from web.desk.polls import described
from web.errors import View


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before something that cannot be taken back."""

    title: Promise
    what: Promise  # what becomes of the poll
    button: Promise


def _action(
    move: Callable[[uuid.UUID], None],
    done: Promise,
    *,
    question: Question | None = None,
    back: str = "",
    access: Callable[[uuid.UUID, Viewer], Poll] = access_poll_for_organiser,
) -> View:
    """Return the page of an action: by POST it is done, and a GET asks where there is a question.

    A refusal leads back to the poll as well, and is told there.
    """
    methods = ("POST",) if question is None else ("GET", "HEAD", "POST")

    @desk_page(*methods)
    def act(request: HttpRequest, poll_id: uuid.UUID) -> HttpResponse:
        viewer = viewer_of(request)
        found = access(poll_id, viewer)
        if request.method != "POST":
            context = {**described(found, role_of(found, viewer)), "question": question}
            return render(request, "web/desk/confirm.html", context)
        # From where one came: a list, or the poll's own page.
        came = request.POST.get("back")
        where = back or (came if came in {"polls", "shared"} else "poll")
        kwargs: dict[str, Any] = {"poll_id": found.id} if where == "poll" else {}
        try:
            move(found.id)
        except Refusal as refusal:
            if CATALOGUE[refusal.code].status == 404:  # noqa: PLR2004 - deleted this very moment
                raise
            messages.error(request, words.told(refusal))
            return go(request, where, **kwargs)
        return go(request, where, str(done), **kwargs)

    return act


open_now = _action(lifecycle.open_poll, gettext_lazy("The poll is open."))
schedule = _action(lifecycle.schedule_poll, gettext_lazy("The poll opens by itself at its time."))
close = _action(
    lifecycle.close_poll,
    gettext_lazy("The poll is closed. Its count is final."),
    question=Question(
        gettext_lazy("Close this poll?"),
        gettext_lazy("Nobody can vote in it any more, and it can never be opened again."),
        gettext_lazy("Close the poll"),
    ),
)
reset = _action(
    reset_poll,
    gettext_lazy("All votes are taken back. Everybody can vote anew."),
    question=Question(
        gettext_lazy("Take back all votes?"),
        gettext_lazy(
            "After a rehearsal the poll begins anew: its votes are gone, and everybody can vote "
            "again. The code and the address stay."
        ),
        gettext_lazy("Take back all votes"),
    ),
)
delete = _action(
    lifecycle.delete_poll,
    gettext_lazy("The poll is deleted."),
    question=Question(
        gettext_lazy("Delete this poll?"),
        gettext_lazy("It is gone at once for everybody, with its votes and its results."),
        gettext_lazy("Delete the poll"),
    ),
    back="polls",
    access=access_poll_for_owner,
)


@desk_page("POST")
def duplicate(request: HttpRequest, poll_id: uuid.UUID) -> HttpResponse:
    """Make a new draft with the same definition."""
    found = access_poll_for_organiser(poll_id, viewer_of(request))
    made = duplicate_poll(found, owner_of(request))
    return go(request, "poll", _("This is the copy, a draft without votes."), poll_id=made.id)
