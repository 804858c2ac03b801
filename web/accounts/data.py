"""The pages of one's own data: it is downloaded, and the account is deleted."""

from django import forms
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from polls.api.export import PATH
from polls.domain.erasure import erase_account
from polls.errors import Code, Refusal
from web.accounts.forms import password_field
from web.desk.pages import desk_page, owner_of
from web.forms import point_to_first
from web.poll_pages import page


class DeletionForm(forms.Form):
    """The password once more: a screen that was left alone deletes nothing."""

    password = password_field(gettext_lazy("Password"), "current-password")


@desk_page("GET", "HEAD")
def data(request: HttpRequest) -> HttpResponse:
    """Say what is held about the account, and lead to it."""
    return render(request, "account/data.html", {"export": PATH})


@desk_page("GET", "HEAD", "POST")
def delete(request: HttpRequest) -> HttpResponse:
    """Ask for the password; a POST with it deletes the account."""
    form = DeletionForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid() and _is_deleted(request, form):
        query = f"?{urlencode({'lang': request.GET['lang']})}" if "lang" in request.GET else ""
        response = HttpResponseRedirect(reverse("account_deleted") + query)
        response.status_code = 303
        return response
    point_to_first(form)
    status = 400 if form.is_bound else 200
    return render(request, "account/delete.html", {"form": form}, status=status)


def _is_deleted(request: HttpRequest, form: DeletionForm) -> bool:
    """Delete the account and end the session, or write into the form why not."""
    try:
        erase_account(owner_of(request), form.cleaned_data["password"])
    except Refusal as refusal:
        if refusal.code is not Code.INVALID_CREDENTIALS:
            raise
        form.add_error("password", _("This is not your password."))
        return False
    logout(request)
    return True


@page("GET", "HEAD")
def deleted(request: HttpRequest) -> HttpResponse:
    """Say that the account is gone."""
    return render(request, "account/deleted.html")
