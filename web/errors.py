"""The answers of last resort: HTML for pages, problem+json for everything else."""

import logging
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import DisallowedHost, TooManyFieldsSent
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt, csrf_protect

from polls.api.problems import problem_response, report_fault
from polls.errors import Code, Refusal
from web.words import told

logger = logging.getLogger(__name__)

View = Callable[..., HttpResponse]


def wants_html(request: HttpRequest) -> bool:
    """Whether a person is looking: pages answer HTML, the API and programs problem+json."""
    if request.path.startswith(("/api/", "/swagger.", "/asyncapi.")):
        return False
    return "text/html" in request.headers.get("Accept", "")


def answer(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """Return a refusal in the form that the client reads."""
    if not wants_html(request):
        return problem_response(request.path, refusal)
    # The log is searched by it.
    fault = request.META.get("HTTP_X_REQUEST_ID") if refusal.code == Code.INTERNAL_ERROR else None
    context = {"title": told(refusal), "fault": fault}
    response = render(request, "web/error.html", context, status=refusal.status)
    for name, value in refusal.headers.items():
        response.headers[name] = value
    return response


def only(*methods: str) -> Callable[[View], View]:
    """Let a page take these methods; any other is refused in the form that the client reads.

    That comes before CSRF is asked for, which only a page that writes needs.
    """

    def decorate(view: View) -> View:
        if not set(methods) <= {"GET", "HEAD"}:
            view = csrf_protect(view)

        @csrf_exempt
        @wraps(view)
        def limited(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # noqa: ANN401 - the page's own
            if request.method in methods:
                return view(request, *args, **kwargs)
            headers = {"Allow": ", ".join(methods)}
            return answer(request, Refusal(Code.METHOD_NOT_ALLOWED, headers=headers))

        return limited

    return decorate


def refusals_as_pages(view: View) -> View:
    """Answer what a view refuses in the form that the client reads."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # noqa: ANN401 - the page's own
        try:
            return view(request, *args, **kwargs)
        except Refusal as refusal:
            return answer(request, refusal)

    return answered


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400; a wrong Host is told as such."""
    code = Code.BAD_HOST if isinstance(exception, DisallowedHost) else Code.MALFORMED
    if isinstance(exception, TooManyFieldsSent):
        # The page that says so reads the query for its language: it would break there again.
        request.GET = QueryDict()
    return answer(request, Refusal(code))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403."""
    del exception
    return answer(request, Refusal(Code.FORBIDDEN))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404."""
    del exception
    return answer(request, Refusal(Code.NOT_FOUND))


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500 with an id to search the log for; 503 where the database is the cause."""
    fault = sys.exc_info()[1]
    if isinstance(fault, OperationalError | InterfaceError):
        logger.error("The database does not answer: %s", fault)
        return answer(request, Refusal(Code.UNAVAILABLE))
    return answer(request, report_fault(request, fault))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a request whose CSRF token is missing or wrong."""
    del reason
    return answer(request, Refusal(Code.CSRF_FAILED))
