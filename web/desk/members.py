"""Whom a poll is shared with, and the polls that others share."""

import uuid

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from polls.domain import lifecycle, members
from polls.domain.access import (
    access_poll_for_member,
    access_poll_for_owner,
    polls_shared_with,
    read_roles,
)
from polls.errors import Code, Refusal
from web.desk import words
from web.desk.pages import desk_page, go, owner_of, viewer_of
from web.desk.polls import PAGE_SIZE, described, form_of, show


@desk_page("GET", "HEAD")
def shared(request: HttpRequest) -> HttpResponse:
    """List the polls that others share with this account, newest first."""
    member = viewer_of(request)
    lifecycle.settle_due_polls(member_id=member.user_id)
    found = polls_shared_with(member).select_related("tally", "owner")
    pages = Paginator(found.order_by("-created_at", "-id"), PAGE_SIZE)
    page = pages.get_page(request.GET.get("page"))
    roles = read_roles(list(page), [member])
    context = {
        "page": page,
        "polls": [described(poll, roles.of(poll, member)) for poll in page],
        "me": owner_of(request).username,
        "texts": words.texts(),
    }
    return render(request, "web/desk/shared.html", context)


@desk_page("GET", "HEAD", "POST")
def add(request: HttpRequest, poll_id: uuid.UUID) -> HttpResponse:
    """Share a poll with somebody, by their name and with a role."""
    found = access_poll_for_owner(poll_id, viewer_of(request))
    if request.method != "POST":  # where one is who loads a refusal anew
        return go(request, "poll", poll_id=found.id)
    username, role = request.POST.get("username", "").strip(), request.POST.get("role", "")
    try:
        members.set_member(found.id, found.owner_id, username, role)
    except Refusal as refusal:
        problem = _problem(refusal)
        return show(request, found, form_of(found), problem=problem, status=refusal.status)
    return go(request, "poll", _("The poll is shared."), place="members", poll_id=found.id)


def _problem(refusal: Refusal) -> str:
    if refusal.code == Code.NOT_FOUND:
        return words.no_such_name()
    if refusal.code == Code.TOO_MANY:
        return words.too_many_names()
    return words.told(refusal)


@desk_page("POST")
def remove(request: HttpRequest, poll_id: uuid.UUID) -> HttpResponse:
    """Take somebody's role away, or one's own."""
    found = access_poll_for_member(poll_id, viewer_of(request))
    username = request.POST.get("username", "")
    leaves = members.is_called(owner_of(request).pk, username)
    if not leaves:
        access_poll_for_owner(poll_id, viewer_of(request))
    members.remove_member(found.id, username)
    if leaves:
        return go(request, "shared", _("The poll is shared with you no longer."))
    said = _("The poll is shared with them no longer.")
    return go(request, "poll", said, place="members", poll_id=found.id)
