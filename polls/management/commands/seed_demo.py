"""One poll to try, and the account that owns it."""

import secrets
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.models import User
from polls.domain.definition import Definition
from polls.domain.polls import create_poll

USERNAME = "organiser"


class Command(BaseCommand):
    """Make an organiser account and a demo poll, and print the account's password."""

    help = "Make an organiser account and a demo poll, and print the account's password."

    def handle(self, **options: Any) -> None:  # noqa: ANN401 - Django's options
        """Make both, or neither."""
        del options
        if User.objects.filter(username_key=USERNAME).exists():
            raise CommandError(f"There is an account {USERNAME!r} already; nothing was made.")
        password = secrets.token_urlsafe(12)
        with transaction.atomic():
            owner = User.objects.create_superuser(USERNAME, password=password)
            create_poll(
                owner,
                Definition(
                    title="Where shall we have lunch?",
                    options=["Pizza", "Sushi", "Falafel", "Soup"],
                ),
            )
        self.stdout.write(f"\nOrganiser account: {USERNAME}   password: {password}")
        self.stdout.write("(shown this once; changed in the admin)")
