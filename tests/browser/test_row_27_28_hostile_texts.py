"""Rows 27 and 28: whatever people write, in a real browser it stays text.

A text that ran would call `bad()`, which each page knows here, and one that was stopped by the
policy alone would be a violation of it: `people` fails on either.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from polls.text import normalised
from tests.browser.conftest import People, Person
from tests.live import Caller, Server

PAYLOADS = [
    "<script>bad()</script>",
    "<ScRiPt>bad()</sCrIpT>",
    "<script src=data:text/javascript,bad()></script>",
    "<script/x>bad()</script/x>",
    "<script>bad()//",
    "<<script>bad()//<</script>",
    "</script><script>bad()</script>",
    "</ScRiPt ><script>bad()</script>",
    "</title><script>bad()</script>",
    "</textarea><script>bad()</script>",
    "</style><script>bad()</script>",
    "</noscript><script>bad()</script>",
    "</template><script>bad()</script>",
    "]]><script>bad()</script>",
    "<!--<script>bad()//-->",
    "<!--><script>bad()</script>-->",
    "--><script>bad()</script>",
    '"><script>bad()</script>',
    "'><script>bad()</script>",
    '"><img src=x onerror=bad()>',
    "'><svg/onload=bad()>",
    '" onmouseover=bad() autofocus onfocus=bad() x="',
    "' onfocus=bad() autofocus x='",
    "` onfocus=bad() autofocus x=`",
    "x onload=bad() y=",
    "<img src=x onerror=bad()>",
    "<img src=x onerror=bad()//",
    "<img/src/onerror=bad()>",
    "<img src=x:x onerror&#61;bad()>",
    "<svg onload=bad()>",
    "<svg><script>bad()</script></svg>",
    "<svg><animate onbegin=bad() attributeName=x dur=1s>",
    "<svg><a xlink:href=javascript:bad()><text x=9 y=9>x</text></a></svg>",
    "<svg><style><img src=x onerror=bad()></style></svg>",
    "<math><mtext></form><form><mglyph><style></math><img src onerror=bad()>",
    "<math><mi//xlink:href='javascript:bad()'>x",
    "<iframe srcdoc='<script>parent.bad()</script>'></iframe>",
    "<iframe src=javascript:parent.bad()></iframe>",
    "<object data=javascript:bad()>",
    "<embed src=javascript:bad()>",
    "<a href='javascript:bad()'>x</a>",
    "<a href='java\tscript:bad()'>x</a>",
    "<a href='&#106;avascript:bad()'>x</a>",
    "<form action=javascript:bad()><button>x</button></form>",
    "<button formaction=javascript:bad()>x</button>",
    "<base href='https://evil.example/'>",
    "<meta http-equiv=refresh content='0;url=javascript:bad()'>",
    "<link rel=stylesheet href=data:text/css,*{display:none}>",
    "<style>*{display:none}</style>",
    "<p style='background:url(javascript:bad())'>x",
    "<video><source onerror=bad()></video>",
    "<audio src=x onerror=bad()>",
    "<details open ontoggle=bad()>",
    "<marquee onstart=bad()>",
    "<body onload=bad()>",
    "<input autofocus onfocus=bad()>",
    "<template><script>bad()</script></template>",
    "javascript:bad()",
    "javascript://%0abad()",
    "data:text/html,<script>parent.bad()</script>",
    "{{constructor.constructor('bad()')()}}",
    "{% debug %}{{ settings.SECRET_KEY }}",
    "${bad()}",
    "#{bad()}",
    "<%= bad() %>",
    "';bad();'",
    '";bad();"',
    "\\';bad();//",
    "\\u003cscript\\u003ebad()\\u003c/script\\u003e",
    "&lt;script&gt;bad()&lt;/script&gt;",
    "\u2028bad()\u2029",
    "\uff1cscript\uff1ebad()\uff1c/script\uff1e",
    "+ADw-script+AD4-bad()+ADw-/script+AD4-",
    "<x id=texts>{}</x><x id=title>x</x>",  # names that scripts of ours look for
]
# As options, without those that a poll takes for the same.
OPTIONS = [{"text": text} for text in {normalised(text): text for text in PAYLOADS}.values()]
PAGES = ("{page}", "{page}/results", "{page}/present", "/embed/{code}")
# What a form sends may be named "action" and stands in its place then, so the attribute is read.
HREFS = """all => all.map(e => e.href?.baseVal ?? e.href
  ?? (e.hasAttribute('action') ? new URL(e.getAttribute('action'), document.baseURI).href : ''))"""


def address(path: str, poll: Mapping[str, Any]) -> str:
    return path.format(page=poll["links"]["page"], code=poll["join_code"])


def armed(person: Person) -> Person:
    person.context.add_init_script("window.bad = () => console.error('a text ran')")
    return person


def shown(text: str) -> str:
    """Return what a page shows of a text: white space is one blank."""
    return " ".join(text.replace("\u2028", " ").replace("\u2029", " ").split())


def settled(page: Page) -> Page:
    if page.locator("#connection").count():
        expect(page.locator("#connection")).to_have_text("live")
    return page


def assert_links_are_http(page: Page) -> None:
    found: list[str] = page.locator("[href], form").evaluate_all(HREFS)
    assert found
    schemes = {urlsplit(link).scheme for link in found if isinstance(link, str) and link}
    assert schemes <= {"http", "https", "data"}, schemes  # `data:` is the icon
    links: list[str] = page.locator("a, form").evaluate_all(HREFS)
    assert not [link for link in links if isinstance(link, str) and link.startswith("data:")]


def test_there_are_sixty_texts_at_least() -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 60


@pytest.mark.parametrize("part", range(6))
def test_row_27_28_no_text_of_a_user_runs(
    people: People, organiser: Caller, live: Server, part: int
) -> None:
    """Each text as title and description of a poll of its own, and all of them as its options."""
    person = armed(people())
    for number, text in enumerate(PAYLOADS[part::6]):
        options = OPTIONS if number == 0 else [{"text": text}, {"text": f"{text} no"}]
        poll = organiser.make_poll(title=text, description=text, options=options)
        # The first of each part on every page, whose options are all of them.
        for path in PAGES if number == 0 else PAGES[:1]:
            page = person.goto(address(path, poll))
            expect(page.locator("h1")).to_have_text(shown(text))
            assert_links_are_http(page)
        assert person.faults == []
        if number == 0:  # what a script draws anew is text as well
            page = settled(person.goto(address("{page}/results", poll)))
            live.voter().vote(poll, 1)
            page.wait_for_timeout(300)
    assert person.faults == []


def test_row_27_28_no_name_at_the_desk_runs(people: People, live: Server) -> None:
    name = f"desk-{live.port}-xss"
    owner = live.sign_up(name)
    password = {"username": name, "password": "correct horse battery staple"}
    polls = []
    for start in range(0, len(PAYLOADS), 8):
        title = " ".join(PAYLOADS[start : start + 8])[:200]
        polls.append(owner.make_poll(title=title, description=title, options=OPTIONS[:20]))
    event = owner.make_event(polls[0], title=polls[0]["title"], current=polls[0]["id"])
    for poll in polls:
        owner.post("/api/v1/auth/tokens/", {**password, "name": poll["title"][:100]})
    person = armed(people())
    person.log_in(name)
    paths = ["/desk", "/desk/events", f"/desk/events/{event['id']}", "/desk/tokens"]
    paths += [f"/desk/polls/{poll['id']}" for poll in polls]
    paths += [f"/desk/polls/{polls[0]['id']}/delete", f"/p/{event['join_code']}"]
    for path in paths:
        page = person.goto(path)
        assert_links_are_http(page)
        assert "bad()" in page.locator("body").inner_text() or "bad()" in page.content()
    for text in PAYLOADS[::3]:
        person.goto(f"/desk/new?title={_quoted(text)}&description={_quoted(text)}")
        person.goto(f"/?code={_quoted(text)}")
    assert person.faults == []


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


@pytest.mark.parametrize(
    "where", ["javascript:bad()", "//evil.example", "https://evil.example", "data:text/html,x"]
)
def test_row_28_no_text_of_a_user_becomes_a_link(people: People, live: Server, where: str) -> None:
    """Not where one goes after logging in, nor who may frame a poll."""
    name = f"link-{live.port}-{len(where)}"
    owner = live.sign_up(name)
    person = armed(people())
    page = person.goto(f"/accounts/login?next={_quoted(where)}")
    assert_links_are_http(page)
    page.fill("[name=login]", name)
    page.fill("[name=password]", "correct horse battery staple")
    page.locator("main form button").first.click()
    page.wait_for_url(f"{live.url}/desk")
    body = {"title": "x", "options": [{"text": "a"}, {"text": "b"}], "embed_origins": [where]}
    if where != "https://evil.example":
        answer = owner.post("/api/v1/polls/", body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_poll")


def test_control_text_that_runs_is_noticed(people: People) -> None:
    person = armed(people())
    page = person.goto("/")
    page.evaluate(
        "() => { const e = document.createElement('p'); e.innerHTML = "
        "'<img src=x onerror=bad()>'; document.body.append(e) }"
    )
    page.wait_for_timeout(300)
    # The policy has stopped it, and said so.
    assert person.faults
    assert all("policy" in fault or "violates" in fault for fault in person.faults)
    person.faults.clear()
    page.evaluate("bad()")
    assert person.faults == ["a text ran"]
    person.faults.clear()
