"""Every operation of the API, called in every way: what it answers is documented, and refuses."""

import asyncio
import json
import random
import re

import requests

from fuzz.calls import Pool, draw_call
from fuzz.overload import ask
from fuzz.problems import code_of, faults_of, summary
from fuzz.reading import UnreadableError, read
from fuzz.report import Report, dice
from fuzz.scenes import Organiser, Site
from fuzz.schema import Operation, fits, operations
from fuzz.wire import Answer, Header, Line, LostError, NoHTTPError, Request

LANES = 12
_FRESH = 400  # calls of a lane before it makes new polls: calls close and delete them
_SELDOM = ("/api/v1/auth/register/", "/api/v1/auth/tokens/")  # hashing takes long on purpose
_SECONDS = 30
# The second is the one whose join code leads nowhere.
_POLLS = ("single", "draft", "scheduled", "changing", "codes", "capped", "secret")
_FIRST_REFUSAL = 300


def session_of(site_url: str, username: str, password: str) -> list[Header]:
    """Sign in on the pages; return the headers by which a page of ours calls the API."""
    with requests.Session() as browser:
        page = browser.get(f"{site_url}/accounts/login", timeout=_SECONDS)
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
        if found is None:
            raise LookupError("the page has no form")
        form = {"csrfmiddlewaretoken": found[1], "login": username, "password": password}
        browser.post(f"{site_url}/accounts/login", data=form, timeout=_SECONDS)
        cookies = browser.cookies.get_dict()
    if "sessionid" not in cookies:
        raise LookupError("nobody is signed in")
    line = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return [
        (b"Cookie", line.encode()),
        (b"X-CSRFToken", cookies["csrftoken"].encode()),
        (b"Sec-Fetch-Site", b"same-origin"),
    ]


async def callers_of(site: Site, organiser: Organiser, session: list[Header]) -> list[list[Header]]:
    """Return the headers of nobody, of accounts, of voters and of a session."""
    bearer = [(b"Authorization", f"Bearer {organiser.owner}".encode())]
    other = [(b"Authorization", f"Bearer {organiser.others[0]}".encode())]
    voter = [(b"X-Voter-Token", await site.voter())]
    return [
        *([], bearer, bearer, other, voter, [*bearer, *voter], session, session),
        *(session[:1], [(b"Authorization", b"Bearer forged")]),
    ]


async def pool_of(site: Site, organiser: Organiser, session: list[Header]) -> Pool:
    """Return what calls may name: new polls and events of the owner."""
    polls = [await site.poll(organiser.owner, shape) for shape in _POLLS]
    polls += [await site.poll(organiser.others[0], "single")]
    ids = [poll["id"] for poll in polls]
    event = await site.call(
        "POST", "/api/v1/events/", {"title": "Fuzz", "polls": ids[:1]}, organiser.owner
    )
    return Pool(
        ids={
            "poll_id": ids,
            "event_id": [event["id"]],
            "code": [polls[0]["join_code"], event["join_code"], polls[1]["join_code"]],
            "username": [*organiser.names.values(), "nobody"],
            "token_id": ids,  # of no token: those of the run must last
        },
        callers=await callers_of(site, organiser, session),
        words=(
            *(
                "Lunch?",
                "Pizza",
                "Sushi",
                "Soup",
                "2090-01-01T00:00:00Z",
                "2091-01-01T00:00:00+01:00",
            ),
            *(
                *ids,
                *(option["id"] for option in polls[0]["options"]),
                "https://example.org",
                "fuzz",
            ),
        ),
    )


def must_refuse(operation: Operation, request: Request, *, anonymous: bool) -> str:
    """Return why this call must not succeed, empty where it may."""
    if request.method != operation.method:
        return ""
    if operation.needs_account and anonymous:
        return "no account"
    if not request.body or operation.body is None:
        return ""
    try:
        value = read(request.body)
    except UnreadableError:
        return "a body that cannot be read"
    if not isinstance(value, dict):
        return "a body that is no object"
    return "" if fits(operation.body, value) else "a body outside its schema"


def hold(operation: Operation, request: Request, answer: Answer, *, anonymous: bool) -> list[str]:
    """Return what is wrong with an answer."""
    wrong = faults_of(answer, request.path) if request.method != "HEAD" else []
    succeeded = answer.status < _FIRST_REFUSAL
    if succeeded and (why := must_refuse(operation, request, anonymous=anonymous)):
        wrong.append(f"wrongly accepted: {why}")
    if request.method == operation.method and not wrong:
        body = json.loads(answer.body) if answer.body else None
        wrong += operation.faults_of(answer.status, code_of(answer), body)
    return wrong


def _weight(operation: Operation) -> int:
    if operation.method == "DELETE":
        return 3  # what is gone answers 404 and nothing else
    return 1 if operation.path in _SELDOM and operation.method == "POST" else 20


async def _lane(  # noqa: PLR0913, PLR0917 - all that a lane is made of
    port: int,
    draws: list[random.Random],
    told: list[Operation],
    organiser: Organiser,
    session: list[Header],
    report: Report,
) -> None:
    """Make the calls of one stretch after another, each with new polls."""
    weights = [_weight(one) for one in told]
    line = Line(port)
    async with Site(port, report) as site:
        while draws:
            draw = draws.pop()
            pool = await pool_of(site, organiser, session)
            for _ in range(_FRESH):
                operation = draw.choices(told, weights)[0]
                request = draw_call(draw, operation, pool)
                await _call(line, operation, request, site.host, report)
    await line.end()


async def _call(
    line: Line, operation: Operation, request: Request, host: str, report: Report
) -> None:
    """Make one call and hold what is answered."""
    anonymous = not {name for name, _ in request.headers} & {b"Authorization", b"Cookie"}
    sent = request.encoded(host)
    try:
        answer = await ask(line, sent, request.method, report)
    except (LostError, NoHTTPError, OSError) as error:
        report.find("no answer", f"{sent[:900]!r}: {error!r}")
        return
    report.answered(summary(answer))
    for fault in hold(operation, request, answer, anonymous=anonymous):
        report.find(fault, f"{sent[:900]!r} -> {answer.status} {answer.body[:300]!r}")


async def run(port: int, *, seed: object, inputs: int) -> Report:
    """Make so many calls."""
    report = Report("api")
    async with Site(port, report) as site:
        told = operations(await site.call("GET", "/swagger.json"))
        organiser = await site.organiser()
    name = organiser.names[organiser.owner.encode()]
    session = await asyncio.to_thread(
        session_of, f"http://127.0.0.1:{port}", name, organiser.password
    )
    number = max(1, round(inputs / _FRESH))
    draws = [dice(f"{seed} api {one}") for one in range(number)]
    async with asyncio.TaskGroup() as group:
        for _ in range(LANES):
            group.create_task(_lane(port, draws, told, organiser, session, report))
    return report.end()
