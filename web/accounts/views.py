"""The pages of accounts: allauth's views, with this service's manners."""

import logging
from smtplib import SMTPException
from typing import Any

from allauth.account import views
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from polls.api.authentication import registration_is_open, source_of
from polls.domain import rate_limits
from polls.domain.rate_limits import Rate
from polls.errors import Code, Refusal
from web.accounts.forms import ChangePasswordForm, LoginForm, ResetPasswordForm, SignupForm
from web.errors import answer, wants_html
from web.forms import point_to_first

logger = logging.getLogger(__name__)


class _Form:
    """A page with one form: what is at fault is told with 400, and the keyboard is there."""

    def form_invalid(self, form: Any) -> Any:  # noqa: ANN401 - Django's form and answer
        """Show the form again."""
        response = super().form_invalid(form)  # type: ignore[misc] # of the view it is mixed into
        response.status_code = 400
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401 - the same
        """Point to where there is something to fill in."""
        context: dict[str, Any] = super().get_context_data(**kwargs)  # type: ignore[misc] # the same
        if "form" in context:
            for field in context["form"].fields.values():
                field.widget.attrs.pop("placeholder", None)  # allauth's, which repeats the label
            point_to_first(context["form"])
        return context


class LoginView(_Form, views.LoginView):  # type: ignore[misc] # allauth has no types
    """Log in."""

    form_class = LoginForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401 - Django's
        """Offer an account to whoever has none, where anybody may make one."""
        return {**super().get_context_data(**kwargs), "open": registration_is_open()}


class SignupView(_Form, views.SignupView):  # type: ignore[misc] # the same
    """Make an account."""

    form_class = SignupForm

    def form_valid(self, form: SignupForm) -> HttpResponse:
        """Make the account, or say that somebody took the name, perhaps this very moment."""
        try:
            return super().form_valid(form)  # type: ignore[no-any-return] # the same
        except Refusal as refusal:
            if not refusal.errors:
                raise
            form.refuse(refusal)
            return self.form_invalid(form)  # type: ignore[no-any-return] # the same

    def closed(self) -> HttpResponse:
        """Say that the operator alone makes accounts."""
        if not wants_html(self.request):
            return answer(self.request, Refusal(Code.REGISTRATION_CLOSED))
        return render(self.request, "account/signup_closed.html", status=403)


class LogoutView(views.LogoutView):  # type: ignore[misc] # the same
    """Log out, by POST; a GET asks."""


class PasswordChangeView(_Form, views.PasswordChangeView):  # type: ignore[misc] # the same
    """Change the password."""

    form_class = ChangePasswordForm

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # noqa: ANN401 - Django's
        """Take the form, not more often than people send it."""
        rate_limits.count((Rate.PASSWORD_CHANGES_OF_ACCOUNT, str(request.user.pk)))
        return super().post(request, *args, **kwargs)  # type: ignore[no-any-return] # the same


class PasswordResetView(_Form, views.PasswordResetView):  # type: ignore[misc] # the same
    """Send a mail that leads to a new password, where the operator has set up mail."""

    form_class = ResetPasswordForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - Django's
        """Say so where there is no mail: nothing is ever said to be sent that is not."""
        if not settings.EMAIL_HOST:
            status = 200 if request.method in {"GET", "HEAD"} else 403
            return render(request, "account/password_reset_none.html", status=status)
        return super().dispatch(request, *args, **kwargs)

    def form_valid(self, form: Any) -> Any:  # noqa: ANN401 - the same
        """Send the mail, or say that it could not be sent."""
        rate_limits.count(
            (Rate.PASSWORD_RESETS_FROM_SOURCE, source_of(self.request)),
            (Rate.PASSWORD_RESETS_OF_ADDRESS, form.cleaned_data["email"].lower()),
        )
        try:
            return super().form_valid(form)
        except (SMTPException, OSError) as error:
            logger.error("A mail could not be sent: %s", _name_of(error))  # noqa: TRY400 - the name is enough
            form.add_error(None, _("The mail could not be sent. Try again later."))
            response = self.form_invalid(form)
            response.status_code = 503
            return response


class PasswordResetFromKeyView(_Form, views.PasswordResetFromKeyView):  # type: ignore[misc] # the same
    """Set a new password, by the link of the mail."""


def _name_of(error: SMTPException | OSError) -> str:
    """Name a failure and its number; the server's own words may repeat whom a mail was for."""
    number = getattr(error, "smtp_code", None) or getattr(error, "errno", None)
    return f"{type(error).__name__} {number or ''}".strip()
