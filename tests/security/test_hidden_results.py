"""Hidden results show nowhere before their release: rows 4 to 8 of what must hold."""

from typing import Any

import pytest
import requests

from tests.live import Caller, Server
from tests.security import doors
from tests.security.doors import Shows
from tests.security.twins import Twin, differing_doors, frames_of_each, make_twins

HIDDEN = ("after_vote", "after_close", "owner")


@pytest.fixture(scope="module")
def owner(live: Server) -> Caller:
    return live.sign_up()


@pytest.fixture(scope="module")
def people(live: Server) -> dict[str, dict[str, str]]:
    """Everybody who has neither voted nor a role."""
    return {
        "nobody": {},
        "another account": live.sign_up().headers,
        "a voter": live.voter().headers,
        "a browser": {
            "Cookie": f"voter={live.voter().headers['X-Voter-Token']}",
            "Accept": "text/html",
        },
    }


# -- the table ---------------------------------------------------------------------------------


def test_row_04_to_08_every_door_is_known_to_show_counts_or_not() -> None:
    """A new route has to be looked at before this passes again."""
    assert doors.doors() == set(doors.DOORS)
    assert doors.socket_paths() == set(doors.SOCKETS)
    assert doors.said_by_clients() == set(doors.CLIENT_FRAMES)
    assert doors.said_by_servers() == set(doors.SERVER_FRAMES)


# -- polls of one definition with different votes ----------------------------------------------


@pytest.mark.parametrize(("rule", "closed"), [*((rule, False) for rule in HIDDEN), ("owner", True)])
def test_row_04_to_08_hidden_results_show_at_no_door(
    live: Server, owner: Caller, people: dict[str, dict[str, str]], rule: str, *, closed: bool
) -> None:
    twins = make_twins(live, owner, results_visibility=rule, closed=closed)
    # Whoever has voted is no outsider where the rule is `after_vote`.
    assert differing_doors(twins, people, may_vote=rule != "after_vote") == {}
    _assert_same_elsewhere(twins, people)


def _assert_same_elsewhere(twins: list[Twin], people: dict[str, dict[str, str]]) -> None:
    """Ask the doors that name a poll in the query or the body, and those that list polls."""
    for headers in people.values():
        told = []
        for twin in twins:
            url, page = twin.server.url, f"{twin.server.url}/p/{twin.poll['join_code']}"
            answers = [
                requests.get(f"{url}/oembed", params={"url": page}, headers=headers, timeout=30),
                requests.post(
                    f"{url}/api/v1/live-tickets/",
                    json={"polls": [twin.poll["id"]]},
                    headers={name: value for name, value in headers.items() if name != "Cookie"},
                    timeout=30,
                ),
                *(
                    requests.get(url + path, headers=headers, timeout=30)
                    for path in ("/api/v1/polls/", "/api/v1/polls/shared/", "/api/v1/events/")
                ),
            ]
            told.append([twin.sent_over(answer) for answer in answers])
            assert not any(twin.poll["id"] in answer.text for answer in answers[2:])
        assert told[0] == told[1]


@pytest.mark.parametrize(("rule", "closed"), [*((rule, False) for rule in HIDDEN), ("owner", True)])
def test_row_04_to_08_hidden_results_show_in_no_frame_and_no_close(
    live: Server, owner: Caller, rule: str, *, closed: bool
) -> None:
    twins = make_twins(live, owner, results_visibility=rule, closed=closed)
    seen = frames_of_each(twins)
    assert seen[0] == seen[1]


# -- the negative control: where everybody may see, the same walk finds every door -------------


def test_walk_tells_twins_apart_at_every_door_that_shows_counts_and_at_no_other(
    live: Server, owner: Caller, people: dict[str, dict[str, str]]
) -> None:
    found: dict[str, Any] = {}
    for closed in (False, True):
        twins = make_twins(live, owner, closed=closed)
        found |= differing_doors(twins, people, may_vote=not closed)
    assert set(found) == {door for door, shows in doors.DOORS.items() if shows is Shows.COUNTS}


def test_sockets_tell_twins_apart_where_everybody_may_see(live: Server, owner: Caller) -> None:
    one, other = frames_of_each(make_twins(live, owner))
    assert {name for name in one if one[name] != other[name]} == set(one) - {
        "/ws/ unsubscribe",
    }


@pytest.mark.parametrize("leak", ["ETag", "Content-Length", "Cache-Control", "body"])
def test_one_header_that_follows_the_votes_is_noticed(
    live: Server, owner: Caller, leak: str
) -> None:
    twins = make_twins(live, owner, results_visibility="owner")
    seen = []
    for votes, twin in zip((0, 37), twins, strict=True):
        answer = requests.get(live.url + twin.poll["links"]["self"], timeout=30)
        if leak == "body":
            answer._content = answer.content.replace(b'"seq":null', f'"seq":{votes}'.encode())
        else:
            answer.headers[leak] = f"{votes}"
        seen.append(twin.sent_over(answer))
    assert seen[0] != seen[1]
