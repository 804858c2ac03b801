"""DELETE /api/v1/auth/account/: at once an account is nobody's, and what it voted stays counted."""

import pkgutil
import threading
import time
import uuid
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import models, transaction
from django.test import Client

from accounts import erasure as account_erasure
from accounts.models import ApiToken, CaselessUserManager, User
from accounts.sessions import users_of_sessions
from polls.domain import erasure, purge
from polls.domain.database import clock
from polls.models import Event, LiveTicket, Participation, Poll
from tests.cast import PASSWORD, Person, assert_problem, sign_up, signed_in, votes_of
from tests.live import Server
from tests.polls.ballots import disagreements, stored
from tests.polls.stacks import on_postgres_alone
from tests.polls.threads import PATIENCE, beside, together, wait_until
from tests.realtime.servers import ask, execute
from tests.web.browsers import Browser

ACCOUNT = "/api/v1/auth/account/"


@pytest.fixture(autouse=True)
def _new_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "_sessions", erasure._Sessions())


def erase(person: Person, password: str = PASSWORD) -> Any:
    return person.call("DELETE", ACCOUNT, {"password": password})


def id_of(person: Person) -> int:
    assert person.user is not None
    return person.user.pk


def row_of(person: Person) -> User:
    return User.objects.get(pk=id_of(person))


def a_minute_later() -> None:
    """Let the minute go by for what was erased and deleted."""
    User.objects.filter(erased_at__isnull=False).update(erased_at=clock() - timedelta(seconds=61))
    deleted = Poll.objects.filter(deleted_at__isnull=False)
    deleted.update(deleted_at=clock() - timedelta(seconds=61))


def sweep() -> None:
    purge.purge_deleted_polls()
    erasure.finish_erasures()


# -- what is gone at once ----------------------------------------------------------------------


def test_erased_account_is_unknown_at_once(alice: Person, bob: Person) -> None:
    polls = [alice.make_poll(), alice.make_poll(status="draft")]
    event = alice.make_event(*polls)
    kept = bob.make_poll()
    _, other_token = ApiToken.issue(row_of(alice))
    alice.post("/api/v1/live-tickets/", {"polls": [kept["id"]]})
    answer = erase(alice)
    assert (answer.status_code, answer.content) == (204, b"")
    assert_problem(alice.get("/api/v1/polls/"), 401, "authentication_required")
    assert_problem(
        Person().get("/api/v1/polls/", Authorization=f"Bearer {other_token}"),
        401,
        "authentication_required",
    )
    credentials = {"username": "alice", "password": PASSWORD}
    answer = Person().post("/api/v1/auth/tokens/", credentials)
    assert_problem(answer, 401, "invalid_credentials")
    for path in (*(poll["links"]["self"] for poll in polls), event["links"]["self"]):
        assert_problem(bob.get(path), 404, "not_found")
    assert bob.read_poll(kept) == kept
    assert (ApiToken.objects.count(), LiveTicket.objects.count()) == (1, 0)


def test_nothing_in_the_row_says_whose_it_was(alice: Person) -> None:
    user = row_of(alice)
    user.email, user.first_name, user.last_name = "alice@example.org", "Alice", "Liddell"
    user.is_staff = user.is_superuser = True
    user.last_login = clock()
    user.save()
    user.groups.add(Group.objects.create(name="hosts"))
    EmailAddress.objects.create(user=user, email="alice@example.org")
    assert erase(alice).status_code == 204
    row = row_of(alice)
    assert not row.has_usable_password()
    assert row.date_joined == row.erased_at is not None
    texts = {
        field.name: getattr(row, field.name)
        for field in User._meta.fields
        if isinstance(field, models.CharField) and field.name != "password"
    }
    name = f"erased:{row.pk}"
    assert {value for value in texts.values() if value} == {name}
    assert (row.is_active, row.is_staff, row.is_superuser, row.last_login) == (*[False] * 3, None)
    assert (row.groups.count(), EmailAddress.objects.count()) == (0, 0)


