"""Roles that come and go are told to open sockets, whatever else goes on, and once a second."""

import itertools
import threading
import time
import uuid
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from polls import events
from polls.domain.results import read_versions
from polls.models import Member, Poll
from realtime import asking, reception
from realtime.admission import admit, who_may_see_now
from realtime.audience import PACE_SECONDS
from realtime.hub import REAUTHORISE_SECONDS
from realtime.runtime import runtime
from tests.cast import Person, sign_up, voter
from tests.realtime.client import PATIENCE
from tests.realtime.inside import InnerSocket, Inside, live_path, socket_of


def _share(owner: Person, poll: dict[str, Any], name: str, role: str) -> None:
    path = f"{poll['links']['self']}members/{name}/"
    assert owner.call("PUT", path, {"role": role}).status_code in {200, 201}


def _unshare(owner: Person, poll: dict[str, Any], name: str) -> None:
    assert owner.delete(f"{poll['links']['self']}members/{name}/").status_code == 204


def _kinds(socket: Any, count: int) -> list[str]:
    return [frame["type"] for frame in socket.until(count)]


@pytest.mark.parametrize("role", ["organiser", "viewer"])
@pytest.mark.parametrize("rule", ["after_vote", "after_close", "owner"])
def test_lost_role_ends_an_open_socket_at_once(
    inside: Inside, alice: Person, bob: Person, role: str, rule: str
) -> None:
    poll = alice.make_poll(results_visibility=rule)
    _share(alice, poll, "bob", role)
    plain, owners = socket_of(inside, bob, poll), socket_of(inside, alice, poll)
    phone = socket_of(inside, bob, poll, "view=status")
    assert _kinds(plain, 1) == _kinds(owners, 1) == ["snapshot"]
    assert phone.until(1)[-1]["type"] in {"status", "snapshot"}
    inside.wait_until(lambda: phone.frames[-1]["type"] == "snapshot")
    before = len(phone.frames)
    began = time.monotonic()
    _unshare(alice, poll, "bob")
    assert plain.until_over() == 4403
    assert [frame.get("code") for frame in plain.frames] == [None, "results_hidden"]
    assert phone.until(before + 1)[-1]["type"] == "status"
    assert time.monotonic() - began < 3 * PACE_SECONDS
    assert owners.code is None
    # And the role opens them again.
    _share(alice, poll, "bob", "viewer")
    assert phone.until(before + 2)[-1]["type"] == "snapshot"


def test_organiser_who_becomes_a_viewer_hears_no_more_of_a_draft(
    inside: Inside, alice: Person, bob: Person
) -> None:
    draft = alice.make_poll(status="draft")
    _share(alice, draft, "bob", "organiser")
    plain, phone = (socket_of(inside, bob, draft, query) for query in ("", "view=status"))
    for socket in (plain, phone):
        assert _kinds(socket, 1) == ["snapshot"]
    _share(alice, draft, "bob", "viewer")
    for socket in (plain, phone):
        assert socket.until_over() == 4403
        assert [frame["type"] for frame in socket.frames] == ["snapshot", "error"]


