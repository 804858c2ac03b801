"""Votes of every kind through both doors, each held to the oracle, and counted at the end."""

import asyncio
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence

from benchmarks.audit_store import Sums
from fuzz.ballots import draw_body, draw_no_body
from fuzz.heads import People, draw_code, draw_head, draw_ordinary_head
from fuzz.identities import BODILESS
from fuzz.oracle import Ruling, judge, take
from fuzz.overload import UNKNOWN, ask, is_overload
from fuzz.problems import code_of, faults_of, summary
from fuzz.report import Report, dice
from fuzz.scenes import CODES, KEYS, NETWORKS, OPTIONS, SHAPES, VOTERS, Organiser, Scene, Site
from fuzz.wire import Answer, Line, LostError, NoHTTPError, Request
from fuzz.world import Poll

SCENE = 1800  # requests of one half in one scene
LANES = 16  # scenes at a time
_CLERKS = 100  # scenes of one organiser, whose polls are limited by rate
_PEOPLE = People(
    tokens=[f"t{number}" for number in range(VOTERS)],
    keys=[f"k{number}" for number in range(KEYS)],
    accounts=["a0", "a1", "a2", "a3"],
    codes=[f"c{number}" for number in range(CODES)],
    networks=NETWORKS,
)
_ORDINARY = 0.45  # of the requests: the order of decisions goes on where nothing is wrong
_AGAIN = 0.2  # of the requests have been sent before, perhaps long ago
_METHODS = ("POST", "PUT", "DELETE", "GET")
_NO_CONTENT, _FIRST_REFUSAL = 204, 300
_REPLAYED = b"idempotent-replayed"
_RECEIPT = re.compile("[0-9a-f]{32}")
_NOWHERE = (
    "00000000-0000-0000-0000-000000000000", "<UPPERPOLL>", "<poll>x", "x", "<0>", "<poll>/<poll>",
    "%20", "<other>", "..", "%2e%2e", "{<poll>}", "-1", "%C3%A9", "<poll>%0A", "*", "<t0>",
)  # fmt: skip
# The door is chosen by a query, of which the answer must not tell.
DOORS = ("", "door=2")
_OWN = {b"date", b"x-request-id"}
_UNLIKE = (
    (re.compile(rb'"receipt":"[0-9a-f]{32}"'), b'"receipt":"(another)"'),
    (re.compile(rb'"certified_at":"[^"]+"'), b'"certified_at":"(a time)"'),
    (re.compile(rb"csrftoken=\w+|[Ee]xpires=[^;]+"), b"(another)"),
)

Counts = Callable[[str], Sums]


def draw_vote(draw: random.Random, shape: str) -> Request:
    """Return a vote with names in the place of ids."""
    told = SHAPES.get(shape, {})
    identity = str(told.get("identity", "device"))
    often = (48, 30, 16, 6) if told.get("allow_change") else (88, 5, 3, 4)
    method = draw.choices(_METHODS, often)[0]
    ordinary = draw.random() < _ORDINARY
    headers = (draw_ordinary_head if ordinary else draw_head)(draw, _PEOPLE, identity)
    name = "<poll>" if draw.random() < 0.97 else draw.choice(_NOWHERE)
    options = OPTIONS.get(shape, 3)
    if method in BODILESS:
        body = draw_no_body(draw, options)
    else:
        code = draw_code(draw, _PEOPLE.codes) if identity == "code" else None
        body = draw_body(draw, options, code, ordinary=ordinary)
    chunks: Sequence[int] = ()
    if body and draw.random() < 0.05:
        chunks = [draw.choice((1, 7, 100, 5000)) for _ in range(draw.randrange(1, 4))]
    return Request(method, f"/api/v1/polls/{name}/votes/", headers, body, "", chunks)


