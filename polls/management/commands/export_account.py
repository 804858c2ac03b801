"""Everything that is held about an account, for an operator who is asked for it."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rest_framework.utils.encoders import JSONEncoder

from accounts.models import User
from polls.api.export import account_body


class Command(BaseCommand):
    """Write what GET /api/v1/auth/account/ would answer to the account itself."""

    help = "Write everything that is held about an account as JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the account's name."""
        parser.add_argument("username")

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - Django's options
        """Write to standard output."""
        body = account_body(account_named(options["username"]))
        self.stdout.write(json.dumps(body, cls=JSONEncoder, ensure_ascii=False, indent=2))


def account_named(username: str) -> User:
    """Return the account that this name signs in, or end the command."""
    try:
        return User.objects.get_by_natural_key(username)
    except User.DoesNotExist:
        raise CommandError(f"There is no account {username!r}.") from None
