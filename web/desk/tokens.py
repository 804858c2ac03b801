"""The tokens by which an organiser's programs use the API."""

import uuid

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import MAX_TOKEN_NAME, ApiToken
from polls.api.accounts import issue_token, revoke_token
from web.desk import words
from web.desk.pages import desk_page, go, owner_of


class TokenForm(forms.Form):
    """What to call a new token."""

    name = forms.CharField(
        label=gettext_lazy("What is it for?"),
        help_text=gettext_lazy("Such as: laptop, slides"),
        max_length=MAX_TOKEN_NAME,
        required=False,
    )


@desk_page("GET", "HEAD", "POST")
def tokens(request: HttpRequest) -> HttpResponse:
    """List the tokens. A POST makes one, which this answer alone shows."""
    owner = owner_of(request)
    form = TokenForm(request.POST if request.method == "POST" else None)
    secret, status = "", 200
    if form.is_bound:
        if form.is_valid():
            secret, status = issue_token(owner, form.cleaned_data["name"])[1], 201
            form = TokenForm()
        else:
            status = 400
    context = {
        "form": form,
        "secret": secret,
        "tokens": ApiToken.objects.filter(user=owner),
        "texts": words.texts(),
    }
    return render(request, "web/desk/tokens.html", context, status=status)


@desk_page("POST")
def revoke(request: HttpRequest, token_id: uuid.UUID) -> HttpResponse:
    """Let a token count no longer, at once."""
    revoke_token(owner_of(request), token_id)
    return go(request, "tokens", _("The token counts no longer."))