class Voting:
    """One scene, voted in through both doors."""

    def __init__(self, scene: Scene, report: Report) -> None:
        self._scene = scene
        self._report = report
        self.is_known = True  # whether all that was sent has a known outcome
        self._lines = [Line(scene.site.port) for _ in scene.halves]

    async def vote(self, request: Request, shape: str) -> None:
        """Send a vote to both doors and hold the answers to the oracle and to each other."""
        asked = [half.fill(request, shape) for half in self._scene.halves]
        for one, query in zip(asked, DOORS, strict=True):
            one.query = query
        rulings = [
            judge(half.world, one) for half, one in zip(self._scene.halves, asked, strict=True)
        ]
        answers = await asyncio.gather(
            *(self._ask(line, one) for line, one in zip(self._lines, asked, strict=True))
        )
        said = []
        for half, one, ruling, answer in zip(
            self._scene.halves, asked, rulings, answers, strict=True
        ):
            if answer is None:
                return
            self._hold(one, ruling, answer)
            said.append(_said(answer, lambda text, half=half: half.named(text, shape)))  # type: ignore[misc]
        if said[0] != said[1]:
            self._report.find("the doors differ", f"{_shown(asked[0])} -> {said[0]} and {said[1]}")

    async def _ask(self, line: Line, request: Request) -> Answer | None:
        try:
            sent = request.encoded(self._scene.site.host)
            answer = await ask(line, sent, request.method, self._report, is_vote=True)
        except (LostError, NoHTTPError, OSError) as error:
            self._report.find("no answer", f"{_shown(request)}: {error!r}")
            return None
        if is_overload(answer) and code_of(answer) == UNKNOWN:
            self.is_known = False
            return None
        again = " replayed" if answer.header(_REPLAYED) else ""
        self._report.answered(summary(answer) + again)
        return answer

    def _hold(self, request: Request, ruling: Ruling, answer: Answer) -> None:
        """Hold one answer to the oracle, and keep what was counted."""
        said = (answer.status, code_of(answer))
        if said not in ruling.may:
            kind = "wrongly accepted" if answer.status < _FIRST_REFUSAL else "another answer"
            self._report.find(kind, f"{_shown(request)} -> {summary(answer)}, not {ruling.may}")
        wrong = faults_of(answer, request.path)
        if said in ruling.may and ruling.cast is not None:
            wrong += receipt_faults(ruling, answer)
        if said in ruling.may and ruling.own is not None and json.loads(answer.body) != ruling.own:
            wrong.append("a vote that is told otherwise than it stands")
        for fault in wrong:
            self._report.find(fault, f"{_shown(request)} -> {answer.body[:300]!r}")

    async def count(self, counts: Counts) -> None:
        """Hold what the service has counted to what it has acknowledged."""
        for shape in self._scene.shapes:
            for poll in self._scene.polls(shape):
                path = f"/api/v1/polls/{poll.id}/"
                owner = self._scene.organiser.owner
                call = self._scene.site.call
                if poll.status == "draft":
                    continue
                results = await call("GET", f"{path}results/", token=owner)
                integrity = await call("GET", f"{path}integrity/", token=owner)
                sums = await asyncio.to_thread(counts, poll.id.replace("-", ""))
                for fault in count_faults(poll, results["ballots"], integrity, sums):
                    self._report.find(fault, f"{shape}, {poll.id}")

    async def close(self) -> None:
        """End its connections."""
        for line in self._lines:
            await line.end()


def receipt_faults(ruling: Ruling, answer: Answer) -> list[str]:
    """Return what is wrong with the answer to a vote that counts, and take it as counted."""
    poll, body = ruling.poll, json.loads(answer.body) if answer.body else {}
    if poll is None:
        return []
    held = {"header": (answer.header(_REPLAYED) == b"true") == ruling.replayed}
    if answer.status == _NO_CONTENT:
        take(ruling, "")
        held["body"] = not body
        return _faults(held)
    take(ruling, body["receipt"])
    rising = body["seq"] is None or body["seq"] >= poll.seq + (not ruling.replayed)
    held |= {
        "members": set(body) - {"results"} == {"poll", "receipt", "seq"} | ruling.told,
        "poll": body["poll"] == poll.id,
        "receipt": _RECEIPT.fullmatch(body["receipt"]) is not None,
        "receipt of what stands": body["receipt"] == ruling.receipt or not ruling.replayed,
        "change": all(body.get(name) is True for name in ruling.told),
        "seq": (body["seq"] is not None) == ruling.sees and rising,
        "results": ("results" in body) == ruling.sees,
    }
    poll.seq = max(poll.seq, body["seq"] or 0)
    if ruling.sees and "results" in body:
        results = body["results"]
        shown = {option["id"]: option["votes"] for option in results["options"]}
        held["count of ballots"] = results["ballots"] == len(poll.ballots)
        held["counts"] = shown == poll.tally
    return _faults(held)


