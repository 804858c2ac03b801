"""The admin of accounts."""

from typing import TYPE_CHECKING

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from accounts.models import ApiToken, User

if TYPE_CHECKING:
    _ApiTokenAdmin = admin.ModelAdmin[ApiToken]
else:
    _ApiTokenAdmin = admin.ModelAdmin

admin.site.register(User, UserAdmin)


@admin.register(ApiToken)
class ApiTokenAdmin(_ApiTokenAdmin):
    """Tokens can be revoked here, never read or made."""

    list_display = ("id", "user", "name", "created_at", "expires_at")
    readonly_fields = ("id", "user", "name", "created_at", "expires_at")

    def has_add_permission(self, request: object) -> bool:
        """Refuse: a token made here could be shown to nobody."""
        del request
        return False
