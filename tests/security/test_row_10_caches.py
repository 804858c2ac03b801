"""Row 10: what depends on who asks is kept by no cache, on every route that there is."""

import re
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.live import Caller, Server
from tests.realtime.servers import execute
from tests.security.places import addresses, log_in, names_of

HTML = {"Accept": "text/html"}
# What differs between two answers to the same person.
_EACH_TIME = re.compile(
    r'csrfmiddlewaretoken" value="\w+"|name="key" value="[\w-]+"|"instance":"[^"]*"'
)


@dataclass
class Stage:
    """A server with things on it, and two who look at them: their owner, and a stranger."""

    server: Server
    paths: list[str]
    owner: requests.Session
    program: Caller

    def see(self, path: str, headers: dict[str, str], **who: Any) -> requests.Response:
        browser = who.get("browser") or requests
        url = self.server.url + path
        found: requests.Response = browser.get(
            url, headers=headers, allow_redirects=False, timeout=30
        )
        return found


@pytest.fixture(scope="module")
def stage(live: Server) -> Stage:
    name = f"owner-{uuid.uuid4().hex[:8]}"
    program = live.sign_up(name)
    # Staff: the admin's pages are then more than the way to its login.
    sql = "UPDATE accounts_user SET is_staff = true, is_superuser = true WHERE username = %s"
    assert execute(live, sql, name) == 1
    names = [names_of(program, **fields) for fields in ({}, {"status": "draft"})]
    closed = names_of(program)
    program.post(f"{closed.poll['links']['self']}close/")
    hidden = names_of(program, results_visibility="owner")
    paths = [path for one in (*names, closed, hidden) for path in addresses(one)]
    browser = log_in(live, name)
    return Stage(live, [*dict.fromkeys(paths), "/nowhere", "/api/v1/nowhere/"], browser, program)


def is_private(answer: requests.Response) -> bool:
    """Whether an answer says of itself that no cache may keep it, and what it depends on."""
    kept_out = "no-store" in answer.headers.get("Cache-Control", "")
    depends = {name.strip().lower() for name in answer.headers.get("Vary", "").split(",")}
    return kept_out and "cookie" in depends


def faults_of(seen: list[requests.Response]) -> list[str]:
    """Return what is wrong with answers of one address to different people."""
    found = []
    bodies = {_EACH_TIME.sub("", one.text) for one in seen}
    statuses = {one.status_code for one in seen}
    if len(bodies) > 1 or len(statuses) > 1:
        found += [f"{one.status_code}: not private" for one in seen if not is_private(one)]
    found += ["a cookie" for one in seen if "Set-Cookie" in one.headers and not is_private(one)]
    found += [
        "shared and private"
        for one in seen
        if re.search("public|s-maxage", one.headers.get("Cache-Control", ""))
        and "Cookie" in one.headers.get("Vary", "")
    ]
    found += ["says nothing" for one in seen if not one.headers.get("Cache-Control")]
    return found


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_row_10_what_depends_on_who_asks_is_kept_by_no_cache(stage: Stage, accept: str) -> None:
    found, private, shared = {}, 0, 0
    headers = {"Accept": accept}
    for path in stage.paths:
        if path.endswith(("/logout", "/logout/")):
            continue  # the owner stays
        seen = [
            stage.see(path, headers, browser=stage.owner),
            stage.see(path, {**headers, **stage.program.headers}),
            stage.see(path, headers),
        ]
        private += all(is_private(one) for one in seen)
        shared += "public" in seen[0].headers.get("Cache-Control", "")
        if faults := faults_of(seen):
            found[path] = faults
    assert found == {}
    # Both kinds have been seen, the owner's own pages among them.
    assert private > 50
    assert shared >= 3
    assert "Log out" in stage.see("/desk", HTML, browser=stage.owner).text


def test_row_10_fault_would_be_noticed(stage: Stage) -> None:
    seen = [stage.see("/desk", HTML, browser=stage.owner), stage.see("/desk", HTML)]
    assert faults_of(seen) == []
    del seen[0].headers["Set-Cookie"]  # the token of its forms, anew
    seen[0].headers["Cache-Control"] = "max-age=60"
    assert faults_of(seen) == ["200: not private"]
    seen[0].headers["Cache-Control"] = "no-store"
    seen[0].headers["Vary"] = "Accept-Language"
    assert faults_of(seen) == ["200: not private"]


def test_row_10_results_that_some_may_see_are_private_and_those_of_all_are_not(
    stage: Stage,
) -> None:
    owner = stage.program
    for fields, close, cached in (
        ({}, False, False),
        ({}, True, True),
        ({"results_visibility": "after_close"}, True, True),
        ({"results_visibility": "owner"}, True, False),
    ):
        poll = owner.make_poll(**fields)
        if close:
            owner.post(f"{poll['links']['self']}close/")
        for path in (poll["links"]["results"], f"{poll['links']['self']}timeline/"):
            answer = owner.get(path)
            assert answer.status_code == 200
            assert is_private(answer) is not cached, (fields, close, path)
            assert ("public" in answer.headers["Cache-Control"]) is cached
