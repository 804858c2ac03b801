"""Who may open a socket: Origin, Host and cookies in the handshake."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.live import Caller, Server
from tests.realtime.client import (
    dashboard,
    handshake_status,
    results_of,
    snapshot_of,
    status_of,
    ticket_for,
)
from tests.realtime.servers import DaphneServer, execute, serving

ELSEWHERE = "https://elsewhere.example"
PARTNER = "https://partner.example"
COOKIE = {"Cookie": "voter=whatever"}
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def partnered() -> Iterator[Server]:
    """A server that another site's pages may connect to, and that a proxy may stand before."""
    with serving(CORS_ALLOWED_ORIGINS=PARTNER, TRUSTED_PROXIES="127.0.0.1") as server:
        yield server


def _handshakes(port: int) -> list[tuple[str, int, dict[str, Any]]]:
    """Return what a handshake says, and the HTTP status it deserves."""
    own = f"http://127.0.0.1:{port}"
    return [
        ("a program", 101, {}),
        ("a program that sends a cookie", 403, {"headers": COOKIE}),
        ("a program that sends an empty cookie", 403, {"headers": {"Cookie": ""}}),
        ("a page of this site", 101, {"origin": own}),
        ("the same with a cookie", 101, {"origin": own, "headers": COOKIE}),
        ("the same in capitals", 101, {"origin": own.upper()}),
        (
            "a page of this site under its other name",
            101,
            {"origin": f"http://localhost:{port}", "host": f"localhost:{port}"},
        ),
        ("a page under another name than the socket", 403, {"origin": f"http://localhost:{port}"}),
        ("a page on another port", 403, {"origin": f"http://127.0.0.1:{port + 1}"}),
        ("a page without a port", 403, {"origin": "http://127.0.0.1"}),
        ("a page over HTTPS", 403, {"origin": f"https://127.0.0.1:{port}"}),
        ("a page of another site", 403, {"origin": ELSEWHERE}),
        ("the same with a cookie", 403, {"origin": ELSEWHERE, "headers": COOKIE}),
        ("a sandboxed page", 403, {"origin": "null"}),
        ("an empty Origin", 403, {"origin": ""}),
        ("Origin as a path of ours", 403, {"origin": f"{own}/"}),
        # Which nobody can read in one way: the server's own protocol calls it a bad request.
        ("two Origins", 400, {"origin": own, "headers": {"Origin": ELSEWHERE}}),
        ("another Host", 403, {"host": "elsewhere.example"}),
        (
            "a page whose name was rebound to this address",
            403,
            {"host": f"elsewhere.example:{port}", "origin": f"http://elsewhere.example:{port}"},
        ),
    ]


def test_row_11_handshake_is_answered_by_where_it_comes_from(
    live: Server, organiser: Caller
) -> None:
    poll = organiser.make_poll()
    found = {name: handshake_status(live, poll, **how) for name, _, how in _handshakes(live.port)}
    wanted = {name: status for name, status, _ in _handshakes(live.port)}
    if isinstance(live, DaphneServer):
        wanted["an empty Origin"] = 400  # by its own protocol
    assert found == wanted


def test_foreign_page_learns_nothing_from_a_path_that_does_not_exist(live: Server) -> None:
    for how in ({"origin": ELSEWHERE}, {"origin": "null"}, {"headers": COOKIE}):
        assert handshake_status(live, "/ws/polls/lunch/", **how) == 403


def test_row_11_origin_that_the_operator_allows_may_connect(partnered: Server) -> None:
    poll = partnered.sign_up().make_poll()
    port = partnered.port
    expected = [
        *_handshakes(port),
        ("a page of the partner", 101, {"origin": PARTNER}),
        ("the same with a cookie", 101, {"origin": PARTNER, "headers": COOKIE}),
        ("the partner over HTTP", 403, {"origin": PARTNER.replace("https", "http")}),
        ("the partner's neighbour", 403, {"origin": f"{PARTNER}.elsewhere.example"}),
    ]
    found = [(name, handshake_status(partnered, poll, **how)) for name, _, how in expected]
    assert found == [(name, status) for name, status, _ in expected]


