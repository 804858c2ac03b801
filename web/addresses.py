"""Addresses that people are shown, and the QR codes that lead to them."""

import io
from urllib.parse import urlsplit

import segno
from django.conf import settings
from django.http import HttpRequest
from django.utils.safestring import SafeString, mark_safe

_QR_SCALE = 12  # pixels a module


def public_url(request: HttpRequest, path: str = "") -> str:
    """Return an address that works outside: under PUBLIC_URL, else under the request's host."""
    base = settings.PUBLIC_URL or f"{request.scheme}://{request.get_host()}"
    return f"{base.rstrip('/')}{path}"


def spoken(url: str) -> str:
    """Return an address as people type it: without its scheme and last slash."""
    parts = urlsplit(url)
    return (parts.netloc + parts.path).rstrip("/")


def way_in(request: HttpRequest, code: str) -> dict[str, str]:
    """Return what a page shows of the way to a poll or an event: its code and its addresses."""
    address = public_url(request, f"/p/{code}")
    return {
        "code": code,
        "address": address,
        "spoken": spoken(address),
        "home": spoken(public_url(request)),
    }


def _qr(url: str, mask: int | None = None) -> segno.QRCode:
    return segno.make(url, error="m", micro=False, mask=mask)


def qr_picture(url: str, kind: str) -> bytes:
    """Return the QR code of an address as a file, `png` or `svg`, of about 400 pixels."""
    picture = io.BytesIO()
    _qr(url).save(picture, kind=kind, scale=_QR_SCALE, light="#fff")
    return picture.getvalue()


def qr_svg(url: str, mask: int | None = None) -> SafeString:
    """Return the QR code of an address as an `<svg>` element that scales with its box.

    It is dark on light in every theme: some readers take no inverted code. `mask` is one of the
    eight patterns (0 to 7); to find the best of them takes three times as long as to draw one.
    """
    drawing = _qr(url, mask).svg_inline(
        border=2, omitsize=True, dark="#000", light="#fff", svgclass="qr"
    )
    return mark_safe(drawing)  # noqa: S308 - segno's own drawing, with no text in it