def _faults(held: Mapping[str, bool]) -> list[str]:
    return [f"a receipt whose {name} is wrong" for name, holds in held.items() if not holds]


def count_faults(poll: Poll, ballots: int, integrity: dict[str, object], sums: Sums) -> list[str]:
    """Return which counts differ from the acknowledged votes of a poll."""
    expected, tally = len(poll.ballots), poll.tally
    bare = {option.replace("-", ""): votes for option, votes in tally.items() if votes}
    counts = {
        "ballots in the results": ballots == expected,
        "integrity": integrity["equal"] is True,
        "tally of integrity": integrity["tally"] == tally,
        "recount of integrity": integrity["recount"] == tally,
        "participations": sums.participations == len(poll.votes),
        "ballots": sums.ballots == expected,
        "PollTally": sums.told == expected,
        "tally": dict(+sums.tally) == bare,
        "recount": dict(+sums.recount) == bare,
        "buckets": dict(+sums.buckets) == bare,
    }
    return [f"counted wrong: {name}" for name, holds in counts.items() if not holds]


def _shown(request: Request) -> str:
    """Return a request so that it can be sent again."""
    return repr(request.encoded("(host)")[:900])


def _said(answer: Answer, named: Callable[[bytes], bytes]) -> tuple[int, list[bytes], bytes]:
    """Return an answer without what is its own alone."""

    def alike(text: bytes) -> bytes:
        text = named(text)
        for pattern, word in _UNLIKE:
            text = pattern.sub(word, text)
        return text

    headers = sorted(
        name + b": " + alike(value) for name, value in answer.headers if name not in _OWN
    )
    lengthless = [line for line in headers if not line.startswith(b"content-length")]
    return answer.status, lengthless, alike(answer.body)


async def play(  # noqa: PLR0913, PLR0917 - all that a scene is made of
    site: Site,
    organiser: Organiser,
    draw: random.Random,
    report: Report,
    counts: Counts,
    steps: int,
    shapes: list[str] | None = None,
) -> None:
    """Vote so many times in a new scene, half of them before some polls close, and count."""
    scene = await Scene.made(site, organiser, draw, shapes)
    voting = Voting(scene, report)
    sent: dict[str, list[Request]] = {shape: [] for shape in scene.shapes}
    try:
        for step in range(steps):
            if step == steps // 2:
                await scene.turn()
            shape = draw.choice(scene.shapes)
            late = bool(sent[shape]) and draw.random() < _AGAIN
            request = draw.choice(sent[shape]) if late else draw_vote(draw, shape)
            sent[shape].append(request)
            await voting.vote(request, shape)
            if not voting.is_known:
                report.notes.append("a scene ended by an unknown outcome")
                return
        await voting.count(counts)
    finally:
        await voting.close()


async def run(port: int, counts: Counts, *, seed: object, inputs: int) -> Report:
    """Send so many votes, in many scenes at a time."""
    report = Report("votes")
    number_of_scenes = max(1, round(inputs / 2 / SCENE))
    async with Site(port, report) as site:
        clerks = [await site.organiser() for _ in range(1 + number_of_scenes // _CLERKS)]
    scenes = iter(range(number_of_scenes))
    steps = min(SCENE, max(1, inputs // 2))

    async def lane() -> None:
        async with Site(port, report) as site:
            for number in scenes:
                clerk = clerks[number // _CLERKS]
                await play(site, clerk, dice(f"{seed} votes {number}"), report, counts, steps)

    async with asyncio.TaskGroup() as group:
        for _ in range(LANES):
            group.create_task(lane())
    return report.end()