def test_log_of_the_admin_names_the_account_no_more(alice: Person, bob: Person) -> None:
    kinds = ContentType.objects.get_for_model
    rows = [
        (alice, User, id_of(bob), "bob"),
        (bob, User, id_of(alice), "alice"),
        (bob, ApiToken, alice.row.id, "laptop of alice"),
        (bob, Group, id_of(alice), "another thing of this number"),
    ]
    for who, model, id_, text in rows:
        LogEntry.objects.create(
            user_id=id_of(who),
            content_type=kinds(model),
            object_id=str(id_),
            object_repr=text,
            action_flag=CHANGE,
            change_message="[]",
        )
    assert erase(alice).status_code == 204
    left = LogEntry.objects.order_by("id").values_list("object_repr", flat=True)
    assert list(left) == ["(erased)", "(erased)", "another thing of this number"]


def test_wrong_password_erases_nothing(alice: Person) -> None:
    poll = alice.make_poll()
    for password in ("wrong", "", PASSWORD + " ", PASSWORD.upper()):
        assert_problem(erase(alice, password), 401, "invalid_credentials")
    assert alice.read_poll(poll) == poll


def test_erasure_by_a_session_needs_a_csrf_token_and_ends_the_session(database: None) -> None:
    del database
    dora = signed_in("dora")
    dora.http = Client(enforce_csrf_checks=True)
    dora.http.force_login(row_of(dora))
    assert_problem(erase(dora), 403, "csrf_failed")
    dora.http.get("/desk")
    token = dora.http.cookies["csrftoken"].value
    key = dora.http.cookies["sessionid"].value
    answer = dora.call("DELETE", ACCOUNT, {"password": PASSWORD}, X_CSRFToken=token)
    assert answer.status_code == 204
    assert not Session.objects.filter(session_key=key).exists()
    assert_problem(dora.get("/api/v1/polls/"), 401, "authentication_required")


def test_name_is_free_at_once_and_is_somebody_else(alice: Person, bob: Person) -> None:
    poll = bob.make_poll(identity="account")
    alice.vote(poll, 0)
    assert erase(alice).status_code == 204
    new = sign_up("alice")
    assert id_of(new) != id_of(alice)
    assert new.get(poll["links"]["vote"]).json() == {"voted": False}
    assert_problem(alice.get("/api/v1/polls/"), 401, "authentication_required")
    assert new.get(ACCOUNT).json()["votes"] == []


def test_votes_of_the_account_stay_counted(alice: Person, bob: Person) -> None:
    poll = bob.make_poll(identity="account")
    alice.vote(poll, 1)
    before = stored(uuid.UUID(poll["id"]))
    assert erase(alice).status_code == 204
    a_minute_later()
    for _ in range(3):
        sweep()
    assert not User.objects.filter(pk=id_of(alice)).exists()
    assert stored(uuid.UUID(poll["id"])) == before
    assert votes_of(bob, poll) == [0, 1]
    assert disagreements(before) == []


# -- what goes later ---------------------------------------------------------------------------


def test_row_goes_when_its_polls_are_purged_and_a_minute_is_over(alice: Person) -> None:
    poll = alice.make_poll()
    alice.make_event(poll)
    assert erase(alice).status_code == 204
    assert not Event.objects.exists()
    sweep()
    assert row_of(alice).erased_at
    User.objects.update(erased_at=clock() - timedelta(seconds=61))
    erasure.finish_erasures()
    assert row_of(alice).erased_at  # its polls are still there
    a_minute_later()
    sweep()
    assert (User.objects.count(), Poll.objects.count()) == (0, 0)


