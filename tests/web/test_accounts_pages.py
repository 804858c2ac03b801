"""Accounts on the pages: signing up, logging in and out, and a new password."""

import re
from concurrent.futures import ThreadPoolExecutor
from smtplib import SMTPDataError, SMTPRecipientsRefused
from typing import Any

import pytest
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from accounts.models import User
from accounts.sessions import users_of_sessions
from devtools.servers import free_port
from polls_project import env
from tests.cast import PASSWORD, Person, assert_problem
from tests.web.browsers import Browser, said, sign_in

LOGIN, LOGOUT, SIGNUP = "/accounts/login", "/accounts/logout", "/accounts/signup"
CHANGE, RESET = "/accounts/password/change", "/accounts/password/reset"
NEW = "another horse battery"


@pytest.fixture(autouse=True)
def _database(database: None) -> None:
    del database


def sign_up(browser: Browser, name: str = "dora", **fields: str) -> Any:
    return browser.send(
        SIGNUP, **{"username": name, "password1": PASSWORD, "password2": PASSWORD, **fields}
    )


def log_in(browser: Browser, name: str, password: str = PASSWORD, **fields: str) -> Any:
    return browser.send(LOGIN, login=name, password=password, **fields)


def is_signed_in(browser: Browser) -> bool:
    return bool(browser.get("/desk").status_code == 200)


# -- signing up --------------------------------------------------------------------------------


def test_sign_up_makes_an_account_and_leads_to_the_desk() -> None:
    browser = Browser()
    answer = sign_up(browser, email="dora@example.org")
    assert (answer.status_code, answer["Location"]) == (302, "/desk")
    assert is_signed_in(browser)
    assert User.objects.get(username="dora").email == "dora@example.org"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": "a b"}, "Enter a valid username."),
        ({"name": ""}, "This field is required."),
        ({"password1": "xk2", "password2": "xk2"}, "This password is too short."),
        ({"password1": "password", "password2": "password"}, "This password is too common."),
        ({"password1": "dora", "password2": "dora"}, "too similar to the username"),
        ({"password2": NEW}, "This is not the same password."),
        ({"email": "nobody"}, "Enter a valid email address."),
    ],
    ids=str,
)
def test_account_that_the_api_would_refuse_is_refused_at_its_field(
    fields: dict[str, str], sentence: str
) -> None:
    answer = sign_up(Browser(), **fields)
    assert answer.status_code == 400
    assert sentence in said(answer)
    assert answer.content.decode().count(" autofocus") == 1
    assert not User.objects.exists()


@pytest.mark.parametrize(("taken", "name"), [("alice", "ALICE"), ("straße", "STRASSE")])
def test_name_that_is_taken_in_other_letters_is_told(taken: str, name: str) -> None:
    User.objects.create_user(taken)
    answer = sign_up(Browser(), name)
    assert answer.status_code == 400
    assert "Somebody has this name." in said(answer)
    assert User.objects.count() == 1


def test_of_many_who_want_one_name_at_once_one_gets_it() -> None:
    def want(name: str) -> Any:
        try:
            return sign_up(Browser(), name)
        finally:
            connections.close_all()

    names = ["Dora", "dora", "DORA", "dOra"]
    with ThreadPoolExecutor(len(names)) as pool:
        answers = list(pool.map(want, names))
    assert sorted(answer.status_code for answer in answers) == [302, 400, 400, 400]
    for answer in answers:
        assert answer.status_code == 302 or "Somebody has this name." in said(answer)
    assert User.objects.count() == 1


def test_sign_up_is_closed_where_the_operator_has_closed_it(settings: Any) -> None:
    settings.REGISTRATION = "closed"
    browser = Browser()
    assert SIGNUP not in browser.read(LOGIN)
    assert "the operator alone makes accounts" in said(browser.get(SIGNUP))
    answer = browser.send(SIGNUP, LOGIN, username="d", password1=PASSWORD, password2=PASSWORD)
    assert answer.status_code == 403
    assert not User.objects.exists()
    assert_problem(Person().get(SIGNUP), 403, "registration_closed")


def test_sign_up_leads_to_where_one_wanted_to_go() -> None:
    assert sign_up(Browser(), next="/p/ABCDEF")["Location"] == "/p/ABCDEF"
    assert sign_up(Browser(), "carol", next="//evil.example")["Location"] == "/desk"


