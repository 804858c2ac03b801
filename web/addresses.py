"""Addresses that people are shown, and the QR codes that lead to them."""

from urllib.parse import urlsplit

import segno
from django.conf import settings
from django.http import HttpRequest
from django.utils.safestring import SafeString, mark_safe


def public_url(request: HttpRequest, path: str = "") -> str:
    """Return an address that works outside: under PUBLIC_URL, else under the request's host."""
    base = settings.PUBLIC_URL or f"{request.scheme}://{request.get_host()}"
    return f"{base.rstrip('/')}{path}"


def spoken(url: str) -> str:
    """Return an address as people type it: without its scheme and last slash."""
    parts = urlsplit(url)
    return (parts.netloc + parts.path).rstrip("/")


def qr_svg(url: str) -> SafeString:
    """Return the QR code of an address as an `<svg>` element that scales with its box.

    It is dark on light in every theme: some readers take no inverted code.
    """
    code = segno.make(url, error="m", micro=False)
    drawing = code.svg_inline(border=2, omitsize=True, dark="#000", light="#fff", svgclass="qr")
    return mark_safe(drawing)  # noqa: S308 - segno's own drawing, with no text in it
