"""Users and the API tokens that act for them."""

import hashlib
import secrets
import unicodedata
import uuid
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone

TOKEN_LIFETIME = timedelta(days=365)
MAX_TOKEN_NAME = 100
_TOKEN_PREFIX = "poll_"  # noqa: S105 - lets secret scanners recognise one


def caseless(username: str) -> str:
    """Return what names have in common that differ in case, width or composition alone."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold())


class CaselessUserManager(UserManager["User"]):
    """Finds a user by name without regard to case."""

    use_in_migrations = False

    def get_by_natural_key(self, username: str | None) -> "User":
        """Return the user whom this name signs in."""
        return self.get(username_key=caseless(username or ""))


class User(AbstractUser):
    """An organiser, or a voter of polls that ask for an account.

    Names are unique without regard to case.
    """

    # Folded here and not by the database: what lower case is depends on that one's locale. Twice
    # as long as a username: no character of a normalised name folds to more than two.
    username_key = models.CharField(max_length=300, unique=True, editable=False, blank=True)
    # Since when nothing is left of the account but its number, see accounts/erasure.py.
    erased_at = models.DateTimeField(null=True, editable=False)

    objects: ClassVar[CaselessUserManager] = CaselessUserManager()

    class Meta(AbstractUser.Meta):
        """What the sweep asks for each second holds erased accounts only."""

        indexes: ClassVar[list[models.Index]] = [
            models.Index(
                fields=["erased_at"],
                name="user_erased",
                condition=models.Q(erased_at__isnull=False),
            )
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Django's signature
        """Write the name's key with the name.

        An erased account stays as it is: who read it before, to note a login or to set a password,
        must not bring it back.
        """
        self.username_key = caseless(self.username)
        if "username" in (kwargs.get("update_fields") or ()):
            kwargs["update_fields"] = {*kwargs["update_fields"], "username_key"}
        if self._state.adding:
            super().save(*args, **kwargs)
            return
        with transaction.atomic():
            # Locked whether it is erased or not: it must not be between this look and the write.
            row = User.objects.select_for_update(no_key=True).filter(pk=self.pk)
            if row.values_list("erased_at").first() == (None,):
                super().save(*args, **kwargs)

    def clean(self) -> None:
        """Tell the admin's form of a name that is taken; the database decides."""
        super().clean()
        key = caseless(self.username or "")  # the form leaves out one that it has refused
        if User.objects.exclude(pk=self.pk).filter(username_key=key).exists():
            raise ValidationError({"username": "Somebody has this name."})


def hash_token(token: str) -> bytes:
    """Return the 32 bytes under which a token is stored. It is random, so one hash is enough."""
    return hashlib.sha256(token.encode()).digest()


class ApiToken(models.Model):
    """A bearer token; only its hash is stored."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=MAX_TOKEN_NAME, blank=True)
    token_hash = models.BinaryField(max_length=32, unique=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()

    class Meta:
        """Newest first."""

        ordering = ["-created_at"]
        indexes = [models.Index(fields=["expires_at"], name="token_to_remove")]

    def __str__(self) -> str:
        return self.name or str(self.id)

    @classmethod
    def issue(cls, user: User, *, name: str = "") -> "tuple[ApiToken, str]":
        """Return a new token's row and the token itself, which is shown this once."""
        token = _TOKEN_PREFIX + secrets.token_urlsafe(32)
        row = cls.objects.create(
            user=user,
            name=name,
            token_hash=hash_token(token),
            expires_at=timezone.now() + TOKEN_LIFETIME,
        )
        return row, token

    @classmethod
    def valid(cls) -> "models.QuerySet[ApiToken]":
        """Return the tokens that count now."""
        return cls.objects.filter(expires_at__gt=timezone.now(), user__is_active=True)

    @classmethod
    def find(cls, token: str) -> "ApiToken | None":
        """Return the row of a token that counts now, its user fetched with it."""
        return cls.valid().select_related("user").filter(token_hash=hash_token(token)).first()
