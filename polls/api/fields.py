"""Serializer fields that take one JSON type each: no text for a number, no 1 for true."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

WRONG_TYPE = "wrong_type"
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that refuses fields it does not know, so that a typo is never ignored."""

    def to_internal_value(self, data: Any) -> Any:  # noqa: ANN401 - DRF's signature
        """Return the validated values, or raise naming every field at fault."""
        if isinstance(data, Mapping):
            known = {name for name, field in self.fields.items() if not field.read_only}
            unknown = {
                name: [ErrorDetail("There is no such field.", code="unknown_field")]
                for name in data
                if name not in known
            }
            if unknown:
                raise serializers.ValidationError(unknown)
        return super().to_internal_value(data)


class Text(serializers.CharField):
    """A JSON string; what may stand in it is the domain's to say."""

    default_error_messages = {WRONG_TYPE: "It must be a text."}

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - DRF's options
        kwargs.setdefault("allow_blank", True)
        super().__init__(**kwargs)

    def run_validation(self, data: Any = serializers.empty) -> Any:  # noqa: ANN401 - DRF's
        """Refuse other types before DRF turns them into text."""
        if data is not serializers.empty and data is not None and not isinstance(data, str):
            self.fail(WRONG_TYPE)
        return super().run_validation(data)


class Number(serializers.IntegerField):
    """A JSON number without a fraction."""

    default_error_messages = {WRONG_TYPE: "It must be a whole number."}

    def to_internal_value(self, data: Any) -> int:  # noqa: ANN401 - DRF's signature
        """Refuse "1", 1.0 and true."""
        if type(data) is not int:
            self.fail(WRONG_TYPE)
        return data


class Flag(serializers.BooleanField):
    """A JSON true or false."""

    default_error_messages = {WRONG_TYPE: "It must be true or false."}

    def to_internal_value(self, data: Any) -> bool:  # noqa: ANN401 - DRF's signature
        """Refuse "true" and 1."""
        if not isinstance(data, bool):
            self.fail(WRONG_TYPE)
        return data


class Word(serializers.ChoiceField):
    """One word of a closed vocabulary."""

    default_error_messages = {WRONG_TYPE: "It must be a text."}

    def to_internal_value(self, data: Any) -> Any:  # noqa: ANN401 - DRF's signature
        """Refuse other types before DRF turns them into text."""
        if not isinstance(data, str):
            self.fail(WRONG_TYPE)
        return super().to_internal_value(data)


class Moment(serializers.DateTimeField):
    """An RFC 3339 time with its offset, kept in UTC."""

    default_error_messages = {
        WRONG_TYPE: "It must be a text.",
        "format": "It must be a time like 2030-01-31T20:00:00Z.",
    }

    def to_internal_value(self, value: Any) -> datetime:  # noqa: ANN401 - DRF's signature
        """Refuse naive times: whose noon would it be."""
        if not isinstance(value, str):
            self.fail(WRONG_TYPE)
        if not _RFC3339.fullmatch(value):
            self.fail("format")
        try:
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail("format")