def test_sessions_of_erased_accounts_go_and_no_others(
    database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    del database
    monkeypatch.setattr(erasure, "_SESSIONS", 3)
    people = [signed_in(f"user{n}") for n in range(3)]
    for person in people:
        for _ in range(4):
            Client().force_login(row_of(person))
    assert Session.objects.count() == 15
    Session.objects.create(
        session_key="x", session_data="broken", expire_date=clock() + timedelta(days=1)
    )
    for person in people[:2]:
        erasure.erase_account(row_of(person), PASSWORD)
    erasure.finish_erasures()
    assert Session.objects.count() == 16
    a_minute_later()
    rounds = 0
    while User.objects.count() > 1:
        erasure.finish_erasures()
        rounds += 1
    assert rounds > 4
    assert set(users_of_sessions(list(Session.objects.values_list("pk", flat=True))).values()) == {
        id_of(people[2])
    }
    assert Session.objects.count() == 6


def test_polls_that_the_request_has_no_time_for_go_with_the_sweep(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "_CHUNK", 2)
    polls = [alice.make_poll() for _ in range(5)]
    alice.make_event(*polls)
    with monkeypatch.context() as patch:
        patch.setattr("polls.domain.erasure._MARGIN_SECONDS", 60.0)
        assert erase(alice).status_code == 204
    assert Poll.objects.standing().count() == 5
    for _ in range(4):
        erasure.finish_erasures()
    assert (Poll.objects.standing().count(), Event.objects.count()) == (0, 0)


def test_poll_of_another_is_left_alone_by_the_sweep(alice: Person, bob: Person) -> None:
    poll = bob.make_poll()
    erase(alice)
    for _ in range(3):
        sweep()
        a_minute_later()
    assert bob.read_poll(poll) == poll


def test_sign_ins_that_are_over_are_removed_and_no_others(alice: Person, bob: Person) -> None:
    past = clock() - timedelta(seconds=1)
    people = [signed_in(f"user{n}") for n in range(5)]
    old = [person.http.cookies["sessionid"].value for person in people[:4]]
    Session.objects.filter(pk__in=old).update(expire_date=past)
    for _ in range(3):
        ApiToken.issue(row_of(bob))
    ApiToken.objects.filter(user=id_of(bob)).update(expires_at=past)
    assert account_erasure.remove_expired(3) is True
    assert (Session.objects.count(), ApiToken.objects.count()) == (2, 2)
    assert account_erasure.remove_expired(3) is False
    assert (Session.objects.count(), ApiToken.objects.count()) == (1, 1)
    assert alice.get("/api/v1/polls/").status_code == 200
    assert people[4].get("/api/v1/polls/").status_code == 200


# -- at the same moment ------------------------------------------------------------------------


def test_erased_twice_at_once_it_is_erased_once(alice: Person, bob: Person) -> None:
    alices = [alice, *(Person(alice.user) for _ in range(3))]
    polls = [alice.make_poll() for _ in range(3)]
    alice.make_event(*polls)
    kept = bob.make_poll(identity="account")
    alice.vote(kept, 0)
    answers = together(4, lambda place: erase(alices[place]).status_code)
    assert answers.count(204) >= 1
    assert set(answers) <= {204, 401}
    assert row_of(alice).username == f"erased:{id_of(alice)}"
    assert not Poll.objects.standing().filter(owner=id_of(alice)).exists()
    seqs = [stored(uuid.UUID(poll["id"])).seq for poll in polls]
    assert seqs == [2, 2, 2]  # each was deleted once
    assert votes_of(bob, kept) == [1, 0]


def test_vote_in_the_middle_of_the_erasure_counts(
    alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request was let in before: its vote is acknowledged, so it stays."""
    poll = bob.make_poll(identity="account")
    done = erase_before(monkeypatch, "polls.domain.voting.cast_vote", alice)
    assert alice.vote(poll, 0).status_code == 201
    assert done == [1]
    assert_problem(alice.vote(poll, 0), 401, "authentication_required")
    assert votes_of(bob, poll) == [1, 0]
    assert Participation.objects.count() == 1


def erase_before(monkeypatch: pytest.MonkeyPatch, name: str, person: Person) -> list[int]:
    """Have somebody's account erased just before what is named is done for the first time."""
    place, _, function = name.rpartition(".")
    owner = pkgutil.resolve_name(place)
    do = getattr(owner, function)
    done: list[int] = []

    def erase_first(*args: Any, **kwargs: Any) -> Any:
        if not done:
            done.append(1)
            erasure.erase_account(row_of(person), PASSWORD)
        return do(*args, **kwargs)

    monkeypatch.setattr(owner, function, erase_first)
    return done


def test_token_that_is_issued_in_the_middle_of_the_erasure_does_not_count(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    erase_before(monkeypatch, "accounts.models.ApiToken.issue", alice)
    credentials = {"username": "alice", "password": PASSWORD}
    answer = Person().post("/api/v1/auth/tokens/", credentials)
    assert answer.status_code == 201
    late = Person()
    late.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    assert_problem(late.get("/api/v1/polls/"), 401, "authentication_required")
    a_minute_later()
    sweep()
    assert (User.objects.count(), ApiToken.objects.count()) == (0, 0)


def test_login_in_the_middle_of_the_erasure_signs_nobody_in(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Browser()
    done = erase_before(monkeypatch, "web.accounts.adapter.AccountAdapter.login", alice)
    answer = browser.send("/accounts/login", login="alice", password=PASSWORD)
    assert (answer.status_code, answer["Location"], done) == (302, "/desk", [1])
    assert browser.get("/desk")["Location"] == "/accounts/login?next=/desk"
    assert row_of(alice).last_login is None
    assert Session.objects.count() == 1
    a_minute_later()
    sweep()
    assert (User.objects.count(), Session.objects.count()) == (0, 0)


def _save_what_was_read_before(alice: Person) -> User:
    """Let a form set a password of an account that is erased meanwhile."""
    user = row_of(alice)
    erasure.erase_account(row_of(alice), PASSWORD)
    user.set_password("another horse battery")
    user.save()
    user.save(update_fields=["password"])
    return row_of(alice)


def test_whoever_read_the_account_before_cannot_bring_it_back(alice: Person) -> None:
    row = _save_what_was_read_before(alice)
    assert (row.username, row.is_active) == (f"erased:{row.pk}", False)
    assert not row.has_usable_password()


def test_control_without_the_look_under_the_lock_a_save_brings_it_back(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(User, "save", models.Model.save)
    row = _save_what_was_read_before(alice)
    assert (row.username, row.is_active) == ("alice", True)


def _save_while_it_is_erased(alice: Person) -> User:
    """Let a form write an account while an erasure has it in hand and has not committed."""
    user, erased = row_of(alice), threading.Event()

    def erase_slowly() -> None:
        with transaction.atomic():
            assert account_erasure.anonymise(row_of(alice))
            erased.set()
            time.sleep(0.5)

    with beside(erase_slowly) as done:
        assert erased.wait(PATIENCE)
        user.first_name = "Alice"
        user.save()
        done.result(PATIENCE)
    return row_of(alice)


@on_postgres_alone  # on SQLite there is one writer at a time
def test_save_waits_for_an_erasure_that_is_on_its_way(alice: Person) -> None:
    row = _save_while_it_is_erased(alice)
    assert (row.username, row.first_name) == (f"erased:{row.pk}", "")


@on_postgres_alone
def test_control_without_the_lock_the_save_comes_after_the_erasure_and_undoes_it(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_lock(self: CaselessUserManager, **_: object) -> Any:
        return self.get_queryset()

    monkeypatch.setattr(CaselessUserManager, "select_for_update", without_lock)
    row = _save_while_it_is_erased(alice)
    assert (row.username, row.first_name) == ("alice", "Alice")


def test_password_that_is_changed_meanwhile_is_not_the_one_that_was_given(alice: Person) -> None:
    known = row_of(alice)
    user = row_of(alice)
    user.set_password("another horse battery")
    user.save()
    assert account_erasure.anonymise(known) is False
    assert row_of(alice).username == "alice"


def test_poll_that_is_made_in_the_middle_of_the_erasure_is_deleted_by_the_sweep(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    erase_before(monkeypatch, "polls.domain.polls.create_poll", alice)
    made = alice.make_poll()
    assert Poll.objects.standing().filter(id=made["id"]).exists()
    erasure.finish_erasures()
    assert not Poll.objects.standing().exists()
    a_minute_later()
    sweep()
    assert not User.objects.exists()


# -- a whole service ---------------------------------------------------------------------------


def test_service_removes_all_rows_of_an_erased_account_by_itself() -> None:
    with Server() as server:
        host, other = server.sign_up("host"), server.sign_up("other")
        poll, kept = host.make_poll(), other.make_poll(identity="account")
        assert host.vote(kept, 0).status_code == 201
        assert host.call("DELETE", ACCOUNT, {"password": PASSWORD}).status_code == 204
        assert host.get("/api/v1/polls/").status_code == 401
        assert other.get(poll["links"]["self"]).status_code == 404
        past = "'2020-01-31 20:00:00+00:00'"
        for table, column in (("accounts_user", "erased_at"), ("polls_poll", "deleted_at")):
            sql = f"UPDATE {table} SET {column} = {past} WHERE {column} IS NOT NULL"
            assert execute(server, sql) == 1
        rows = "SELECT COUNT(*) FROM accounts_user WHERE erased_at IS NOT NULL"
        wait_until(lambda: ask(server, rows) == [(0,)])
        assert ask(server, "SELECT 1 FROM polls_poll WHERE deleted_at IS NOT NULL") == []
        assert other.get(kept["links"]["results"]).json()["ballots"] == 1
