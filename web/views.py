"""The pages that belong to no poll: the way in, the list of errors, the protocol of sockets."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from polls.errors import CATALOGUE
from polls.ids import JOIN_CODE_LENGTH
from realtime.asyncapi import document
from web.errors import only
from web.protocol import described


@only("GET", "HEAD")
def home(request: HttpRequest) -> HttpResponse:
    """Show where to enter a join code, or go where the code leads."""
    typed = request.GET.get("code", "")
    # However people write it: in small letters, with blanks or hyphens between.
    code = "".join(c for c in typed.upper() if c.isalnum())
    if len(code) == JOIN_CODE_LENGTH and code.isascii():
        return redirect("poll", join_code=code)
    problem = _("A code has %(n)d letters and digits.") % {"n": JOIN_CODE_LENGTH} if typed else ""
    return render(request, "web/home.html", {"code": typed, "problem": problem})


@only("GET", "HEAD")
def errors(request: HttpRequest) -> HttpResponse:
    """List every error code."""
    return render(request, "web/errors.html", {"catalogue": CATALOGUE.items()})


@only("GET", "HEAD")
def protocol(request: HttpRequest) -> HttpResponse:
    """Show the protocol of the sockets: every frame and every close code."""
    return render(request, "web/protocol.html", described(_document(request)))


@only("GET", "HEAD")
def asyncapi(request: HttpRequest) -> HttpResponse:
    """Answer the protocol of the sockets as AsyncAPI 3.0."""
    return JsonResponse(_document(request), headers={"Cache-Control": "public, max-age=60"})


def _document(request: HttpRequest) -> dict[str, Any]:
    return document(host=request.get_host(), secure=request.is_secure())
