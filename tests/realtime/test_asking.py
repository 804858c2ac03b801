"""Who may see results is asked anew, and nobody is told a number out of turn meanwhile."""

import asyncio
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.sessions.backends.db import SessionStore

from polls.domain import tickets
from polls.domain.access import Viewer
from polls.models import Poll
from realtime import asking, subscription
from realtime.admission import Asker, who_may_see_now
from realtime.frames import Update
from realtime.hub import REAUTHORISE_SECONDS
from realtime.runtime import runtime
from tests.cast import Person, signed_in, voter
from tests.realtime.client import PATIENCE, snapshot_of
from tests.realtime.inside import HOST, TICK, InnerSocket, Inside, live_path, socket_of, update_of


def hide_results(poll: dict[str, Any]) -> None:
    """Let the database say that the results are the owner's, without an event."""
    Poll.objects.filter(id=poll["id"]).update(results_visibility="owner", revision=2)


def test_token_that_is_revoked_ends_its_sockets_when_it_is_asked_for(
    inside: Inside, alice: Person
) -> None:
    poll = alice.make_poll(results_visibility="owner")
    socket = socket_of(inside, alice, poll)
    assert socket.until(1) == [snapshot_of(alice.get(poll["links"]["results"]).json())]
    inside.call(runtime.hub.reauthorise_all())
    time.sleep(0.2)
    assert socket.code is None
    alice.row.delete()
    inside.call(runtime.hub.reauthorise_all())
    assert socket.until_over() == 4403
    assert [frame.get("code") for frame in socket.frames] == [None, "results_hidden"]


def test_token_that_is_revoked_while_one_question_leads_to_the_next_ends_its_sockets(
    inside: Inside, alice: Person
) -> None:
    """Both questions are about somebody else; the second is there before the first has ended."""
    poll = alice.make_poll(results_visibility="owner")
    socket = socket_of(inside, alice, poll)
    phone = InnerSocket(inside, live_path(poll), "view=status")
    for one in (socket, phone):
        one.until(1)
    (watched,) = runtime.hub.watched.values()
    alice.row.delete()

    async def ask_first() -> None:
        await asyncio.sleep(0.05)
        runtime.hub.ask(watched, [one for one in watched.subscribers if not one.sees_results])

    async def reauthorise_meanwhile() -> None:
        watched.asking = asyncio.create_task(ask_first())
        await runtime.hub.reauthorise_all()

    inside.call(reauthorise_meanwhile())
    assert socket.until_over() == 4403


def test_nobody_is_asked_for_whom_nothing_can_end(inside: Inside, alice: Person) -> None:
    poll = alice.make_poll()
    socket = InnerSocket(inside, live_path(poll))
    socket.until(1)
    (watched,) = runtime.hub.watched.values()
    inside.call(runtime.hub.reauthorise_all())
    assert inside.do(lambda: watched.asking) is None


def test_row_03_session_that_has_ended_ends_its_sockets_when_it_is_asked_for(
    inside: Inside,
) -> None:
    carol = signed_in("carol")
    session = carol.http.cookies["sessionid"].value
    poll = _make_poll_of(carol, results_visibility="owner")
    how = {"origin": f"http://{HOST}", "cookie": f"sessionid={session}"}
    page = InnerSocket(inside, live_path(poll), **how)
    phone = InnerSocket(inside, live_path(poll), "view=status", **how)
    for socket in (page, phone):
        assert socket.until(1)[0]["type"] == "snapshot"
    SessionStore(session).delete()
    inside.call(runtime.hub.reauthorise_all())
    assert page.until_over() == 4403
    assert [frame["type"] for frame in phone.until(2)] == ["snapshot", "status"]


def _make_poll_of(person: Person, **fields: Any) -> dict[str, Any]:
    """Make a poll by the session cookie, which asks for a CSRF token of Django's test client."""
    assert person.user is not None
    owner = Person(person.user)
    return owner.make_poll(**fields)


def test_nothing_is_told_while_it_is_asked_who_may_see(inside: Inside, alice: Person) -> None:
    """A tick that falls due meanwhile must not overtake the answer, nor be overtaken by it."""
    poll = alice.make_poll()
    socket = InnerSocket(inside, live_path(poll))
    socket.until(1)
    ticket = alice.post("/api/v1/live-tickets/", {"polls": [poll["id"]]}).json()["ticket"]
    socket.say({"type": "auth", "ticket": ticket})  # only what may end is asked for anew
    (watched,) = runtime.hub.watched.values()
    inside.wait_until(lambda: all(one.asker.may_end for one in watched.subscribers))
    first, second, third = (update_of(poll, seq=seq) for seq in (2, 3, 4))
    inside.do(runtime.hub.deliver, first)
    assert len(socket.until(2)) == 2
    inside.do(runtime.hub.deliver, second)  # waits for its tick
    with inside.busy_database():
        inside.call(runtime.hub.reauthorise_all())
        time.sleep(2 * TICK)
        assert len(socket.frames) == 2
        inside.do(runtime.hub.deliver, third)
    socket.until(3)
    time.sleep(2 * TICK)
    # Without the order of the two, an older count would be shown in the end, and stay.
    assert socket.frames[-1]["seq"] == third.seq
    kinds = [frame["type"] for frame in socket.frames]
    assert kinds == ["snapshot", *["tally"] * (len(kinds) - 1)]