def test_row_11_voter_cookie_counts_from_this_site_alone(partnered: Server) -> None:
    owner = partnered.sign_up()
    poll = owner.make_poll(results_visibility="after_vote")
    voter = partnered.voter()
    voter.vote(poll, 0)
    # An odd cookie of another application on this host does not hide it.
    cookie = {"Cookie": f"a[b]=1; voter={voter.headers['X-Voter-Token']}; odd"}
    how: dict[str, Any] = {"query": "?view=status", "headers": cookie}
    with dashboard(partnered, poll, origin=partnered.url, **how) as page:
        assert page.frame() == snapshot_of(results_of(voter, poll))
    with dashboard(partnered, poll, origin=PARTNER, **how) as page:
        assert page.frame() == status_of(poll)
        # A ticket is how a page of the partner says whose it is.
        page.say({"type": "auth", "ticket": ticket_for(voter, poll)})
        assert page.frame() == snapshot_of(results_of(voter, poll))


def test_row_21_page_over_https_is_this_sites_own_where_a_trusted_proxy_says_so(
    partnered: Server, live: Server
) -> None:
    poll = partnered.sign_up().make_poll(results_visibility="after_vote")
    voter = partnered.voter()
    voter.vote(poll, 0)
    token = voter.headers["X-Voter-Token"]
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"}
    how: dict[str, Any] = {
        "query": "?view=status",
        "origin": partnered.url.replace("http", "https"),
    }
    # Over HTTPS the cookie has the name that no other site can set.
    for name, shown in (("__Host-voter", "snapshot"), ("voter", "status")):
        headers = {**forwarded, "Cookie": f"{name}={token}"}
        with dashboard(partnered, poll, headers=headers, **how) as page:
            assert page.frame()["type"] == shown
    assert handshake_status(partnered, poll, origin=partnered.url, headers=forwarded) == 403
    assert handshake_status(partnered, poll, **how) == 403
    # Where no proxy is trusted, anybody could say so.
    secure = live.url.replace("http", "https")
    assert handshake_status(live, "/ws/nothing/", origin=secure, headers=forwarded) == 403


def test_ticket_replaces_the_cookie(live: Server, organiser: Caller) -> None:
    poll = organiser.make_poll(results_visibility="owner")
    cookie = {"Cookie": f"voter={live.voter().headers['X-Voter-Token']}"}
    how: dict[str, Any] = {
        "origin": live.url,
        "headers": cookie,
        "ticket": ticket_for(organiser, poll),
    }
    with dashboard(live, poll, **how) as page:
        assert page.frame() == snapshot_of(results_of(organiser, poll))


def test_cookie_that_was_not_issued_here_is_nobodys(live: Server, organiser: Caller) -> None:
    poll = organiser.make_poll(results_visibility="after_vote")
    forged = (
        "voter=" + "A" * 44,
        "voter=",
        "voter=é",
        "sessionid=",
        "sessionid=" + "a" * 32,
        'sessionid="abcdefgh\\000"',
        'voter="\\377"',
        "=;;;",
    )
    for cookie in forged:
        how: dict[str, Any] = {"origin": live.url, "headers": {"Cookie": cookie}}
        with dashboard(live, poll, "?view=status", **how) as page:
            assert page.frame() == status_of(poll)


def _sign_in(server: Server, name: str) -> requests.Session:
    """Sign in on the admin's page, which needs staff; return the browser's session."""
    assert execute(server, "UPDATE accounts_user SET is_staff = true WHERE username = %s", name)
    browser = requests.Session()
    url = f"{server.url}/admin/login/"
    browser.get(url, timeout=30)
    form = {
        "username": name,
        "password": PASSWORD,
        "csrfmiddlewaretoken": browser.cookies["csrftoken"],
        "next": "/admin/",
    }
    answer = browser.post(url, form, headers={"Referer": url}, timeout=30, allow_redirects=False)
    assert answer.status_code == 302, answer.text
    return browser


def test_row_11_session_cookie_of_the_owner_counts_from_this_site_alone(partnered: Server) -> None:
    owner = partnered.sign_up("anna")
    poll = owner.make_poll(results_visibility="owner")
    browser = _sign_in(partnered, "anna")
    cookie = {"Cookie": f"sessionid={browser.cookies['sessionid']}"}
    how: dict[str, Any] = {"query": "?view=status", "headers": cookie}
    with dashboard(partnered, poll, origin=partnered.url, **how) as page:
        assert page.frame() == snapshot_of(results_of(owner, poll))
    with dashboard(partnered, poll, origin=PARTNER, **how) as page:
        assert page.frame() == status_of(poll)
    assert handshake_status(partnered, poll, headers=cookie) == 403
    # Signed out, the cookie is nobody's.
    token = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    out = browser.post(
        f"{partnered.url}/admin/logout/", token, headers={"Referer": partnered.url}, timeout=30
    )
    assert out.status_code == 200
    with dashboard(partnered, poll, origin=partnered.url, **how) as page:
        assert page.frame() == status_of(poll)
