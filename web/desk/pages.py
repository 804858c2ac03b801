"""What the pages of the desk share: an account is needed, and actions lead back with a word."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import urlencode

from accounts.models import User
from polls.domain.access import Viewer
from web.errors import View
from web.poll_pages import page


def owner_of(request: HttpRequest) -> User:
    """Return the account whose desk it is."""
    assert isinstance(request.user, User)  # noqa: S101 - desk_page() lets nobody else in
    return request.user


def viewer_of(request: HttpRequest) -> Viewer:
    """Return the same as whoever reads."""
    return Viewer(owner_of(request).pk)


def desk_page(*methods: str) -> Callable[[View], View]:
    """Make a view a page of the desk: who is not logged in is led there first, and back."""

    def decorate(view: View) -> View:
        @page(*methods)
        @wraps(view)
        def signed_in(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # noqa: ANN401 - the page's own
            if isinstance(request.user, User):
                return view(request, *args, **kwargs)
            # A form cannot be sent again by following a link, so after one the desk itself is next.
            reading = request.method in {"GET", "HEAD"}
            return redirect_to_login(request.get_full_path() if reading else reverse("desk:polls"))

        return signed_in

    return decorate


def go(
    request: HttpRequest,
    where: str,
    said: str = "",
    *,
    problem: str = "",
    place: str = "",
    **kwargs: Any,  # noqa: ANN401 - a route's own
) -> HttpResponse:
    """Go on to a page of the desk after a form, with a word on what was done or why it was not.

    The language that the address asked for is asked for there as well; `place` is an id there.
    """
    if said:
        messages.success(request, said)
    if problem:
        messages.error(request, problem)
    query = f"?{urlencode({'lang': request.GET['lang']})}" if "lang" in request.GET else ""
    at = f"#{place}" if place else ""
    response = HttpResponseRedirect(reverse(f"desk:{where}", kwargs=kwargs) + query + at)
    response.status_code = 303
    return response
