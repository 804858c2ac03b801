"""What becomes of an account that is erased, and of sign-ins that are over."""

from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import make_password
from django.contrib.sessions.models import Session
from django.db import models, transaction
from django.utils import timezone

from accounts.models import ApiToken, User

_ERASED = "(erased)"  # in the place of a name


def anonymise(user: User) -> bool:
    """Take from an account all that says whose it was; nobody is signed in by it any more.

    What is left is its number, to which polls may still refer, and which is never given out again.
    The name is free at once. Returns False, and does nothing, where the account has been erased or
    has another password since it was read.
    """
    with transaction.atomic():
        standing = User.objects.select_for_update().filter(pk=user.pk, erased_at=None)
        if not standing.filter(password=user.password).exists():
            return False
        _blank_log_of(User, [user.pk])
        _remove_what_refers_to(user)
        now, name = timezone.now(), f"erased:{user.pk}"  # nobody can sign up by a name with a colon
        User.objects.filter(pk=user.pk).update(
            username=name,
            username_key=name,
            password=make_password(None),
            email="",
            first_name="",
            last_name="",
            last_login=None,
            date_joined=now,
            is_active=False,
            is_staff=False,
            is_superuser=False,
            erased_at=now,
        )
    return True


def _remove_what_refers_to(user: User) -> None:
    """Delete the rows that would go with the account's own: tokens, tickets, addresses, groups."""
    for relation in User._meta.get_fields(include_hidden=True):  # noqa: SLF001 - public in Django
        if (
            not isinstance(relation, models.ManyToOneRel)
            or relation.on_delete is not models.CASCADE
        ):
            continue
        model: type[models.Model] = relation.related_model
        rows = model._base_manager.filter(**{relation.field.name: user})  # noqa: SLF001 - the same
        _blank_log_of(model, list(rows.values_list("pk", flat=True)))
        rows.delete()


def _blank_log_of(model: type[models.Model], ids: list[object]) -> None:
    """Take what the admin's log calls these rows out of it; that something was done stays."""
    names = model._meta  # noqa: SLF001 - the same
    LogEntry.objects.filter(
        content_type__app_label=names.app_label,
        content_type__model=names.model_name,
        object_id__in=[str(id_) for id_ in ids],
    ).update(object_repr=_ERASED, change_message="")


def remove_expired(limit: int) -> bool:
    """Remove so many sessions and tokens that are over; return whether there may be more."""
    now = timezone.now()
    sessions = Session.objects.filter(expire_date__lt=now).order_by("expire_date")
    tokens = ApiToken.objects.filter(expires_at__lt=now).order_by("expires_at")
    found = [
        Session.objects.filter(pk__in=list(sessions.values_list("pk", flat=True)[:limit])),
        ApiToken.objects.filter(pk__in=list(tokens.values_list("pk", flat=True)[:limit])),
    ]
    return max(rows.delete()[0] for rows in found) >= limit
