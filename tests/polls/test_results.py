"""GET …/results/: the count, who may see it, and what caches may keep of it."""

from typing import Any

import pytest

from polls.domain.lifecycle import certify_closed_polls
from tests.cast import Person, assert_problem, new_key, texts, voter

PUBLIC = "public, max-age=60"
PRIVATE = "private, no-store"
HIDDEN = {
    "after_vote": "They are shown after you have voted, and to everybody after closing.",
    "after_close": "They are shown when the poll is closed.",
    "owner": "They are shown to its organisers and viewers alone.",
}

# Who sees the count of an open poll, and of a closed one.
VIEWERS = ("owner", "voted", "not voted", "other account", "nobody")
SEEN: dict[str, tuple[set[str], set[str]]] = {
    "always": (set(VIEWERS), set(VIEWERS)),
    "after_vote": ({"owner", "voted"}, set(VIEWERS)),
    "after_close": ({"owner"}, set(VIEWERS)),
    "owner": ({"owner"}, {"owner"}),
}


class Hall:
    """A poll with one vote, and everybody who may want to see its count."""

    def __init__(self, alice: Person, bob: Person, **fields: Any) -> None:
        self.poll = alice.make_poll(**fields)
        self.results = self.poll["links"]["results"]
        self.people = {
            "owner": alice,
            "voted": voter(),
            "not voted": voter(),
            "other account": bob,
            "nobody": Person(),
        }
        assert self.people["voted"].vote(self.poll, 1).status_code == 201


def test_results_show_votes_and_shares(alice: Person) -> None:
    poll = alice.make_poll(kind="approval", options=texts("a", "b", "c"))
    empty = Person().get(poll["links"]["results"]).json()
    assert [option["share"] for option in empty["options"]] == [0, 0, 0]
    for places in ((0,), (0, 1), (0, 1), (1,)):
        voter().vote(poll, *places)
    answer = Person().get(poll["links"]["results"])
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {
        "poll": poll["id"],
        "title": "Lunch?",
        "kind": "approval",
        "status": "open",
        "seq": 5,
        "ballots": 4,
        "final": False,
        "certified_at": None,
        "options": [
            {"id": option["id"], "text": text, "votes": votes, "points": None, "share": share}
            for option, text, votes, share in zip(
                poll["options"], "abc", (3, 3, 0), (0.75, 0.75, 0), strict=True
            )
        ],
    }


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"status": "draft"}, "draft"), ({"opens_at": "2098-01-01T00:00:00Z"}, "scheduled")],
)
def test_results_of_a_poll_that_has_not_opened_are_empty(
    alice: Person, fields: dict[str, str], status: str
) -> None:
    poll = alice.make_poll(**fields)
    body = alice.get(poll["links"]["results"]).json()
    assert (body["status"], body["ballots"], body["final"]) == (status, 0, False)


# -- who may see -----------------------------------------------------------------------------


@pytest.mark.parametrize("closed", [False, True], ids=["open", "closed"])
@pytest.mark.parametrize("viewer", VIEWERS)
@pytest.mark.parametrize("visibility", SEEN)
def test_count_is_seen_by_exactly_those_whom_the_rule_names(
    alice: Person, bob: Person, visibility: str, viewer: str, *, closed: bool
) -> None:
    hall = Hall(alice, bob, results_visibility=visibility)
    if closed:
        alice.close(hall.poll)
    person, seen = hall.people[viewer], viewer in SEEN[visibility][closed]
    answer = person.get(hall.results)
    poll = person.read_poll(hall.poll)
    joined = person.get(f"/api/v1/join/{poll['join_code']}/").json()
    assert joined == {"type": "poll", "poll": poll}
    if seen:
        body = answer.json()
        assert (answer.status_code, body["ballots"], body["final"]) == (200, 1, closed)
        assert [option["votes"] for option in body["options"]] == [0, 1]
        assert (poll["seq"], poll["ballots"]) == (body["seq"], 1)
        everybody = closed and visibility != "owner"
        assert answer.headers["Cache-Control"] == (PUBLIC if everybody else PRIVATE)
        if not everybody:
            assert answer.headers["Vary"] == "Authorization, Cookie, X-Voter-Token, X-Voter-Code"
    else:
        assert_problem(answer, 403, "results_hidden", detail=HIDDEN[visibility])
        assert (poll["seq"], poll["ballots"]) == (None, None)


@pytest.mark.parametrize("viewer", VIEWERS[2:])
@pytest.mark.parametrize("visibility", HIDDEN)
def test_refusal_of_results_says_nothing_that_depends_on_votes(
    alice: Person, bob: Person, visibility: str, viewer: str
) -> None:
    hall = Hall(alice, bob, results_visibility=visibility)
    person = hall.people[viewer]

    def everything() -> list[tuple[int, bytes, dict[str, str]]]:
        own = hall.poll["links"]["self"]
        paths = (own, hall.results, f"{own}timeline/", hall.poll["links"]["vote"])
        answers = [person.get(path) for path in paths]
        return [(answer.status_code, answer.content, dict(answer.headers)) for answer in answers]

    before = everything()
    for place in (0, 0, 1):
        voter().vote(hall.poll, place)
    assert everything() == before


def test_after_vote_in_a_poll_for_accounts_follows_the_account(alice: Person, bob: Person) -> None:
    poll = alice.make_poll(identity="account", results_visibility="after_vote")
    assert_problem(
        bob.get(poll["links"]["results"]), 403, "results_hidden", detail=HIDDEN["after_vote"]
    )
    bob.vote(poll, 0)
    assert bob.get(poll["links"]["results"]).status_code == 200
    # The account is the voter; its device is not, nor is a device the account.
    device = Person(device=True)
    assert device.get(poll["links"]["results"]).status_code == 403


