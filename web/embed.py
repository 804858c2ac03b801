"""A poll inside somebody else's page: the frame, and oEmbed, which tells programs of it."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import Resolver404, resolve
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.clickjacking import xframe_options_exempt

from polls.domain.access import ANYBODY, access_poll_by_code
from polls.domain.voting import Voter
from polls.errors import Code, FieldError, Refusal
from polls.models import Poll
from web.addresses import public_url
from web.joining import Joined
from web.poll_pages import ballot_context, page

_WIDTH = 480
_HEIGHT, _ROW_HEIGHT = 300, 68  # until the frame has told its own; for each option
_DIGITS = 5  # of the widest screen
_EMBEDDABLE = frozenset({"poll", "results", "embed"})


@xframe_options_exempt
@page("GET", "HEAD")
def poll(request: HttpRequest, join_code: str) -> HttpResponse:
    """Show a poll in a frame of the pages that its owner has named.

    A browser sends no cookie of ours into such a frame, so none counts here: the script draws a
    voter token and sends it in a header.
    """
    nobody = Voter(user_id=None, token=None, idempotency_key=None)
    found = access_poll_by_code(join_code, ANYBODY)
    context = ballot_context(request, Joined(found), found, nobody) | {
        "layout": "web/embed_base.html",
        "script": "web/js/embed.js",
        "embedded": True,
    }
    response = render(request, "web/embed.html", context)
    response.headers["Content-Security-Policy"] = (
        f"{settings.PAGE_POLICY}; frame-ancestors {frame_ancestors(found)}"
    )
    return response


def frame_ancestors(found: Poll) -> str:
    """Return whose pages may frame a poll, as the policy says it; this site's own always may."""
    # A header holds nothing else; from before it was asked for there may be others.
    return " ".join(["'self'", *(origin for origin in found.embed_origins if origin.isascii())])


def embed_line(request: HttpRequest, found: Poll) -> SafeString:
    """Return the line to copy: a frame, and the script that gives it the height of its content."""
    return format_html(
        '<iframe src="{}" title="{}" width="100%" height="{}" loading="lazy"></iframe>'
        '<script src="{}" async></script>',
        public_url(request, f"/embed/{found.join_code}"),
        found.title,
        _height_of(found),
        public_url(request, "/static/web/js/frame.js"),
    )


def _height_of(found: Poll) -> int:
    return _HEIGHT + _ROW_HEIGHT * found.options.count()


@page("GET", "HEAD")
def describe(request: HttpRequest) -> HttpResponse:
    """Answer oEmbed (https://oembed.com, version 1.0): what the address of a poll's page shows.

    Raises `not_found` for any other address, `malformed` for a bad size, `format_not_offered` for
    XML. A poll that names no page that may frame it is a link.
    """
    if request.GET.get("format", "json") != "json":
        raise Refusal(Code.FORMAT_NOT_OFFERED)
    width, height = _size(request, "maxwidth"), _size(request, "maxheight")
    found = _poll_of(request, request.GET.get("url", ""))
    body: dict[str, Any] = {
        "version": "1.0",
        "type": "link",
        "title": found.title,
        "provider_name": "Polls",
        "provider_url": public_url(request),
    }
    if found.embed_origins:
        body |= {
            "type": "rich",
            "html": embed_line(request, found),
            "width": min(_WIDTH, width or _WIDTH),
            "height": min(_height_of(found), height or _height_of(found)),
        }
    return JsonResponse(body)


def _size(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS and int(text)):
        detail = "It is a number of pixels."
        raise Refusal(Code.MALFORMED, errors=[FieldError(name, "invalid", detail)])
    return int(text)


def _poll_of(request: HttpRequest, url: str) -> Poll:
    """Return the poll of one of our own addresses, or raise `not_found`."""
    try:
        parts = urlsplit(url)
        match = resolve(parts.path)
    except (ValueError, Resolver404):
        raise Refusal(Code.NOT_FOUND) from None
    ours = {urlsplit(public_url(request)).netloc, request.get_host()}
    if parts.netloc not in ours or match.url_name not in _EMBEDDABLE:
        raise Refusal(Code.NOT_FOUND)
    return access_poll_by_code(match.kwargs["join_code"], ANYBODY)