def test_many_changes_are_one_question_a_second_the_first_at_once(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = alice.make_poll(results_visibility="owner")
    socket = socket_of(inside, alice, poll)
    socket.until(1)
    asked: list[float] = []

    def note(question: Any) -> Any:
        asked.append(time.monotonic())
        return who_may_see_now(question)

    monkeypatch.setattr(asking, "who_may_see_now", note)
    began, poll_id = time.monotonic(), uuid.UUID(poll["id"])
    while time.monotonic() - began < 2.5 * PACE_SECONDS:
        for _ in range(200):  # tens of thousands in a second
            events.publish(poll_id, events.Event.AUDIENCE)
        time.sleep(0.01)
    last = time.monotonic()
    inside.wait_until(lambda: asked[-1] >= last)
    assert asked[0] - began < PACE_SECONDS / 2
    assert all(later - one > 0.9 * PACE_SECONDS for one, later in itertools.pairwise(asked))
    time.sleep(1.5 * PACE_SECONDS)
    assert len(asked) <= 5
    assert socket.code is None


def test_role_that_is_lost_while_a_socket_is_let_in_ends_it(
    inside: Inside, alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer was read before the role was lost, and comes after everybody was asked again."""
    poll = alice.make_poll(results_visibility="owner")
    _share(alice, poll, "bob", "viewer")
    ticket = bob.post("/api/v1/live-tickets/", {"polls": [poll["id"]]}).json()["ticket"]
    read, go_on, readings = threading.Event(), threading.Event(), []

    def answer_late(asked: Any, **how: Any) -> Any:
        answer = admit(asked, **how)
        readings.append(answer)
        if any(one.token_id is not None for askers in asked.values() for one in askers):
            read.set()
            assert go_on.wait(PATIENCE)
        return answer

    monkeypatch.setattr(reception, "admit", answer_late)
    socket = InnerSocket(inside, live_path(poll))
    socket.say({"type": "auth", "ticket": ticket})
    assert read.wait(PATIENCE)
    _unshare(alice, poll, "bob")
    (watched,) = runtime.hub.watched.values()
    inside.wait_until(lambda: watched.audience_changes > 0)
    time.sleep(0.1)
    go_on.set()
    assert socket.until_over() == 4403
    assert [frame["type"] for frame in socket.frames] == ["error"]


def test_role_that_is_lost_without_a_word_is_found_by_comparing(
    inside: Inside, alice: Person, bob: Person
) -> None:
    poll = alice.make_poll(results_visibility="owner")
    for name in ("bob", "carol"):
        if name == "carol":
            sign_up(name)
        _share(alice, poll, name, "viewer")
    socket = socket_of(inside, bob, poll)
    socket.until(1)
    inside.call(runtime.hub.reconcile())
    inside.call(runtime.hub.reconcile())
    time.sleep(0.2)
    assert socket.code is None
    assert bob.user is not None
    # Behind everybody's back: the number of members tells, not only the latest of them.
    Member.objects.filter(user=bob.user).delete()
    inside.call(runtime.hub.reconcile())
    assert socket.until_over() == 4403


def test_version_tells_every_change_of_members(alice: Person, bob: Person) -> None:
    poll = alice.make_poll()
    sign_up("carol")
    poll_id = Poll.objects.get().id
    seen = [read_versions([poll_id])[poll_id]]

    def note() -> None:
        seen.append(read_versions([poll_id])[poll_id])

    for name, role in (("bob", "viewer"), ("carol", "viewer"), ("bob", "organiser")):
        _share(alice, poll, name, role)
        note()
    _unshare(alice, poll, "carol")
    note()
    _unshare(alice, poll, "bob")
    assert len({version.audience for version in seen}) == 5
    assert len({(version.seq, version.status) for version in seen}) == 1
    assert bob.user is not None


def test_account_that_is_deactivated_or_deleted_is_shown_nothing_more(
    inside: Inside, alice: Person
) -> None:
    poll = alice.make_poll(results_visibility="owner")
    people = [sign_up(name) for name in ("dora", "emil")]
    sockets = []
    for person, name in zip(people, ("dora", "emil"), strict=True):
        _share(alice, poll, name, "viewer")
        sockets.append(socket_of(inside, person, poll))
        assert _kinds(sockets[-1], 1) == ["snapshot"]
    User.objects.filter(username="dora").update(is_active=False)
    User.objects.get(username="emil").delete()
    inside.call(runtime.hub.reauthorise_all())
    assert [socket.until_over() for socket in sockets] == [4403, 4403]


@pytest.mark.parametrize("how", ["deactivated", "revoked", "deleted"])
def test_account_or_token_that_ends_in_the_admin_ends_its_sockets_at_once(
    inside: Inside, alice: Person, how: str
) -> None:
    poll = alice.make_poll(results_visibility="owner")
    dora = sign_up("dora")
    _share(alice, poll, "dora", "viewer")
    socket = socket_of(inside, dora, poll)
    assert _kinds(socket, 1) == ["snapshot"]
    staff = Client()
    staff.force_login(User.objects.create_superuser("root"))
    assert dora.user is not None
    user = f"/admin/accounts/user/{dora.user.pk}"
    began = time.monotonic()
    if how == "deactivated":
        fields = {"username": "dora", "date_joined_0": "2030-01-01", "date_joined_1": "12:00"}
        answer = staff.post(f"{user}/change/", fields)
        assert not User.objects.get(username="dora").is_active
    elif how == "revoked":
        answer = staff.post(f"/admin/accounts/apitoken/{dora.row.pk}/delete/", {"post": "yes"})
    else:
        answer = staff.post(f"{user}/delete/", {"post": "yes"})
    assert answer.status_code == 302, answer.content
    assert socket.until_over() == 4403
    assert time.monotonic() - began < REAUTHORISE_SECONDS / 2


# -- votes that are withdrawn ------------------------------------------------------------------


def test_socket_of_whoever_withdraws_their_vote_is_told_no_more_counts(
    inside: Inside, alice: Person
) -> None:
    poll = alice.make_poll(results_visibility="after_vote", allow_change=True)
    ann, ben = voter(), voter()
    for person in (ann, ben):
        assert person.vote(poll, 0).status_code == 201
    plain, stays = socket_of(inside, ann, poll), socket_of(inside, ben, poll)
    phone = socket_of(inside, ann, poll, "view=status")
    for socket in (plain, stays):
        assert _kinds(socket, 1) == ["snapshot"]
    inside.wait_until(lambda: len(phone.frames) > 0 and phone.frames[-1]["type"] == "snapshot")
    before = len(phone.frames)
    assert ann.delete(poll["links"]["vote"]).status_code == 204
    assert plain.until_over() == 4403
    assert [frame.get("code") for frame in plain.frames] == [None, "results_hidden"]
    assert phone.until(before + 1)[-1]["type"] == "status"
    assert stays.until(2)[-1]["options"][0]["votes"] == 1
    # A new vote is a PUT, and opens them again.
    choices = {"choices": [poll["options"][1]["id"]]}
    assert ann.call("PUT", poll["links"]["vote"], choices).status_code == 200
    assert phone.until(before + 2)[-1]["type"] == "snapshot"


def test_control_without_the_event_whoever_has_withdrawn_their_vote_goes_on_watching(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = events.publish

    def publish(poll_id: uuid.UUID | None, event: events.Event) -> None:
        if event is not events.Event.AUDIENCE:
            said(poll_id, event)

    monkeypatch.setattr(events, "publish", publish)
    poll = alice.make_poll(results_visibility="after_vote", allow_change=True)
    ann = voter()
    assert ann.vote(poll, 0).status_code == 201
    plain = socket_of(inside, ann, poll)
    assert _kinds(plain, 1) == ["snapshot"]
    assert ann.delete(poll["links"]["vote"]).status_code == 204
    assert _kinds(plain, 2) == ["snapshot", "tally"]