def test_no_number_is_told_between_hiding_results_and_knowing_whose_they_are(
    inside: Inside, alice: Person
) -> None:
    poll = alice.make_poll()
    outsider = InnerSocket(inside, live_path(poll))
    phone = InnerSocket(inside, live_path(poll), "view=status")
    for socket in (outsider, phone):
        socket.until(1)
    hide_results(poll)
    hidden = [update_of(poll, seq=seq, revision=2) for seq in range(2, 6)]
    with inside.busy_database():
        for update in hidden:
            inside.do(runtime.hub.deliver, update)
            time.sleep(TICK / 2)
        assert (len(outsider.frames), len(phone.frames)) == (1, 1)
    assert outsider.until_over() == 4403
    assert [frame["type"] for frame in outsider.frames] == ["snapshot", "error"]
    assert [frame["type"] for frame in phone.until(2)] == ["snapshot", "status"]


def test_waiting_voters_and_hidden_results_are_asked_for_one_after_the_other(
    inside: Inside, alice: Person
) -> None:
    """An ask for waiting voters is on its way when results are hidden and votes go on."""
    poll = alice.make_poll(results_visibility="after_vote")
    somebody = voter()
    somebody.vote(poll, 0)
    voted = socket_of(inside, somebody, poll)
    phone = InnerSocket(inside, live_path(poll), "view=status")
    for socket in (voted, phone):
        socket.until(1)
    time.sleep(1)  # since it was last asked
    seq = voted.frames[0]["seq"]
    updates = [update_of(poll, seq=seq + n) for n in (1, 2)]
    hide_results(poll)
    hidden = [update_of(poll, seq=seq + n, revision=2) for n in (3, 4, 5)]
    with inside.busy_database():
        inside.do(runtime.hub.deliver, updates[0])
        time.sleep(0.05)  # the waiting phone is asked for now
        for update in (updates[1], *hidden):
            inside.do(runtime.hub.deliver, update)
            time.sleep(TICK / 2)
    assert voted.until_over() == 4403
    seqs = [frame["seq"] for frame in voted.frames if frame["type"] != "error"]
    assert max(seqs) <= seq + 2
    assert seqs == sorted(seqs)
    assert {frame["type"] for frame in phone.frames} == {"status"}


class Interest:
    """A subscriber that writes down what it is told."""

    def __init__(self) -> None:
        self.asker = Asker()
        self.sees_results = False
        self.told: list[str] = []

    def update(self, update: Update, *, replace: bool) -> None:
        self.told.append(f"update {update.seq}{' again' if replace else ''}")

    def allow(self, update: Update) -> None:
        self.sees_results = True
        self.told.append(f"allow {update.seq}")

    def forbid(self, update: Update) -> None:
        self.sees_results = False
        self.told.append(f"forbid {update.seq}")

    def gone(self) -> None:
        self.told.append("gone")


def test_ticket_that_comes_while_it_is_asked_counts(inside: Inside, alice: Person) -> None:
    assert alice.user is not None
    poll = alice.make_poll(results_visibility="owner")
    poll_id = uuid.UUID(poll["id"])
    owner, stranger = Interest(), Interest()
    for interest in (owner, stranger):
        interest.asker = Asker(token_id=uuid.uuid4())
        inside.do(runtime.hub.join, poll_id, interest)
    inside.do(runtime.hub.deliver, update_of(poll))
    with inside.busy_database():
        inside.call(runtime.hub.reauthorise_all())
        time.sleep(0.05)
        # Both see results by now, the one by a ticket, the other by an answer that is stale.
        owner.asker = Asker(Viewer(alice.user.pk))
        owner.sees_results = stranger.sees_results = True
    inside.wait_until(lambda: len(stranger.told) == 2)
    time.sleep(0.1)
    assert stranger.told == ["update 1", "forbid 1"]
    assert owner.told == ["update 1"]
    for interest in (owner, stranger):
        inside.do(runtime.hub.leave, poll_id, interest)


