"""How django-allauth is used here: by this service's own rules and addresses."""

import logging
from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib import messages
from django.core.mail import EmailMessage
from django.http import HttpRequest
from django.shortcuts import resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from accounts.models import User
from polls.api.authentication import registration_is_open
from web.addresses import public_url

logger = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc] # allauth has no types
    """Who may sign up, where one goes afterwards, and what is said of it."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Whether anybody may make an account, as the API has it."""
        del request
        return registration_is_open()

    def is_ajax(self, request: HttpRequest) -> bool:
        """Return no: programs have the API, pages answer HTML."""
        del request
        return False

    def is_safe_url(self, url: str) -> bool:
        """Whether an address lies on this site: `next` leads nowhere else."""
        host = self.request.get_host()
        return url_has_allowed_host_and_scheme(
            url, allowed_hosts={host}, require_https=self.request.is_secure()
        )

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        """Return where one goes with a new password."""
        del request
        return resolve_url("desk:polls")

    def add_message(
        self,
        request: HttpRequest,
        level: int,
        message_template: str | None = None,
        *args: Any,  # noqa: ANN401 - allauth's signature
        **kwargs: Any,  # noqa: ANN401 - the same
    ) -> None:
        """Say what the page that follows does not show by itself."""
        del level, args, kwargs
        if message_template == "account/messages/password_changed.txt" and (
            request.user.is_authenticated
        ):
            messages.success(request, _("Your password is changed."))

    def send_password_reset_mail(self, user: User, email: str, context: dict[str, Any]) -> None:
        """Write to the account's own address, not to the one that was typed and looks like it."""
        del email
        super().send_password_reset_mail(user, user.email, context)

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Return the link of a mail, under the address that people are shown."""
        path = urlsplit(super().get_reset_password_from_key_url(key)).path
        return public_url(self.request, path)

    def render_mail(
        self,
        template_prefix: str,
        email: str | list[str],
        context: dict[str, Any],
        headers: dict[str, str] | None = None,
    ) -> EmailMessage:
        """Write a mail that names the address of this service."""
        context["home"] = public_url(self.request)
        return super().render_mail(template_prefix, email, context, headers)  # type: ignore[no-any-return] # the same
