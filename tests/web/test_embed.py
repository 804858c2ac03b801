"""Polls on other people's pages: who may frame one, and what a pasted link tells of it."""

import html
import re
from typing import Any

import pytest
from django.test import Client

from polls.models import Poll
from tests.cast import NEW_POLL, Person, assert_problem

PROGRAM = Client(headers={"Accept": "application/json"})


def policy(path: str) -> dict[str, str]:
    header = Client().get(path).headers["Content-Security-Policy"]
    return dict(part.strip().partition(" ")[::2] for part in header.split(";"))


def ask(url: str, **query: Any) -> Any:
    return PROGRAM.get("/oembed", {"url": url, **query})


def test_frame_is_for_the_pages_that_the_owner_names(alice: Person) -> None:
    named = alice.make_poll(embed_origins=["https://example.org", "http://intranet:8080"])
    nobody = alice.make_poll()
    embed = f"/embed/{named['join_code']}"
    assert policy(embed)["frame-ancestors"] == "'self' https://example.org http://intranet:8080"
    assert policy(f"/embed/{nobody['join_code']}")["frame-ancestors"] == "'self'"
    assert "X-Frame-Options" not in Client().get(embed).headers
    # Every other page of it is framed by nobody.
    for path in ("", "/results", "/present"):
        answer = Client().get(named["links"]["page"] + path)
        assert answer.headers["X-Frame-Options"] == "DENY"


def test_frame_of_names_in_other_letters_keeps_its_policy(alice: Person) -> None:
    punycode = alice.make_poll(embed_origins=["https://xn--e1afmkfd.xn--p1ai"])
    assert policy(f"/embed/{punycode['join_code']}")["frame-ancestors"].endswith(".xn--p1ai")
    refused = alice.post("/api/v1/polls/", {**NEW_POLL, "embed_origins": ["https://пример.рф"]})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "embed_origins[0]")
    # One from before it was refused takes nothing from the others.
    poll = alice.make_poll(embed_origins=["https://example.org"])
    Poll.objects.filter(id=poll["id"]).update(
        embed_origins=["https://пример.рф", "https://example.org"]
    )
    embed = f"/embed/{poll['join_code']}"
    assert policy(embed)["frame-ancestors"] == "'self' https://example.org"
    assert policy(embed)["script-src"] == "'self'"


def test_frame_sets_no_cookie(alice: Person) -> None:
    answer = Client().get(f"/embed/{alice.make_poll()['join_code']}")
    assert answer.status_code == 200
    assert not answer.cookies
    assert "csrfmiddlewaretoken" not in answer.content.decode()


def test_draft_is_framed_for_nobody(alice: Person) -> None:
    code = alice.make_poll(status="draft")["join_code"]
    assert Client().get(f"/embed/{code}").status_code == 404
    assert_problem(ask(f"http://testserver/p/{code}"), 404, "not_found")


@pytest.mark.parametrize("path", ["/p/{}", "/p/{}/results", "/embed/{}"])
def test_oembed_tells_of_each_page_of_a_poll(alice: Person, path: str) -> None:
    poll = alice.make_poll(title="<Lunch>?", embed_origins=["https://example.org"])
    body = ask(f"http://testserver{path.format(poll['join_code'])}").json()
    assert body.pop("html") == (
        f'<iframe src="http://testserver/embed/{poll["join_code"]}" title="&lt;Lunch&gt;?" '
        f'width="100%" height="{body["height"]}" loading="lazy"></iframe>'
        '<script src="http://testserver/static/web/js/frame.js" async></script>'
    )
    assert body == {
        "version": "1.0",
        "type": "rich",
        "title": "<Lunch>?",
        "provider_name": "Polls",
        "provider_url": "http://testserver",
        "width": 480,
        "height": 300 + 2 * 68,
    }


def test_oembed_keeps_to_the_size_that_is_asked_for(alice: Person) -> None:
    poll = alice.make_poll(embed_origins=["https://example.org"])
    url = f"http://testserver{poll['links']['page']}"
    body = ask(url, maxwidth=200, maxheight=100).json()
    assert (body["width"], body["height"]) == (200, 100)
    for bad in ("0", "-1", "x", "", "9" * 6, "1.5", "٣"):
        answer = ask(url, maxwidth=bad)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
        assert answer.json()["errors"][0]["field"] == "maxwidth"


def test_poll_that_nobody_may_frame_is_a_link(alice: Person) -> None:
    body = ask(f"http://testserver{alice.make_poll()['links']['page']}").json()
    assert (body["type"], "html" in body) == ("link", False)


@pytest.mark.parametrize(
    "url",
    [
        *("", "x", "http://testserver/", "http://testserver/p/XXXXXX", "http://[", "/p/{code}"),
        *("http://elsewhere.example/p/{code}", "http://testserver/api/v1/join/{code}/"),
        "javascript:alert(1)//p/{code}",
    ],
)
def test_oembed_knows_no_other_address(alice: Person, url: str) -> None:
    code = alice.make_poll()["join_code"]
    assert_problem(ask(url.replace("{code}", code)), 404, "not_found")


def test_oembed_is_json_alone(alice: Person) -> None:
    url = f"http://testserver{alice.make_poll()['links']['page']}"
    assert ask(url, format="json").status_code == 200
    assert_problem(ask(url, format="xml"), 501, "format_not_offered")


def test_pasted_link_shows_the_poll(alice: Person) -> None:
    poll = alice.make_poll(title='"Lunch" & <dinner>?')
    page = Client().get(poll["links"]["page"]).content.decode()
    tags = {
        name: html.unescape(text)
        for name, text in re.findall(r'<meta property="og:(\w+)" content="([^"]*)">', page)
    }
    address = f"http://testserver{poll['links']['page']}"
    assert tags["title"] == '"Lunch" & <dinner>?'
    assert tags["description"] == "Pizza · Sushi"
    assert (tags["url"], tags["image"]) == (address, f"{address}/qr.png")
    link = re.search(
        r'<link rel="alternate" type="application/json\+oembed".*?href="([^"]+)"', page, re.DOTALL
    )
    assert link
    assert Client().get(html.unescape(link[1])).json()["title"] == '"Lunch" & <dinner>?'
    picture = Client().get(f"{poll['links']['page']}/qr.png")
    assert picture.headers["Content-Type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")
    drawing = Client().get(f"{poll['links']['page']}/qr.svg")
    assert drawing.headers["Content-Type"] == "image/svg+xml"


def test_draft_shows_nothing_to_pasted_links(alice: Person) -> None:
    poll = alice.make_poll(status="draft")
    for path in ("", "/results", "/present", "/qr.png", "/qr.svg"):
        assert Client().get(poll["links"]["page"] + path).status_code == 404