# -- logging in and out ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["alice", "ALICE", " Alice ", "\uff41lice"])
def test_log_in_takes_the_name_in_any_letters(alice: Person, name: str) -> None:
    browser = Browser()
    answer = log_in(browser, name)
    assert (answer.status_code, answer["Location"]) == (302, "/desk")
    session = browser.http.session.session_key
    assert alice.user is not None
    # The sockets know the session, too.
    assert users_of_sessions([session or ""]) == {session: alice.user.pk}


@pytest.mark.parametrize(
    ("wanted", "where"),
    [
        ("/p/ABCDEF?x=1", "/p/ABCDEF?x=1"),
        ("https://evil.example/", "/desk"),
        ("//evil.example/", "/desk"),
        ("javascript:alert(1)", "/desk"),
        ("http://localhost:1/", "/desk"),
        ("", "/desk"),
    ],
)
@pytest.mark.usefixtures("alice")
def test_log_in_leads_to_where_one_wanted_to_go_on_this_site(wanted: str, where: str) -> None:
    browser = Browser()
    assert log_in(browser, "alice", next=wanted)["Location"] == where
    # Whoever is logged in already goes there at once.
    assert browser.get(LOGIN, next=wanted)["Location"] == where


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize(
    ("name", "password"), [("alice", "wrong"), ("nobody", PASSWORD), ("alice\0", PASSWORD)]
)
def test_wrong_name_or_password_is_told_without_saying_which(name: str, password: str) -> None:
    browser = Browser()
    answer = log_in(browser, name, password)
    assert answer.status_code == 400
    assert not is_signed_in(browser)


def test_account_that_is_switched_off_does_not_log_in(alice: Person) -> None:
    User.objects.filter(pk=alice.row.user_id).update(is_active=False)
    assert log_in(Browser(), "alice").status_code == 400


@pytest.mark.usefixtures("alice", "bob")
def test_guessing_at_one_account_is_slowed_down_in_whatever_letters() -> None:
    for number in range(10):
        log_in(Browser(), "alice" if number % 2 else "ALICE", "wrong")
    answer = log_in(Browser(), "Alice")
    assert answer.status_code == 429
    assert "Too often. Try again in" in said(answer)
    assert log_in(Browser(), "bob").status_code == 302


@pytest.mark.usefixtures("alice")
def test_too_many_logins_are_told_in_the_form_that_the_client_reads(settings: Any) -> None:
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "logins_from_source": (1, 60)}
    browser = Browser()
    assert log_in(browser, "alice").status_code == 302
    answer = log_in(Browser(), "alice")
    assert (answer.status_code, answer["Retry-After"]) == (429, "60")
    assert "Too many at once." in said(answer)


@pytest.mark.usefixtures("alice")
def test_a_hall_behind_one_address_logs_in() -> None:
    assert {log_in(Browser(), "alice").status_code for _ in range(40)} == {302}


def test_log_out_takes_a_post() -> None:
    browser = sign_in("alice")
    assert "Log out" in browser.read(LOGOUT)
    assert is_signed_in(browser)
    assert browser.http.post(LOGOUT).status_code == 403  # without the CSRF token
    assert is_signed_in(browser)
    assert browser.send(LOGOUT)["Location"] == "/"
    assert not is_signed_in(browser)


def test_there_are_no_cookies_but_those_of_session_and_csrf() -> None:
    browser = Browser()
    sign_up(browser)
    browser.send(CHANGE, oldpassword=PASSWORD, password1=NEW, password2=NEW)
    browser.read("/desk")
    assert set(browser.http.cookies) == {"sessionid", "csrftoken"}


# -- a new password ----------------------------------------------------------------------------


def test_new_password_keeps_this_session_and_ends_the_others(alice: Person) -> None:
    here, elsewhere = Browser(alice.user), Browser(alice.user)
    wrong = here.send(CHANGE, oldpassword="wrong", password1=NEW, password2=NEW)
    assert wrong.status_code == 400
    answer = here.send(CHANGE, oldpassword=PASSWORD, password1=NEW, password2=NEW)
    assert (answer.status_code, answer["Location"]) == (302, "/desk")
    assert "Your password is changed." in said(here.get("/desk"))
    assert not is_signed_in(elsewhere)
    assert log_in(Browser(), "alice", NEW).status_code == 302


def test_new_password_is_for_whoever_is_logged_in() -> None:
    assert Browser().get(CHANGE)["Location"] == f"{LOGIN}?next={CHANGE}"


