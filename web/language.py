"""The language of a page: the one that its address asks for, else the browser's.

It is kept nowhere: there is no cookie for it, and no answer of the API depends on it.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers

_PROGRAMS = ("/api/", "/swagger", "/redoc", "/asyncapi.", "/static/")


def language_of(request: HttpRequest) -> str:
    """Return the language of the answer, one of LANGUAGES."""
    wanted = request.GET.get("lang", "")
    if wanted in dict(settings.LANGUAGES):
        return wanted
    return translation.get_language_from_request(request)


def language_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Let pages be written in the reader's language; what programs read stays English."""

    def answer(request: HttpRequest) -> HttpResponse:
        if request.path.startswith(_PROGRAMS):
            return get_response(request)
        language = language_of(request)
        with translation.override(language):
            response = get_response(request)
        response.headers.setdefault("Content-Language", language)
        patch_vary_headers(response, ["Accept-Language"])
        return response

    return answer
