"""Who is signed in by a session cookie, asked for many at once."""

from collections.abc import Collection

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.models import User


def users_of_sessions(keys: Collection[str]) -> dict[str, int]:
    """Return the id of the account that each session signs in, by the session's key.

    Left out are sessions that are unknown or over, and those of accounts that are inactive or
    have another password since, as Django leaves them out for a request.
    """
    rows = Session.objects.filter(
        # PostgreSQL takes a NUL for an error, not for an unknown key.
        session_key__in=[key for key in keys if "\0" not in key],
        expire_date__gt=timezone.now(),
    )
    sessions = {row.session_key: row.get_decoded() for row in rows}
    signed_in = {key: data[SESSION_KEY] for key, data in sessions.items() if SESSION_KEY in data}
    users = {
        str(user.pk): user
        for user in User.objects.filter(pk__in=set(signed_in.values()), is_active=True)
    }
    return {
        key: users[user_id].pk
        for key, user_id in signed_in.items()
        if BACKEND_SESSION_KEY in sessions[key]
        and user_id in users
        and _is_of(users[user_id], sessions[key].get(HASH_SESSION_KEY, ""))
    }


def delete_some_sessions_of(user_ids: Collection[int], *, after: str, limit: int) -> str | None:
    """Look through so many sessions in the order of their keys; delete those of these accounts.

    Whose a session is stands within it alone, so all of them must be looked at. Returns the key
    after which to go on, None where that was the last.
    """
    rows = list(Session.objects.filter(session_key__gt=after).order_by("session_key")[:limit])
    whose = {str(user_id) for user_id in user_ids}
    theirs = [row.session_key for row in rows if row.get_decoded().get(SESSION_KEY) in whose]
    Session.objects.filter(session_key__in=theirs).delete()
    return rows[-1].session_key if len(rows) == limit else None


def _is_of(user: User, session_hash: str) -> bool:
    """Whether a session was begun with the account's present password."""
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(session_hash, one) for one in hashes)
