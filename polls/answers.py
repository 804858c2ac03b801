"""The answers to votes and to those who ask for results.

The DRF views and the express door (polls/express.py) both answer by these functions, so that
nobody can tell which of them it was.
"""

from django.utils.http import parse_etags

from polls.domain import results
from polls.domain.access import anybody_may_see
from polls.domain.current import Current
from polls.domain.voting import Receipt
from polls.messages import PRIVATE, Answer, wire_headers

_JSON = {"Content-Type": "application/json", **PRIVATE}
_COUNTED = wire_headers(_JSON)
_REPLAYED = wire_headers({**_JSON, "Idempotent-Replayed": "true"})


def receipt_answer(receipt: Receipt) -> Answer:
    """Return 201 for a vote that was counted now, 200 for one that was before."""
    seq = "null" if receipt.seq is None else str(receipt.seq)
    body = f'{{"poll":"{receipt.poll}","receipt":"{receipt.receipt}","seq":{seq}'.encode()
    if receipt.results is not None:
        body += b',"results":' + receipt.results
    body += b"}"
    return Answer(200, _REPLAYED, body) if receipt.replayed else Answer(201, _COUNTED, body)


def results_answer(current: Current, if_none_match: str | None) -> Answer:
    """Return a count that may be shown, or 304 to whoever has it."""
    etag = results.etag(current.count)
    public = current.poll.is_closed and anybody_may_see(current.poll)
    headers = {
        "Content-Type": "application/json",
        "ETag": etag,
        **({"Cache-Control": "public, max-age=60"} if public else PRIVATE),
    }
    # Other preconditions are for writes.
    known = parse_etags(if_none_match) if if_none_match else []
    if any(tag.removeprefix("W/") in {etag, "*"} for tag in known):
        del headers["Content-Type"]
        return Answer(304, wire_headers(headers), b"")
    return Answer(200, wire_headers(headers), current.count.body)
