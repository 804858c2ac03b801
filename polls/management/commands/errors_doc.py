"""docs/errors.md, written from the catalogue."""

from typing import Any

from django.core.management.base import BaseCommand

from polls.errors import CATALOGUE

_HEAD = """# Errors

Every error of the API is `application/problem+json` (RFC 9457). Its `code` is one of these; the
service shows the same list at `/docs/errors`. This file is written by `make docs`.

| status | code | title | what to do |
|---|---|---|---|
"""


class Command(BaseCommand):
    """Write the catalogue of errors as Markdown."""

    help = "Write the catalogue of errors as Markdown."

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - Django's options
        """Write to standard output."""
        del options
        rows = sorted(CATALOGUE.items(), key=lambda item: (item[1].status, item[0]))
        lines = [
            f"| {entry.status} | `{code}` | {entry.title} | {entry.remedy} |"
            for code, entry in rows
        ]
        self.stdout.write(_HEAD + "\n".join(lines))
