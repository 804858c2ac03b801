"""Lists by cursor, the newest first."""

from datetime import UTC, datetime
from typing import Any

from drf_yasg import openapi
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

from polls.api.schema import parameter
from polls.errors import Code, FieldError, Refusal

CURSOR = parameter("cursor", openapi.IN_QUERY, "where a page begins: take it from `next`")


class NewestFirst(CursorPagination):
    """Fifty polls or events a page."""

    page_size = 50
    ordering = ("-created_at", "-id")

    def decode_cursor(self, request: Request) -> Any:  # noqa: ANN401 - DRF's cursor
        """Refuse a cursor that was not issued here."""
        try:
            cursor = super().decode_cursor(request)
        except NotFound:
            raise _unknown_cursor() from None
        if cursor is not None and not _is_place(cursor):
            raise _unknown_cursor()
        return cursor


def _unknown_cursor() -> Refusal:
    detail = "Take it from `next` or `previous`."
    return Refusal(Code.MALFORMED, errors=[FieldError("cursor", "invalid", detail)])


def _is_place(cursor: Any) -> bool:  # noqa: ANN401 - DRF's cursor
    """Whether a cursor points somewhere: at a time, or past some of one time."""
    if cursor.position is None:
        return bool(cursor.offset)
    try:
        place = datetime.fromisoformat(cursor.position)
        place.astimezone(UTC)  # as the database will read it
    except (ValueError, OverflowError):
        return False
    return place.tzinfo is not None
