"""The forms of accounts: by the same rules as the API's."""

from typing import Any

from allauth.account import forms as allauth_forms
from django import forms
from django.contrib.auth.password_validation import password_validators_help_text_html
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User, caseless
from polls.api.accounts import account_errors, register
from polls.api.authentication import source_of
from polls.domain.rate_limits import guess_password
from polls.errors import FieldError, Refusal


def password_field(label: Any, autocomplete: str, help_text: Any = "") -> forms.CharField:  # noqa: ANN401 - lazy texts
    """Return a field for a password, as browsers' keepers of passwords know it."""
    widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
    return forms.CharField(label=label, strip=False, widget=widget, help_text=help_text)


def _username() -> forms.CharField:
    attrs = {"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}
    return forms.CharField(
        label=gettext_lazy("Username"),
        max_length=User._meta.get_field("username").max_length,  # noqa: SLF001 - public in Django
        widget=forms.TextInput(attrs=attrs),
    )


class LoginForm(allauth_forms.LoginForm):  # type: ignore[misc] # allauth has no types
    """A name and a password."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Django's signature
        super().__init__(*args, **kwargs)
        self.fields["login"] = _username()
        self.fields["password"] = password_field(gettext_lazy("Password"), "current-password")
        self.order_fields(["login", "password"])

    def clean_login(self) -> str:
        """Return the name as it is told from others."""
        return caseless(self.cleaned_data["login"].strip())


class ChangePasswordForm(allauth_forms.ChangePasswordForm):  # type: ignore[misc] # the same
    """A new password, for whoever knows the present one."""

    def clean_oldpassword(self) -> str:
        """Take a wrong one for what it is elsewhere: a guess, which counts like those at login."""
        guess = guess_password(self.user.get_username())
        try:
            password = str(super().clean_oldpassword())
        except forms.ValidationError:
            guess.wrong()
            raise
        guess.right()
        return password


class ResetPasswordForm(allauth_forms.ResetPasswordForm):  # type: ignore[misc] # the same
    """Whose password is forgotten, by the address of their account."""

    def clean_email(self) -> str:
        """Find the accounts of an address in whatever letters, as it was when they were made."""
        email = str(self.cleaned_data["email"])
        self.users = list(User.objects.filter(email__iexact=email, is_active=True))
        return email


class SignupForm(forms.Form):
    """A new account, made as POST /api/v1/auth/register/ makes one."""

    by_passkey = False  # what allauth's view asks of its form

    username = _username()
    email = forms.EmailField(
        label=gettext_lazy("Email (optional)"),
        required=False,
        help_text=gettext_lazy("Only for the day on which you have forgotten your password."),
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    password1 = password_field(
        gettext_lazy("Password"), "new-password", password_validators_help_text_html()
    )
    password2 = password_field(gettext_lazy("Password, once more"), "new-password")

    def clean(self) -> dict[str, Any]:
        """Find all that is at fault at once; whether the name is free is the database's to say."""
        given: dict[str, Any] = super().clean() or {}
        name, password = given.get("username"), given.get("password1")
        if name and password:
            user = User(username=User.normalize_username(name), email=given.get("email", ""))
            self._tell(account_errors(user, password))
        if password and given.get("password2") not in {None, password}:
            self.add_error("password2", _("This is not the same password."))
        return given

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        """Make the account (allauth's call), or raise why there is none."""
        given = self.cleaned_data
        name, password, email = given["username"], given["password1"], given["email"]
        return register(name, password, email, source=source_of(request)), None

    def refuse(self, refusal: Refusal) -> None:
        """Show why the account was not made."""
        self._tell(refusal.errors)

    def _tell(self, errors: list[FieldError] | tuple[FieldError, ...]) -> None:
        for error in errors:
            field = "password1" if error.field == "password" else error.field
            if field in self.fields and field not in self.errors:
                taken = error.code == "taken"
                self.add_error(field, _("Somebody has this name.") if taken else error.detail)
