"""The admin of polls: to look, and to do what the domain does. Nothing is written around it."""

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.admin import ApiTokenAdmin
from accounts.models import ApiToken, User
from polls import events
from polls.domain import lifecycle
from polls.errors import CATALOGUE, Refusal
from polls.models import Option, Poll, Tally

if TYPE_CHECKING:
    _AnyAdmin = admin.ModelAdmin[Model]
    _PollAdmin = admin.ModelAdmin[Poll]
    _UserAdmin = UserAdmin[User]
    _OptionInline = admin.TabularInline[Option, Poll]
else:
    _AnyAdmin = object
    _UserAdmin = UserAdmin
    _PollAdmin = admin.ModelAdmin
    _OptionInline = admin.TabularInline


def _ask_sockets_anew() -> None:
    """Have open sockets asked who they are, once what is written here counts."""
    transaction.on_commit(lambda: events.publish(None, events.Event.REVOKED))


class _EndsAccess(_AnyAdmin):
    """Of what signs somebody in: whoever is deactivated or revoked here is shown nothing more."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:  # noqa: ANN401 - Django's signature
        """Save, and tell."""
        super().save_model(request, obj, form, change)
        _ask_sockets_anew()

    def delete_model(self, request: HttpRequest, obj: Any) -> None:  # noqa: ANN401 - the same
        """Delete, and tell."""
        super().delete_model(request, obj)
        _ask_sockets_anew()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Delete, and tell."""
        super().delete_queryset(request, queryset)
        _ask_sockets_anew()


@admin.register(User)
class AccountAdmin(_EndsAccess, _UserAdmin):
    """Every account that stands; what erased ones leave goes by itself."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """Leave out what is no account any more."""
        accounts = cast("QuerySet[User]", super().get_queryset(request))
        return accounts.filter(erased_at=None)


@admin.register(ApiToken)
class TokenAdmin(_EndsAccess, ApiTokenAdmin):
    """Tokens, to be revoked."""


class OptionInline(_OptionInline):
    """The options of a poll, with their counts."""

    model = Option
    fields = ("position", "text", "votes")
    readonly_fields = fields
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Poll | None = None) -> bool:
        """Refuse: options change with the poll's revision, through the API."""
        del request, obj
        return False

    @admin.display(description="votes")
    def votes(self, option: Option) -> int:
        """Return how many ballots mark the option."""
        return Tally.objects.get(poll_id=option.poll_id, option=option).votes


@admin.register(Poll)
class PollAdmin(_PollAdmin):
    """Every poll, newest first."""

    list_display = ("title", "join_code", "owner", "status_now", "ballots", "created_at")
    list_filter = ("status", "kind", "identity", "results_visibility")
    search_fields = ("title", "join_code", "owner__username")
    ordering = ("-created_at",)
    list_select_related = ("owner", "tally")
    inlines = (OptionInline,)
    actions = ("open_now", "close_now", "delete_now")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Poll]:
        """Leave out what has been deleted and waits to be purged."""
        return super().get_queryset(request).filter(deleted_at=None)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: polls are made through the API."""
        del request
        return False

    def has_change_permission(self, request: HttpRequest, obj: Poll | None = None) -> bool:
        """Refuse: a change raises revision and seq, and the API does it."""
        del request, obj
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Poll | None = None) -> bool:
        """Refuse row by row: the action below marks the poll, and its rows go in chunks."""
        del request, obj
        return False

    @admin.display(description="ballots", ordering="tally__ballots")
    def ballots(self, poll: Poll) -> int:
        """Return how many ballots were cast."""
        return poll.tally.ballots

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Whether this member of staff may open and close polls."""
        return request.user.has_perm("polls.change_poll")

    def has_erase_permission(self, request: HttpRequest) -> bool:
        """Whether this member of staff may delete polls."""
        return request.user.has_perm("polls.delete_poll")

    @admin.action(description="Open now", permissions=["operate"])
    def open_now(self, request: HttpRequest, polls: QuerySet[Poll]) -> None:
        """Open the polls that can be."""
        self._do(request, polls, lifecycle.open_poll)

    @admin.action(description="Close now, for ever", permissions=["operate"])
    def close_now(self, request: HttpRequest, polls: QuerySet[Poll]) -> None:
        """Close the polls that can be."""
        self._do(request, polls, lifecycle.close_poll)

    @admin.action(description="Delete, with all ballots", permissions=["erase"])
    def delete_now(self, request: HttpRequest, polls: QuerySet[Poll]) -> HttpResponse | None:
        """Delete the polls, once that has been confirmed."""
        if "confirmed" not in request.POST:
            context = {**admin.site.each_context(request), "title": "Delete polls", "polls": polls}
            return render(request, "admin/polls/delete_polls.html", context)
        self._do(request, polls, lifecycle.delete_poll)
        return None

    def _do(
        self, request: HttpRequest, polls: QuerySet[Poll], change: Callable[[uuid.UUID], None]
    ) -> None:
        for poll in polls:
            try:
                change(poll.id)
            except Refusal as refusal:
                text = f"{poll}: {CATALOGUE[refusal.code].title}."
                self.message_user(request, text, messages.ERROR)
