"""How a password is checked, at whichever door: the API, the pages and the admin."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from accounts.models import User
from polls.api.authentication import source_of
from polls.domain import rate_limits
from polls.domain.rate_limits import Rate


class PasswordBackend(ModelBackend):
    """Django's own, with one count of failures for all doors.

    Whoever guesses too often is refused before the password is looked at, or all the same
    afterwards: the answer never tells whether it was right.
    """

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,  # noqa: ANN401 - Django's signature
    ) -> User | None:
        """Return the account that this name and password sign in; raises `too_many`."""
        if username is None or password is None:
            return None
        source = None if request is None else source_of(request)
        if source is not None:
            rate_limits.count((Rate.LOGINS_FROM_SOURCE, source))
        guess = rate_limits.guess_password(username, source)
        # For a name that nobody has it hashes the password, too, so that both take as long.
        user = super().authenticate(request, username, password, **kwargs)
        if not isinstance(user, User):
            guess.wrong()
            return None
        guess.right()
        return user
