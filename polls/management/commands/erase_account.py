"""The erasure of an account, for an operator who is asked for it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from polls.domain.erasure import erase_without_password
from polls.management.commands.export_account import account_named


class Command(BaseCommand):
    """Do what DELETE /api/v1/auth/account/ does, without the account's password."""

    help = "Erase an account with its polls and events, at once and for ever."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the account's name, and whether to ask."""
        parser.add_argument("username")
        parser.add_argument(
            "--no-input", action="store_true", help="Erase it without asking for its name again."
        )

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - Django's options
        """Ask, then erase."""
        user = account_named(options["username"])
        asked = f"Erase {user.username!r} and its {user.polls.count()} polls? Type the name again: "
        if not options["no_input"] and input(asked) != user.username:
            raise CommandError("That is not the name; nothing was erased.")
        erase_without_password(user)
        self.stdout.write("It is erased. The running service removes what is left of its rows.")
