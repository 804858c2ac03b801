"""The polls app."""

from django.apps import AppConfig
from django.db import connection

from polls.domain.deadline import bound_database_waits


class PollsConfig(AppConfig):
    """The domain: polls, ballots, tallies, and the only tables that hold them."""

    name = "polls"

    def ready(self) -> None:
        """Bound what this process waits for PostgreSQL, which psycopg2 alone would not."""
        if connection.vendor == "postgresql":
            bound_database_waits()
