"""The answers to votes and to those who ask for results.

The DRF views and the express door (polls/express.py) both answer by these functions, so that
nobody can tell which of them it was.
"""

from django.utils.http import parse_etags

from polls.domain import results, timeline
from polls.domain.access import anybody_may_see
from polls.domain.current import Current
from polls.domain.statements import Action
from polls.domain.voting import Receipt
from polls.enums import Secrecy
from polls.messages import PRIVATE, Answer, wire_headers
from polls.models import Poll

_JSON = {"Content-Type": "application/json", **PRIVATE}
_COUNTED = wire_headers(_JSON)
_AGAIN = {"Idempotent-Replayed": "true"}
_REPLAYED = wire_headers({**_JSON, **_AGAIN})
_WITHDRAWN, _WITHDRAWN_AGAIN = wire_headers(PRIVATE), wire_headers({**PRIVATE, **_AGAIN})


def receipt_answer(receipt: Receipt) -> Answer:
    """Return 201 for a vote that was counted now, 200 for one that was before or is replaced now.

    204 is for a withdrawal.
    """
    if receipt.action is Action.WITHDRAW:
        return Answer(204, _WITHDRAWN_AGAIN if receipt.replayed else _WITHDRAWN, b"")
    seq = "null" if receipt.seq is None else str(receipt.seq)
    body = f'{{"poll":"{receipt.poll}","receipt":"{receipt.receipt}","seq":{seq}'.encode()
    if receipt.results is not None:
        body += b',"results":' + receipt.results
    if receipt.withdrawn:
        body += b',"withdrawn":true'
    if receipt.replaced:
        body += b',"replaced":true'
    body += b"}"
    if receipt.replayed:
        return Answer(200, _REPLAYED, body)
    return Answer(201 if receipt.action is Action.CAST else 200, _COUNTED, body)


def results_answer(current: Current, if_none_match: str | None) -> Answer:
    """Return a count that may be shown, or 304 to whoever has it."""
    headers = _version_headers(current.poll, results.etag(current.count))
    return _known(headers, if_none_match) or _shown(headers, current.count.body)


def timeline_answer(current: Current, if_none_match: str | None) -> Answer | None:
    """Return the votes over time of a poll whose count may be shown, or 304 to whoever has them.

    None where who may see them, or for how long, has changed since the poll was read.
    """
    poll = current.poll
    headers = _version_headers(poll, timeline.etag(poll, current.count.seq))
    known = _known(headers, if_none_match)
    if known is not None:
        return known
    found = timeline.read_timeline(current.count, secret=poll.secrecy == Secrecy.SECRET)
    if found is None:
        return None
    return _shown(_version_headers(poll, timeline.etag(poll, found.seq)), found.body)


def _version_headers(poll: Poll, etag: str) -> dict[str, str]:
    """Return what clients and caches are told of one version of a poll's counts."""
    public = poll.is_closed and anybody_may_see(poll)
    return {"ETag": etag, **({"Cache-Control": "public, max-age=60"} if public else PRIVATE)}


def _known(headers: dict[str, str], if_none_match: str | None) -> Answer | None:
    """Return 304 where the client has this version. Other preconditions are for writes."""
    known = parse_etags(if_none_match) if if_none_match else []
    if any(tag.removeprefix("W/") in {headers["ETag"], "*"} for tag in known):
        return Answer(304, wire_headers(headers), b"")
    return None


def _shown(headers: dict[str, str], body: bytes) -> Answer:
    return Answer(200, wire_headers({"Content-Type": "application/json", **headers}), body)
