"""The admin of accounts. It is registered where open sockets can be told: polls/admin.py."""

from typing import TYPE_CHECKING

from django.contrib import admin

if TYPE_CHECKING:
    from accounts.models import ApiToken

    _ApiTokenAdmin = admin.ModelAdmin[ApiToken]
else:
    _ApiTokenAdmin = admin.ModelAdmin


class ApiTokenAdmin(_ApiTokenAdmin):
    """Tokens can be revoked here, never read or made."""

    list_display = ("id", "user", "name", "created_at", "expires_at")
    readonly_fields = ("id", "user", "name", "created_at", "expires_at")

    def has_add_permission(self, request: object) -> bool:
        """Refuse: a token made here could be shown to nobody."""
        del request
        return False
