"""One example of each body, for the API's documentation."""

from typing import Any

POLL_ID = "01980c5e-8f00-7000-8000-0000000000a1"
OPTION_IDS = (
    "01980c5e-8f00-7000-8000-0000000000b1",
    "01980c5e-8f00-7000-8000-0000000000b2",
)
TOKEN_ID = "5b0c3f3c-8f5e-4a39-9f30-6f1d3f3b2c11"  # noqa: S105 - an id
_AT = "2030-01-31T20:00:00Z"

NEW_POLL = {"title": "Lunch?", "options": [{"text": "Pizza"}, {"text": "Sushi"}]}
POLL: dict[str, Any] = {
    "id": POLL_ID,
    "join_code": "K7MX4P",
    "owner": "alice",
    "title": "Lunch?",
    "description": "",
    "kind": "single",
    "options": [
        {"id": OPTION_IDS[0], "text": "Pizza", "position": 0},
        {"id": OPTION_IDS[1], "text": "Sushi", "position": 1},
    ],
    "min_selections": 1,
    "max_selections": 1,
    "identity": "device",
    "network_cap": None,
    "secrecy": "confidential",
    "results_visibility": "always",
    "status": "open",
    "opens_at": None,
    "closes_at": None,
    "allow_change": False,
    "embed_origins": [],
    "created_at": _AT,
    "opened_at": _AT,
    "closed_at": None,
    "seq": 42,
    "ballots": 40,
    "role": "owner",
    "links": {
        "self": f"/api/v1/polls/{POLL_ID}/",
        "vote": f"/api/v1/polls/{POLL_ID}/votes/",
        "results": f"/api/v1/polls/{POLL_ID}/results/",
        "live": f"/ws/polls/{POLL_ID}/",
        "page": "/p/K7MX4P",
    },
}
MEMBER = {"username": "bob", "role": "organiser"}
EVENT_ID = "01980c5e-8f00-7000-8000-0000000000e1"
NEW_EVENT: dict[str, Any] = {"title": "Annual meeting", "polls": [], "current": None}
EVENT: dict[str, Any] = {
    "id": EVENT_ID,
    "join_code": "W4QEN7",
    "owner": "alice",
    "title": "Annual meeting",
    "created_at": _AT,
    "seq": 3,
    "current": POLL_ID,
    "polls": [{name: POLL[name] for name in ("id", "join_code", "title", "status", "links")}],
    "links": {
        "self": f"/api/v1/events/{EVENT_ID}/",
        "live": f"/ws/events/{EVENT_ID}/",
        "page": "/p/W4QEN7",
    },
}
RESULTS: dict[str, Any] = {
    "poll": POLL_ID,
    "title": "Lunch?",
    "kind": "single",
    "status": "open",
    "seq": 42,
    "ballots": 40,
    "final": False,
    "certified_at": None,
    "options": [
        {"id": OPTION_IDS[0], "text": "Pizza", "votes": 25, "points": None, "share": 0.625},
        {"id": OPTION_IDS[1], "text": "Sushi", "votes": 15, "points": None, "share": 0.375},
    ],
}
CODES = {"codes": ["7Q2M-0XKD-4F9T-VB3A", "H61N-RZ8C-Y5EW-2GJP"]}
RECEIPT = {
    "poll": POLL_ID,
    "receipt": "9f2b1c0d4e5f60718293a4b5c6d7e8f9",
    "seq": 42,
    "results": RESULTS,
}
_COUNTS = {OPTION_IDS[0]: 25, OPTION_IDS[1]: 15}
INTEGRITY = {"equal": True, "seq": 42, "tally": _COUNTS, "recount": _COUNTS}
TIMELINE = {
    "bucket_seconds": 5,
    "buckets": [
        {"at": "2030-01-31T20:00:00Z", "votes": {OPTION_IDS[0]: 20, OPTION_IDS[1]: 15}},
        {"at": "2030-01-31T20:20:35Z", "votes": {OPTION_IDS[0]: 5, OPTION_IDS[1]: 0}},
    ],
}
TOKEN = {"id": TOKEN_ID, "name": "laptop", "created_at": _AT, "expires_at": _AT}
ISSUED_TOKEN = {"id": TOKEN_ID, "token": "poll_Zk3…", "expires_at": _AT}
ACCOUNT = {
    "profile": {
        "username": "alice",
        "email": "alice@example.org",
        "first_name": "",
        "last_name": "",
        "date_joined": _AT,
        "last_login": None,
    },
    "tokens": [TOKEN],
    "polls": [POLL],
    "events": [EVENT],
    "roles": [{"poll": POLL_ID, "title": "Lunch?", "role": "viewer", "changed_at": _AT}],
    "votes": [
        {
            "poll": POLL_ID,
            "title": "Lunch?",
            "secrecy": "confidential",
            "receipt": RECEIPT["receipt"],
            "choices": [{"id": OPTION_IDS[0], "text": "Pizza"}],
        }
    ],
    "next": None,
}
