"""All that the database keeps, to look for what it must not keep."""

import base64
import hashlib
from typing import Any

from django.db import connection


def _texts_of(value: Any) -> list[str]:
    if isinstance(value, memoryview | bytes):
        found = bytes(value)
        return [found.hex(), found.decode("latin-1")]
    return [str(value)]


def all_that_is_kept() -> str:
    """Return every value of every table in small letters, bytes as hex digits and as text."""
    texts: list[str] = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            texts += [
                text for row in cursor.fetchall() for value in row for text in _texts_of(value)
            ]
    return "\n".join(texts).lower()


def traces_of(secret: str | bytes) -> list[str]:
    """Return the forms of a secret by which anybody could find it among what is kept."""
    data = secret.encode() if isinstance(secret, str) else secret
    digests = [hashlib.new(name, data) for name in ("md5", "sha1", "sha256", "sha512")]
    found = [data.hex(), base64.b64encode(data).decode().rstrip("=")]
    found += [digest.hexdigest()[:32] for digest in digests]
    found += [base64.b64encode(digest.digest()).decode()[:20] for digest in digests]
    if isinstance(secret, str):
        found.append(secret)
    return [trace.lower() for trace in found]


def assert_not_kept(*secrets: str | bytes) -> None:
    """Hold that nothing of these stands in any table, in whatever form."""
    kept = all_that_is_kept()
    for secret in secrets:
        assert [trace for trace in traces_of(secret) if trace in kept] == [], secret
