"""What every page of a poll shows: the way to it, its words, and its count to who may see it."""

from typing import Any

from django.http import HttpRequest

from polls.domain.access import Viewer, may_see_results, read_roles
from polls.domain.results import Count, read_count
from polls.enums import Visibility
from polls.models import Poll
from web import words
from web.addresses import way_in
from web.joining import Joined


def joined_context(request: HttpRequest, joined: Joined, viewer: Viewer) -> dict[str, Any]:
    """Return what every page shows of the way to it."""
    way = way_in(request, joined.code)
    return {
        **way,
        "event": joined.event,
        "live": joined.live,
        "image": f"{way['address']}/qr.png",
        "signed_in": viewer.user_id is not None,
    }


def poll_context(
    request: HttpRequest, joined: Joined, found: Poll, viewer: Viewer
) -> dict[str, Any]:
    """Return what every page of a poll shows: its words, and its count to whoever may see it."""
    roles = read_roles([found], [viewer])
    count = read_count(found) if may_see_results(found, viewer, roles=roles) else None
    return joined_context(request, joined, viewer) | {
        "poll": found,
        "status": found.status_now,
        "status_word": words.word_of(found.status_now),
        "options": _options(found, count),
        "count": count,
        "hidden_because": "" if count else words.hidden_because(found.results_visibility),
        "rules": words.rules_in_words(found),
        "follows_votes": found.results_visibility == Visibility.AFTER_VOTE,
        "runs": roles.runs(found, viewer),
    }


def _options(found: Poll, count: Count | None) -> list[dict[str, Any]]:
    """Return the options in their order, with votes and share (of all ballots) where shown."""
    votes = {option.id: option.votes for option in count.options} if count else {}
    return [
        {
            "id": str(option.id),
            "text": option.text,
            "votes": votes.get(option.id),
            "share": votes[option.id] / count.ballots
            if count and count.ballots and option.id in votes
            else 0,
        }
        for option in found.options.all()
    ]
