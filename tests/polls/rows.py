"""Valid rows of every table, and the change that each constraint refuses."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

Row = dict[str, Any]

NOW = datetime(2026, 1, 31, 20, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
USER, OTHER_USER = 7001, 7002
TOKEN, POLL, OTHER_POLL, PIZZA, SUSHI, ELSEWHERE, BALLOT, NOBODY, EVENT, OTHER_EVENT = (
    uuid.UUID(int=0x9000 + number) for number in range(10)
)
BYTES = b"\x07" * 32
JSON, NOTHING = "[]", "{}"


def _user(id_: int, name: str) -> Row:
    return {
        "id": id_,
        "username": name,
        "username_key": name.lower(),
        "password": "!",
        "is_superuser": False,
        "first_name": "",
        "last_name": "",
        "email": "",
        "is_staff": False,
        "is_active": True,
        "date_joined": NOW,
    }


def _poll(id_: uuid.UUID, code: str) -> Row:
    return {
        "id": id_,
        "owner_id": USER,
        "join_code": code,
        "title": "Lunch?",
        "description": "",
        "kind": "multiple",
        "min_selections": 1,
        "max_selections": 2,
        "identity": "device",
        "secrecy": "confidential",
        "results_visibility": "always",
        "allow_change": False,
        "embed_origins": JSON,
        "status": "open",
        "revision": 1,
        "created_at": NOW,
    }


def _option(id_: uuid.UUID, poll: uuid.UUID, text: str, position: int) -> Row:
    return {
        "id": id_,
        "poll_id": poll,
        "text": text,
        "normalised_text": text,
        "position": position,
    }


def _token(id_: uuid.UUID, token: bytes) -> Row:
    return {
        "id": id_,
        "user_id": USER,
        "name": "",
        "token_hash": token,
        "created_at": NOW,
        "expires_at": LATER,
    }


def _ticket(ticket: bytes) -> Row:
    return {
        "ticket_hash": ticket,
        "user_id": USER,
        "token_id": TOKEN,
        "device": "",
        "session_key": "",
        "polls": JSON,
        "code_voters": NOTHING,
        "expires_at": LATER,
    }


def _event(id_: uuid.UUID, code: str, current: uuid.UUID | None = None) -> Row:
    return {
        "id": id_,
        "owner_id": USER,
        "join_code": code,
        "title": "An evening",
        "current_id": current,
        "seq": 1,
        "created_at": NOW,
    }


def _member(poll: uuid.UUID) -> Row:
    return {"poll_id": poll, "user_id": OTHER_USER, "role": "viewer", "changed_at": NOW}


def _mark(poll: uuid.UUID, option: uuid.UUID, **columns: object) -> Row:
    return {"poll_id": poll, "option_id": option, **columns}


# A world of valid rows: two polls, of which the first has a ballot for its first option and is
# shown in the first of two events.
WORLD: list[tuple[str, Row]] = [
    ("accounts_user", _user(USER, "Alice")),
    ("accounts_user", _user(OTHER_USER, "bob")),
    ("accounts_user_groups", {"user_id": USER, "group_id": "GROUP"}),
    ("accounts_user_user_permissions", {"user_id": USER, "permission_id": "PERMISSION"}),
    ("accounts_apitoken", _token(TOKEN, BYTES)),
    ("polls_poll", _poll(POLL, "ABC346")),
    ("polls_poll", _poll(OTHER_POLL, "ABC347")),
    ("polls_option", _option(PIZZA, POLL, "pizza", 0)),
    ("polls_option", _option(SUSHI, POLL, "sushi", 1)),
    ("polls_option", _option(ELSEWHERE, OTHER_POLL, "pizza", 0)),
    ("polls_participation", {"poll_id": POLL, "voter_key": BYTES, "ballot_id": BALLOT}),
    ("polls_ballot", {"poll_id": POLL, "id": BALLOT, "receipt": BYTES[:16]}),
    ("polls_selection", _mark(POLL, PIZZA, ballot_id=BALLOT)),
    ("polls_polltally", {"poll_id": POLL, "seq": 2, "ballots": 1}),
    ("polls_tally", _mark(POLL, PIZZA, votes=1)),
    ("polls_tallybucket", _mark(POLL, PIZZA, at=NOW, votes=1)),
    ("polls_ballotbucket", {"poll_id": POLL, "at": NOW, "ballots": 1}),
    ("polls_networkcount", {"poll_id": POLL, "network": BYTES, "n": 1, "cap": 2}),
    ("polls_pollkey", {"poll_id": POLL, "key": BYTES}),
    ("polls_votingcode", {"poll_id": POLL, "code_hash": BYTES}),
    ("polls_liveticket", _ticket(BYTES)),
    *(("polls_joincode", {"code": code}) for code in ("ABC346", "ABC347", "EVE346", "EVE347")),
    ("polls_joincode", {"code": "EVE349"}),
    ("polls_event", _event(EVENT, "EVE346", POLL)),
    ("polls_event", _event(OTHER_EVENT, "EVE347")),
    ("polls_eventpoll", {"poll_id": POLL, "event_id": EVENT, "position": 0}),
    ("polls_member", _member(POLL)),
]

# One more valid row for each table, which the cases below change in one thing.
_NEW = uuid.UUID(int=0x9999)
FRESH: dict[str, Row] = {
    "accounts_user": _user(7003, "charlie"),
    "accounts_user_groups": {"user_id": OTHER_USER, "group_id": "GROUP"},
    "accounts_user_user_permissions": {"user_id": OTHER_USER, "permission_id": "PERMISSION"},
    "accounts_apitoken": _token(_NEW, BYTES[::-1] + b"x"),
    "polls_poll": _poll(_NEW, "ABC349"),
    "polls_option": _option(_NEW, POLL, "soup", 2),
    "polls_participation": {"poll_id": POLL, "voter_key": b"another", "ballot_id": None},
    "polls_ballot": {"poll_id": POLL, "id": _NEW, "receipt": BYTES[:16]},
    "polls_selection": _mark(POLL, SUSHI, ballot_id=BALLOT),
    "polls_polltally": {"poll_id": OTHER_POLL, "seq": 1, "ballots": 0},
    "polls_tally": _mark(POLL, SUSHI, votes=0),
    "polls_tallybucket": _mark(POLL, SUSHI, at=NOW, votes=1),
    "polls_ballotbucket": {"poll_id": POLL, "at": LATER, "ballots": 1},
    "polls_networkcount": {"poll_id": POLL, "network": b"another", "n": 2, "cap": 2},
    "polls_pollkey": {"poll_id": OTHER_POLL, "key": BYTES},
    "polls_votingcode": {"poll_id": OTHER_POLL, "code_hash": BYTES},
    "polls_liveticket": _ticket(b"another"),
    "polls_joincode": {"code": "ABC349"},
    "polls_event": _event(_NEW, "EVE349"),
    "polls_eventpoll": {"poll_id": OTHER_POLL, "event_id": EVENT, "position": 1},
    "polls_member": _member(OTHER_POLL),
}

# Each constraint, and what of a fresh row it refuses.
REFUSED: list[tuple[str, Row]] = [
    ("accounts_user: PRIMARY KEY (id)", {"id": USER}),
    ("accounts_user: UNIQUE (username_key)", {"username": "ALICE", "username_key": "alice"}),
    ("accounts_user_groups: PRIMARY KEY (id)", {"id": "GROUP LINK"}),
    ("accounts_user_groups: UNIQUE (user_id, group_id)", {"user_id": USER}),
    ("accounts_user_groups: FOREIGN KEY (user_id) -> accounts_user (id)", {"user_id": 1}),
    ("accounts_user_groups: FOREIGN KEY (group_id) -> auth_group (id)", {"group_id": 999_999}),
    ("accounts_user_user_permissions: PRIMARY KEY (id)", {"id": "PERMISSION LINK"}),
    ("accounts_user_user_permissions: UNIQUE (user_id, permission_id)", {"user_id": USER}),
    ("accounts_user_user_permissions: FOREIGN KEY (user_id) -> accounts_user (id)", {"user_id": 1}),
    (
        "accounts_user_user_permissions: FOREIGN KEY (permission_id) -> auth_permission (id)",
        {"permission_id": 999_999},
    ),
    ("accounts_apitoken: PRIMARY KEY (id)", {"id": TOKEN}),
    ("accounts_apitoken: UNIQUE (token_hash)", {"token_hash": BYTES}),
    ("accounts_apitoken: FOREIGN KEY (user_id) -> accounts_user (id)", {"user_id": 1}),
    ("polls_poll: PRIMARY KEY (id)", {"id": POLL}),
    ("polls_poll: UNIQUE (join_code)", {"join_code": "ABC346"}),
    ("polls_poll: FOREIGN KEY (owner_id) -> accounts_user (id)", {"owner_id": 1}),
    ("polls_poll: CHECK poll_has_a_title", {"title": ""}),
    ("polls_poll: CHECK poll_closes_after_it_opens", {"opens_at": LATER, "closes_at": NOW}),
    ("polls_poll: CHECK poll_closes_after_it_opens", {"opens_at": NOW, "closes_at": NOW}),
    ("polls_poll: CHECK poll_selections_possible", {"min_selections": 0}),
    ("polls_poll: CHECK poll_selections_possible", {"min_selections": 3}),
    ("polls_poll: CHECK poll_single_is_one", {"kind": "single"}),
    (
        "polls_poll: CHECK poll_open_identity_keeps_no_voter",
        {"identity": "open", "results_visibility": "after_vote"},
    ),
    (
        "polls_poll: CHECK poll_open_identity_keeps_no_voter",
        {"identity": "open", "allow_change": True},
    ),
    ("polls_poll: CHECK poll_secret_cannot_change", {"secrecy": "secret", "allow_change": True}),
    ("polls_poll: CHECK poll_closed_has_its_time", {"status": "closed"}),
    ("polls_poll: CHECK poll_closed_has_its_time", {"closed_at": NOW}),
    ("polls_poll: CHECK poll_draft_unopened", {"status": "draft", "opened_at": NOW}),
    ("polls_poll: CHECK poll_certified_is_closed", {"certified_at": NOW}),
    ("polls_poll: CHECK poll_network_cap_is_of_devices", {"identity": "code", "network_cap": 1}),
    ("polls_poll: CHECK poll_network_cap_is_of_devices", {"network_cap": 0}),
    (
        "polls_poll: CHECK poll_shuffled_is_closed",
        {"shuffled_at": NOW, "secrecy": "secret"},
    ),
    (
        "polls_poll: CHECK poll_shuffled_is_closed",
        {"shuffled_at": NOW, "status": "closed", "closed_at": NOW},
    ),
    (
        "polls_poll: CHECK poll_secret_is_shuffled_first",
        {"certified_at": NOW, "status": "closed", "closed_at": NOW, "secrecy": "secret"},
    ),
    ("polls_poll: CHECK poll_kind_known", {"kind": "plural"}),
    ("polls_poll: CHECK poll_identity_known", {"identity": "name"}),
    ("polls_poll: CHECK poll_secrecy_known", {"secrecy": "public"}),
    ("polls_poll: CHECK poll_results_visibility_known", {"results_visibility": "never"}),
    ("polls_poll: CHECK poll_status_known", {"status": "paused"}),
    ("polls_poll: CHECK revision", {"revision": -1}),
    ("polls_option: PRIMARY KEY (id)", {"id": ELSEWHERE}),
    ("polls_option: UNIQUE (poll_id, normalised_text)", {"normalised_text": "pizza"}),
    ("polls_option: UNIQUE (poll_id, position)", {"position": 1}),
    ("polls_option: FOREIGN KEY (poll_id) -> polls_poll (id)", {"poll_id": NOBODY}),
    ("polls_option: CHECK option_has_a_text", {"normalised_text": ""}),
    ("polls_option: CHECK position", {"position": -1}),
    ("polls_participation: PRIMARY KEY (poll_id, voter_key)", {"voter_key": BYTES}),
    ("polls_participation: FOREIGN KEY (poll_id) -> polls_poll (id)", {"poll_id": NOBODY}),
    ("polls_ballot: PRIMARY KEY (poll_id, id)", {"id": BALLOT}),
    ("polls_ballot: FOREIGN KEY (poll_id) -> polls_poll (id)", {"poll_id": NOBODY}),
    ("polls_selection: PRIMARY KEY (poll_id, ballot_id, option_id)", {"option_id": PIZZA}),
    (
        "polls_selection: FOREIGN KEY (poll_id, ballot_id) -> polls_ballot (poll_id, id)",
        {"ballot_id": NOBODY},
    ),
    (
        "polls_selection: FOREIGN KEY (poll_id, option_id) -> polls_option (poll_id, id)",
        {"option_id": ELSEWHERE},  # an option, but of another poll
    ),
    ("polls_polltally: PRIMARY KEY (poll_id)", {"poll_id": POLL}),
    ("polls_polltally: FOREIGN KEY (poll_id) -> polls_poll (id)", {"poll_id": NOBODY}),
    ("polls_polltally: CHECK seq", {"seq": -1}),
    ("polls_polltally: CHECK ballots", {"ballots": -1}),
    ("polls_tally: PRIMARY KEY (poll_id, option_id)", {"option_id": PIZZA}),
    (
        "polls_tally: FOREIGN KEY (poll_id, option_id) -> polls_option (poll_id, id)",
        {"option_id": ELSEWHERE},
    ),
    ("polls_tally: CHECK votes", {"votes": -1}),
    ("polls_tallybucket: PRIMARY KEY (poll_id, at, option_id)", {"option_id": PIZZA}),
    (
        "polls_tallybucket: FOREIGN KEY (poll_id, option_id) -> polls_option (poll_id, id)",
        {"option_id": ELSEWHERE},
    ),
    ("polls_tallybucket: CHECK votes", {"votes": -1}),
    ("polls_ballotbucket: PRIMARY KEY (poll_id, at)", {"at": NOW}),
    ("polls_ballotbucket: CHECK ballots", {"ballots": -1}),
    ("polls_networkcount: PRIMARY KEY (poll_id, network)", {"network": BYTES}),
    ("polls_networkcount: CHECK network_within_its_cap", {"n": 3}),
    ("polls_networkcount: CHECK n", {"n": -1}),
    ("polls_votingcode: PRIMARY KEY (poll_id, code_hash)", {"poll_id": POLL}),
    ("polls_votingcode: FOREIGN KEY (poll_id) -> polls_poll (id)", {"poll_id": NOBODY}),
    ("polls_pollkey: PRIMARY KEY (poll_id)", {"poll_id": POLL}),
    ("polls_pollkey: FOREIGN KEY (poll_id) -> polls_poll (id)", {"poll_id": NOBODY}),
    ("polls_liveticket: PRIMARY KEY (ticket_hash)", {"ticket_hash": BYTES}),
    ("polls_liveticket: FOREIGN KEY (user_id) -> accounts_user (id)", {"user_id": 1}),
    ("polls_liveticket: FOREIGN KEY (token_id) -> accounts_apitoken (id)", {"token_id": NOBODY}),
    ("polls_joincode: PRIMARY KEY (code)", {"code": "EVE346"}),
    ("polls_event: PRIMARY KEY (id)", {"id": EVENT}),
    ("polls_event: UNIQUE (join_code)", {"join_code": "EVE346"}),
    ("polls_event: FOREIGN KEY (owner_id) -> accounts_user (id)", {"owner_id": 1}),
    (
        "polls_event: FOREIGN KEY (join_code) -> polls_joincode (code)",
        {"join_code": "EVE399"},
    ),
    (
        "polls_event: FOREIGN KEY (id, current_id) -> polls_eventpoll (event_id, poll_id)",
        {"current_id": POLL},  # a poll, but of another event
    ),
    ("polls_event: CHECK event_has_a_title", {"title": ""}),
    ("polls_event: CHECK seq", {"seq": -1}),
    ("polls_eventpoll: PRIMARY KEY (poll_id)", {"poll_id": POLL, "event_id": OTHER_EVENT}),
    ("polls_eventpoll: FOREIGN KEY (poll_id) -> polls_poll (id)", {"poll_id": NOBODY}),
    ("polls_eventpoll: FOREIGN KEY (event_id) -> polls_event (id)", {"event_id": NOBODY}),
    ("polls_eventpoll: UNIQUE (event_id, position)", {"position": 0}),
    ("polls_eventpoll: CHECK position", {"position": -1}),
    ("polls_member: PRIMARY KEY (poll_id, user_id)", {"poll_id": POLL}),
    ("polls_member: FOREIGN KEY (poll_id) -> polls_poll (id)", {"poll_id": NOBODY}),
    ("polls_member: FOREIGN KEY (user_id) -> accounts_user (id)", {"user_id": 1}),
    ("polls_member: CHECK member_role_known", {"role": "owner"}),
]

# Constraints that no row can break alone: what the change breaks, it breaks the second one too,
# and the databases differ in which they name.
IMPLIED: list[tuple[str, str, Row]] = [
    (
        "accounts_user: UNIQUE (username)",
        "accounts_user: UNIQUE (username_key)",
        {"username": "Alice", "username_key": "alice"},
    ),
    # the target of the composite foreign keys
    ("polls_option: UNIQUE (poll_id, id)", "polls_option: PRIMARY KEY (id)", {"id": PIZZA}),
    (
        "polls_eventpoll: UNIQUE (event_id, poll_id)",
        "polls_eventpoll: PRIMARY KEY (poll_id)",
        {"poll_id": POLL},
    ),
    (
        "polls_poll: CHECK min_selections",
        "polls_poll: CHECK poll_selections_possible",
        {"min_selections": -1},
    ),
    (
        "polls_poll: CHECK network_cap",
        "polls_poll: CHECK poll_network_cap_is_of_devices",
        {"network_cap": -1},
    ),
    (
        "polls_networkcount: CHECK cap",
        "polls_networkcount: CHECK network_within_its_cap",
        {"n": 0, "cap": -1},
    ),
    (
        "polls_poll: CHECK max_selections",
        "polls_poll: CHECK poll_selections_possible",
        {"max_selections": -1},
    ),
]