def test_older_answer_shuts_nobody_out_whom_a_newer_one_has_let_in(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = alice.make_poll(results_visibility="owner")
    poll_id = uuid.UUID(poll["id"])
    interest = Interest()
    interest.asker = Asker(token_id=uuid.uuid4())
    inside.do(runtime.hub.join, poll_id, interest)
    inside.do(runtime.hub.deliver, update_of(poll))
    read, let_in = threading.Event(), threading.Event()

    def answer_late(asked: Any) -> Any:
        answer = who_may_see_now(asked)
        read.set()
        assert let_in.wait(PATIENCE)
        return answer

    monkeypatch.setattr(asking, "who_may_see_now", answer_late)
    inside.call(runtime.hub.reauthorise_all())
    assert read.wait(PATIENCE)
    Poll.objects.filter(id=poll_id).update(results_visibility="always")
    interest.sees_results = True  # as whoever asks the database now is told
    let_in.set()
    (watched,) = runtime.hub.watched.values()
    inside.wait_until(lambda: watched.asking is None)
    assert (interest.sees_results, interest.told) == (True, ["update 1"])
    inside.do(runtime.hub.leave, poll_id, interest)


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("whose", ["owner", "stranger"])
def test_ticket_that_is_looked_up_while_results_are_hidden_has_the_last_word(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch, whose: str, *, many: bool
) -> None:
    poll = alice.make_poll()
    person = alice if whose == "owner" else voter()
    ticket = person.post("/api/v1/live-tickets/", {"polls": [poll["id"]]}).json()["ticket"]
    socket = InnerSocket(inside, "/ws/" if many else live_path(poll))
    if many:
        socket.say({"type": "subscribe", "polls": [{"poll": poll["id"]}]})
    socket.until(1)
    came, found = threading.Event(), threading.Event()
    consume = tickets.consume_ticket

    def look_up_late(key: str) -> tickets.Ticket | None:
        came.set()
        assert found.wait(PATIENCE)
        return consume(key)

    monkeypatch.setattr(tickets, "consume_ticket", look_up_late)
    socket.say({"type": "auth", "ticket": ticket})
    assert came.wait(PATIENCE)
    hide_results(poll)
    (watched,) = runtime.hub.watched.values()
    hidden = update_of(poll, seq=2, revision=2)
    inside.do(runtime.hub.deliver, hidden)
    inside.wait_until(lambda: watched.last is hidden and watched.asking is None)
    assert (socket.code, len(socket.frames)) == (None, 1)
    found.set()
    last = socket.until(2)[1]
    assert (last["type"], last.get("code")) == {
        "owner": ("snapshot", None),
        "stranger": ("error", "results_hidden"),
    }[whose]
    assert len(socket.frames) == 2
    if whose == "stranger" and not many:
        assert socket.until_over() == 4403


def test_who_may_see_many_polls_is_one_question(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls = [alice.make_poll(results_visibility="owner") for _ in range(20)]
    ids = [poll["id"] for poll in polls]
    ticket = alice.post("/api/v1/live-tickets/", {"polls": ids}).json()["ticket"]
    socket = InnerSocket(inside, "/ws/")
    socket.say({"type": "auth", "ticket": ticket})
    socket.say({"type": "subscribe", "polls": [{"poll": poll_id} for poll_id in ids]})
    socket.until(20)
    asked = []

    def note(question: Any) -> Any:
        asked.append(len(question))
        return who_may_see_now(question)

    monkeypatch.setattr(asking, "who_may_see_now", note)
    inside.call(runtime.hub.reauthorise_all())
    inside.wait_until(lambda: all(one.asking is None for one in runtime.hub.watched.values()))
    assert asked == [20]
    alice.row.delete()
    inside.call(runtime.hub.reauthorise_all())
    codes = [frame.get("code") for frame in socket.until(40)[20:]]
    assert codes == ["results_hidden"] * 20


def test_poll_that_is_deleted_while_it_is_asked_is_gone_not_hidden(
    inside: Inside, alice: Person
) -> None:
    poll = alice.make_poll()
    socket = InnerSocket(inside, live_path(poll))
    socket.until(1)
    Poll.objects.filter(id=poll["id"]).update(deleted_at="2020-01-01T00:00:00Z")
    inside.do(runtime.hub.deliver, update_of(poll, seq=2, revision=2, deleted=False))
    assert socket.until_over() == 4404
    assert [frame.get("code") for frame in socket.frames] == [None, "not_found"]


# -- whoever is no longer who they were -------------------------------------------------------


def _sign_out(carol: Person) -> None:
    SessionStore(carol.http.cookies["sessionid"].value).delete()


def _change_the_password(carol: Person) -> None:
    assert carol.user is not None
    carol.user.set_password("another horse battery staple")
    carol.user.save()


def _deactivate(carol: Person) -> None:
    assert carol.user is not None
    carol.user.is_active = False
    carol.user.save()


@pytest.mark.parametrize("end", [_sign_out, _change_the_password, _deactivate])
def test_session_that_has_ended_shows_nothing_more_by_cookie_or_ticket(
    inside: Inside, end: Callable[[Person], None]
) -> None:
    carol = signed_in("carol")
    poll = _make_poll_of(carol, results_visibility="owner")
    first, second = (
        carol.post("/api/v1/live-tickets/", {"polls": [poll["id"]]}).json()["ticket"]
        for _ in range(2)
    )
    cookie = f"sessionid={carol.http.cookies['sessionid'].value}"
    page = InnerSocket(inside, live_path(poll), origin=f"http://{HOST}", cookie=cookie)
    program = InnerSocket(inside, live_path(poll))
    program.say({"type": "auth", "ticket": first})
    for socket in (page, program):
        assert socket.until(1)[0]["type"] == "snapshot"
    inside.call(runtime.hub.reauthorise_all())
    time.sleep(0.2)
    assert (page.code, program.code) == (None, None)
    end(carol)
    inside.call(runtime.hub.reauthorise_all())
    assert (page.until_over(), program.until_over()) == (4403, 4403)
    late = InnerSocket(inside, live_path(poll))
    late.say({"type": "auth", "ticket": second})
    assert late.until_over() == 4401


def test_row_03_token_that_its_owner_revokes_ends_its_sockets_at_once(
    inside: Inside, alice: Person
) -> None:
    polls = [alice.make_poll(results_visibility="owner") for _ in range(2)]
    other = Person(alice.user)
    sockets = []
    for poll, person in zip([*polls, polls[0]], [alice, alice, other], strict=True):
        sockets.append(socket_of(inside, person, poll))
        assert sockets[-1].until(1)[0]["type"] == "snapshot"
    began = time.monotonic()
    assert other.delete(f"/api/v1/auth/tokens/{alice.row.id}/").status_code == 204
    assert [socket.until_over() for socket in sockets[:2]] == [4403, 4403]
    assert time.monotonic() - began < REAUTHORISE_SECONDS / 2
    assert sockets[2].code is None


def test_row_03_token_that_is_revoked_ends_the_sockets_of_a_draft(
    inside: Inside, alice: Person
) -> None:
    draft = alice.make_poll(status="draft")
    socket = socket_of(inside, alice, draft)
    assert socket.until(1)[0]["type"] == "snapshot"
    alice.row.delete()
    inside.call(runtime.hub.reauthorise_all())
    assert socket.until_over() == 4403


def test_ticket_of_another_voter_replaces_one_who_sees_more(inside: Inside, alice: Person) -> None:
    poll = alice.make_poll(results_visibility="after_vote")
    ann, ben = voter(), voter()
    ann.vote(poll, 0)
    ticket = ben.post("/api/v1/live-tickets/", {"polls": [poll["id"]]}).json()["ticket"]
    cookie = f"voter={ann.headers['X-Voter-Token']}"
    how = {"origin": f"http://{HOST}", "cookie": cookie}
    page = InnerSocket(inside, live_path(poll), **how)
    phone = InnerSocket(inside, live_path(poll), "view=status", **how)
    for socket in (page, phone):
        assert socket.until(1)[0]["type"] == "snapshot"
    page.say({"type": "auth", "ticket": ticket})
    assert page.until_over() == 4403
    ticket = ben.post("/api/v1/live-tickets/", {"polls": [poll["id"]]}).json()["ticket"]
    phone.say({"type": "auth", "ticket": ticket})
    assert phone.until(2)[1]["type"] == "status"


def test_status_socket_of_a_closed_poll_ends_whatever_it_is_told(
    inside: Inside, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "CLOSED_SECONDS", 0.5)
    poll = alice.make_poll(results_visibility="owner")
    alice.close(poll)
    ticket = voter().post("/api/v1/live-tickets/", {"polls": [poll["id"]]}).json()["ticket"]
    phone = InnerSocket(inside, live_path(poll), "view=status")
    assert phone.until(1)[0]["status"] == "closed"
    phone.say({"type": "auth", "ticket": ticket})
    assert phone.until_over() == 1000
    assert len(phone.frames) == 1


def test_status_is_followed_by_a_snapshot_whatever_the_client_had(
    inside: Inside, alice: Person
) -> None:
    poll = alice.make_poll(results_visibility="owner")
    ticket = alice.post("/api/v1/live-tickets/", {"polls": [poll["id"]]}).json()["ticket"]
    phone = InnerSocket(inside, live_path(poll), f"view=status&since={poll['seq']}")
    phone.until(1)
    phone.say({"type": "auth", "ticket": ticket})
    assert [frame["type"] for frame in phone.until(2)] == ["status", "snapshot"]