@pytest.fixture
def with_mail(settings: Any) -> Any:
    """An operator who has set up mail; the suite's backend keeps what is sent."""
    settings.EMAIL_HOST = "mail.example.org"
    settings.PUBLIC_URL = "https://polls.example.org"
    return settings


@pytest.mark.usefixtures("with_mail")
def test_forgotten_password_is_set_anew_by_a_mail() -> None:
    User.objects.create_user("alice", "Alice@example.org", PASSWORD)
    browser = Browser()
    assert browser.send(RESET, email="alice@EXAMPLE.org").status_code == 302
    [message] = mail.outbox
    assert message.subject == "A new password"
    assert "alice at https://polls.example.org." in message.body
    link = re.search(r"https://polls\.example\.org(/accounts/\S+)", str(message.body))
    assert link is not None
    to = browser.get(link[1])["Location"]
    assert to.endswith("-set-password")
    done = browser.send(to, password1=NEW, password2=NEW)
    assert (done.status_code, done["Location"]) == (302, f"{RESET}/key/done")
    assert "counts from now on" in said(browser.get(done["Location"]))
    assert log_in(Browser(), "alice").status_code == 400
    assert log_in(Browser(), "alice", NEW).status_code == 302
    assert "has been used before" in said(Browser().get(link[1]))


@pytest.mark.usefixtures("with_mail", "alice")
def test_unknown_address_is_answered_alike_and_gets_no_mail() -> None:
    answer = Browser().send(RESET, email="nobody@example.org")
    assert (answer.status_code, answer["Location"]) == (302, f"{RESET}/done")
    assert mail.outbox == []


def test_without_a_mail_server_nothing_is_said_to_be_sent() -> None:
    User.objects.create_user("alice", "alice@example.org", PASSWORD)
    browser = Browser()
    assert "cannot send mail" in said(browser.get(RESET))
    answer = browser.send(RESET, LOGIN, email="alice@example.org")
    assert answer.status_code == 403
    assert "cannot send mail" in said(answer)
    assert mail.outbox == []


def test_mail_that_cannot_be_sent_is_told(with_mail: Any) -> None:
    with_mail.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    with_mail.EMAIL_HOST, with_mail.EMAIL_PORT = "127.0.0.1", free_port()
    User.objects.create_user("alice", "alice@example.org", PASSWORD)
    answer = Browser().send(RESET, email="alice@example.org")
    assert answer.status_code == 503
    assert "The mail could not be sent." in said(answer)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (SMTPRecipientsRefused({"alice@example.org": (550, b"nobody")}), "SMTPRecipientsRefused"),
        (SMTPDataError(554, "no mail for alice@example.org"), "SMTPDataError 554"),
        (ConnectionRefusedError(111, "Connection refused"), "ConnectionRefusedError 111"),
    ],
    ids=repr,
)
def test_log_of_a_mail_that_fails_does_not_say_whom_it_was_for(
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    name: str,
) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    User.objects.create_user("alice", "alice@example.org", PASSWORD)

    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(mail.EmailMessage, "send", refuse)  # as the server's library would
    assert Browser().send(RESET, email="alice@example.org").status_code == 503
    ours = [record for record in caplog.records if record.name.startswith("web.")]
    assert [record.getMessage() for record in ours] == [f"A mail could not be sent: {name}"]
    assert "alice" not in caplog.text


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("", None),
        ("smtp://mail", ("mail", 25, "", "", False, False)),
        ("smtp+tls://a%40b:p@mail:2525", ("mail", 2525, "a@b", "p", True, False)),
        ("smtps://u@mail", ("mail", 465, "u", "", False, True)),
    ],
)
def test_mail_server_is_read_from_one_url(
    monkeypatch: pytest.MonkeyPatch, url: str, read: tuple[object, ...] | None
) -> None:
    monkeypatch.setenv("EMAIL_URL", url)
    found = env.mail_url("EMAIL_URL")
    names = ("host", "port", "user", "password", "starttls", "tls")
    assert (found and tuple(getattr(found, name) for name in names)) == read


@pytest.mark.parametrize("url", ["mail.example.org", "http://mail", "smtp://", "smtp://mail:x"])
def test_mail_server_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("EMAIL_URL", url)
    with pytest.raises(ImproperlyConfigured, match="EMAIL_URL"):
        env.mail_url("EMAIL_URL")