def test_forged_token_sees_what_nobody_sees(alice: Person, bob: Person) -> None:
    hall = Hall(alice, bob, results_visibility="after_vote")
    answer = Person().get(hall.results, X_Voter_Token="x" * 44)
    assert_problem(answer, 403, "results_hidden", detail=HIDDEN["after_vote"])


def test_changed_visibility_counts_at_once(alice: Person, bob: Person) -> None:
    hall = Hall(alice, bob)
    nobody = hall.people["nobody"]
    assert nobody.get(hall.results).status_code == 200
    alice.patch(hall.poll["links"]["self"], {"results_visibility": "owner"})
    assert_problem(nobody.get(hall.results), 403, "results_hidden", detail=HIDDEN["owner"])
    alice.patch(hall.poll["links"]["self"], {"results_visibility": "always"})
    assert nobody.get(hall.results).status_code == 200


def test_results_of_unknown_polls_and_of_drafts_are_not_found(alice: Person, bob: Person) -> None:
    draft = alice.make_poll(status="draft")
    for person in (bob, voter(), Person()):
        assert_problem(person.get(draft["links"]["results"]), 404, "not_found")
        unknown = "/api/v1/polls/01980c5e-8f00-7000-8000-0000000000a1/results/"
        assert_problem(person.get(unknown), 404, "not_found")


# -- entity tags -----------------------------------------------------------------------------


def test_etag_changes_with_everything_that_raises_seq_and_with_certifying(alice: Person) -> None:
    poll = alice.make_poll(status="draft")
    path = poll["links"]["self"]
    tags, seqs = [], []
    for change in (
        lambda: None,
        lambda: alice.open(poll),
        lambda: voter().vote(poll, 0),
        lambda: alice.patch(path, {"title": "Dinner?"}),
        lambda: alice.patch(path, {"results_visibility": "after_close"}),
        lambda: alice.close(poll),
        lambda: alice.patch(path, {"description": "It was good"}),
        certify_closed_polls,
    ):
        change()
        answer = alice.get(poll["links"]["results"])
        tags.append(answer.headers["ETag"])
        seqs.append(answer.json()["seq"])
    assert len(set(tags)) == len(tags)
    assert seqs == [1, 2, 3, 4, 5, 6, 7, 7]
    assert all(tag.startswith('"') and tag.endswith('"') for tag in tags)


def test_etag_stays_while_nothing_changes(alice: Person) -> None:
    poll = alice.make_poll()
    somebody, key = voter(), new_key()
    somebody.vote(poll, 0, Idempotency_Key=key)
    before = alice.get(poll["links"]["results"]).headers["ETag"]
    somebody.vote(poll, 0, Idempotency_Key=key)
    somebody.vote(poll, 1)
    somebody.get(poll["links"]["results"])
    alice.open(poll)
    alice.patch(poll["links"]["self"], {"title": "Lunch?"})
    assert alice.get(poll["links"]["results"]).headers["ETag"] == before


def test_two_polls_have_different_etags(alice: Person) -> None:
    tags = {alice.get(alice.make_poll()["links"]["results"]).headers["ETag"] for _ in range(2)}
    assert len(tags) == 2


@pytest.mark.parametrize(
    ("known", "fresh"),
    [
        ("{etag}", True),
        ("W/{etag}", True),
        ('"other", {etag}', True),
        ('"other",W/{etag}', True),
        ("*", True),
        ('"other"', False),
        ("", False),
        ("{bare}", False),
        ("nonsense", False),
    ],
)
@pytest.mark.parametrize("state", ["open", "closed", "owner"])
@pytest.mark.parametrize("asked", ["GET results", "HEAD results", "GET timeline", "HEAD timeline"])
def test_client_that_knows_the_version_is_told_so_without_a_body(
    alice: Person, asked: str, state: str, known: str, *, fresh: bool
) -> None:
    method, route = asked.split()
    poll = alice.make_poll(results_visibility="owner" if state == "owner" else "always")
    voter().vote(poll, 0)
    if state == "closed":
        alice.close(poll)
    path = f"{poll['links']['self']}{route}/"
    first = alice.get(path)
    etag = first.headers["ETag"]
    header = known.format(etag=etag, bare=etag.strip('"'))
    answer = alice.call(method, path, If_None_Match=header)
    assert answer.status_code == (304 if fresh else 200)
    assert answer.headers["ETag"] == etag
    assert answer.headers["Cache-Control"] == (PUBLIC if state == "closed" else PRIVATE)
    assert answer.headers.get("Vary") == first.headers.get("Vary")
    if fresh:
        assert answer.content == b""
        assert "Content-Type" not in answer.headers
    elif method == "GET":
        assert answer.json() == first.json()


def test_known_version_is_refused_to_whoever_may_no_longer_see_it(alice: Person) -> None:
    poll = alice.make_poll()
    etag = Person().get(poll["links"]["results"]).headers["ETag"]
    alice.patch(poll["links"]["self"], {"results_visibility": "after_close"})
    for known in (etag, "*"):
        answer = Person().get(poll["links"]["results"], If_None_Match=known)
        assert_problem(answer, 403, "results_hidden", detail=HIDDEN["after_close"])
        assert "ETag" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"If-Match": '"other"'},
        {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"If-Modified-Since": "Thu, 01 Jan 2099 00:00:00 GMT"},
        {"Range": "bytes=0-1"},
    ],
    ids=str,
)
def test_other_preconditions_do_not_hinder_reading(alice: Person, headers: dict[str, str]) -> None:
    poll = alice.make_poll()
    plain = alice.get(poll["links"]["results"])
    answer = alice.get(poll["links"]["results"], **headers)
    assert (answer.status_code, answer.content) == (200, plain.content)
