"""Live tickets: leave to open one WebSocket as somebody, for a minute."""

import hashlib
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models.functions import Now

from accounts.sessions import users_of_sessions
from polls.domain import rate_limits
from polls.domain.access import Viewer
from polls.domain.database import clock
from polls.domain.rate_limits import Rate
from polls.models import LiveTicket

LIFETIME = timedelta(seconds=60)
MAX_POLLS = 100


@dataclass(frozen=True, slots=True)
class Ticket:
    """Whom a consumed ticket stands for, and for which polls."""

    viewer: Viewer
    token_id: uuid.UUID | None
    session_key: str | None
    polls: frozenset[uuid.UUID]


def _hash(ticket: str) -> bytes:
    return hashlib.sha256(ticket.encode()).digest()


def issue_ticket(
    viewer: Viewer,
    polls: Sequence[uuid.UUID],
    *,
    token_id: uuid.UUID | None = None,
    session_key: str | None = None,
    source: str | None = None,
) -> tuple[str, datetime]:
    """Return a new ticket for polls that the viewer can reach, and when it expires.

    The viewer's account is signed in by the token or by the session, and so is the ticket. Raises
    `too_many` where the network `source` has drawn more than a hall of dashboards needs.
    """
    if source is not None:
        rate_limits.count((Rate.TICKETS_FROM_SOURCE, source))
    ticket = secrets.token_urlsafe(32)
    row = LiveTicket.objects.create(
        ticket_hash=_hash(ticket),
        user_id=viewer.user_id,
        token_id=token_id,
        session_key=session_key or "",
        device=viewer.device or "",
        polls=[str(poll_id) for poll_id in polls],
        code_voters={str(poll_id): key.hex() for poll_id, key in viewer.code_voters},
        expires_at=clock() + LIFETIME,
    )
    return ticket, row.expires_at


def consume_ticket(ticket: str) -> Ticket | None:
    """Use a ticket up and return what it is good for.

    None where it is unknown, used or late, or whoever drew it is no longer signed in.
    """
    mine = LiveTicket.objects.filter(ticket_hash=_hash(ticket))
    row = mine.filter(expires_at__gt=Now()).first()
    # Rows never change, so reading first is safe; of two who bring it, one deletes it.
    if row is None or not mine.delete()[0]:
        return None
    if row.session_key and not users_of_sessions([row.session_key]):
        return None
    return Ticket(
        viewer=Viewer(
            row.user_id,
            row.device or None,
            code_voters=frozenset(
                (uuid.UUID(poll_id), bytes.fromhex(key)) for poll_id, key in row.code_voters.items()
            ),
        ),
        token_id=row.token_id,
        session_key=row.session_key or None,
        polls=frozenset(uuid.UUID(poll_id) for poll_id in row.polls),
    )
