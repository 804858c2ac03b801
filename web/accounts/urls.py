"""The paths of accounts: our own, and allauth's views that we offer, by the names that it knows."""

from allauth.account import views as allauth_views
from django.urls import path, re_path
from django.views.decorators.cache import never_cache

from web.accounts import data, views
from web.errors import View, only, refusals_as_pages


def _page(view: View, *methods: str) -> View:
    return never_cache(only("GET", "HEAD", *methods)(refusals_as_pages(view)))


def _form(view: View) -> View:
    return _page(view, "POST")


urlpatterns = [
    path("data", data.data, name="account_data"),
    path("delete", data.delete, name="account_delete"),
    path("deleted", data.deleted, name="account_deleted"),
    path("login", _form(views.LoginView.as_view()), name="account_login"),
    path("logout", _form(views.LogoutView.as_view()), name="account_logout"),
    path("signup", _form(views.SignupView.as_view()), name="account_signup"),
    path(
        "password/change",
        _form(views.PasswordChangeView.as_view()),
        name="account_change_password",
    ),
    path(
        "password/reset",
        _form(views.PasswordResetView.as_view()),
        name="account_reset_password",
    ),
    path(
        "password/reset/done",
        _page(allauth_views.password_reset_done),
        name="account_reset_password_done",
    ),
    path(
        "password/reset/key/done",
        _page(allauth_views.password_reset_from_key_done),
        name="account_reset_password_from_key_done",
    ),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>[^/]+)$",
        _form(views.PasswordResetFromKeyView.as_view()),
        name="account_reset_password_from_key",
    ),
]
