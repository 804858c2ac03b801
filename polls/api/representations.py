"""How the domain's objects read over the wire."""

from collections.abc import Collection, Sequence
from typing import Any

from polls.domain.access import Viewer, may_see_results, polls_of, read_roles
from polls.enums import OWNER
from polls.models import Event, Poll, PollTally


def poll_links(poll: Poll) -> dict[str, str]:
    """Return where to go from a poll."""
    base = f"/api/v1/polls/{poll.id}/"
    return {
        "self": base,
        "vote": f"{base}votes/",
        "results": f"{base}results/",
        "live": f"/ws/polls/{poll.id}/",
        "page": f"/p/{poll.join_code}",
    }


def poll_body(poll: Poll, viewer: Viewer) -> dict[str, Any]:
    """Return a poll as this viewer reads it."""
    roles = read_roles([poll], [viewer])
    visible = may_see_results(poll, viewer, roles=roles)
    tally = PollTally.objects.get(poll=poll) if visible else None
    return _poll_body(poll, tally, roles.of(poll, viewer))


def own_poll_body(poll: Poll) -> dict[str, Any]:
    """Return a poll as its owner reads it, its tally fetched already."""
    return _poll_body(poll, poll.tally, OWNER)


def shared_poll_bodies(polls: Collection[Poll], member: Viewer) -> list[dict[str, Any]]:
    """Return polls as a member of each reads them, their tallies fetched already."""
    roles = read_roles(polls, [member])
    return [_poll_body(poll, poll.tally, roles.of(poll, member)) for poll in polls]


def _poll_body(poll: Poll, tally: PollTally | None, role: str | None) -> dict[str, Any]:
    return {
        "id": poll.id,
        "join_code": poll.join_code,
        "owner": poll.owner.username,
        "title": poll.title,
        "description": poll.description,
        "kind": poll.kind,
        "options": [
            {"id": option.id, "text": option.text, "position": option.position}
            for option in poll.options.all()
        ],
        "min_selections": poll.min_selections,
        "max_selections": poll.max_selections,
        "identity": poll.identity,
        "network_cap": poll.network_cap,
        "secrecy": poll.secrecy,
        "results_visibility": poll.results_visibility,
        "status": poll.status_now,
        "opens_at": poll.opens_at,
        "closes_at": poll.closes_at,
        "allow_change": poll.allow_change,
        "embed_origins": poll.embed_origins,
        "created_at": poll.created_at,
        "opened_at": poll.opened_at,
        "closed_at": poll.closed_at,
        "seq": None if tally is None else tally.seq,
        "ballots": None if tally is None else tally.ballots,
        "role": role,
        "links": poll_links(poll),
    }


def event_body(event: Event, viewer: Viewer) -> dict[str, Any]:
    """Return an event as this viewer reads it: drafts are there for those alone who run them."""
    (body,) = event_bodies([event], viewer)
    return body


def event_bodies(events: Sequence[Event], viewer: Viewer) -> list[dict[str, Any]]:
    """Return events as this viewer reads them, all their polls by one query."""
    polls = polls_of(events, viewer)
    return [_event_body(event, polls[event.id]) for event in events]


def _event_body(event: Event, polls: Sequence[Poll]) -> dict[str, Any]:
    seen = {poll.id for poll in polls}
    return {
        "id": event.id,
        "join_code": event.join_code,
        "owner": event.owner.username,
        "title": event.title,
        "created_at": event.created_at,
        "seq": event.seq,
        "current": event.current_id if event.current_id in seen else None,
        "polls": [
            {
                "id": poll.id,
                "join_code": poll.join_code,
                "title": poll.title,
                "status": poll.status_now,
                "links": poll_links(poll),
            }
            for poll in polls
        ],
        "links": {
            "self": f"/api/v1/events/{event.id}/",
            "live": f"/ws/events/{event.id}/",
            "page": f"/p/{event.join_code}",
        },
    }
