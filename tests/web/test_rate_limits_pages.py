"""Limits by rate on the pages: counted with the API's, and told as a page."""

from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from accounts.models import User
from polls.domain.rate_limits import Rate
from polls.errors import Code, Refusal
from tests.cast import PASSWORD, Person, sign_up
from tests.polls.limiting import assert_too_many, log_in, register
from tests.web.browsers import Browser, make, page_of, said
from web.words import told


def assert_told(answer: Any) -> None:
    assert answer.status_code == 429
    assert 50 < int(answer["Retry-After"]) <= 60
    assert "Too many at once." in said(answer)


@pytest.mark.parametrize(
    ("seconds", "when"), [(60, "in a moment"), (61, "in 2 minutes"), (3600, "in 60 minutes")]
)
def test_how_long_to_wait_is_told_in_minutes(seconds: int, when: str) -> None:
    assert when in told(Refusal(Code.TOO_MANY, headers={"Retry-After": str(seconds)}))


def test_doors_count_together(alice: Person, only: Any) -> None:
    only(Rate.FAILED_LOGINS_OF_ACCOUNT, 4)
    assert log_in("alice", "wrong").status_code == 401
    page = {"login": "ALICE", "password": "wrong"}
    assert Browser().send("/accounts/login", **page).status_code == 400
    admin = {"username": "Alice", "password": "wrong"}
    assert Browser().send("/admin/login/", **admin).status_code == 200
    change = {"oldpassword": "wrong", "password1": "x", "password2": "x"}
    assert Browser(alice.user).send("/accounts/password/change", **change).status_code == 400
    assert_too_many(log_in("alice"))
    assert_told(Browser().send("/accounts/login", login="alice", password=PASSWORD))
    assert_told(Browser().send("/admin/login/", username="alice", password=PASSWORD))
    right = {**change, "oldpassword": PASSWORD}
    assert_told(Browser(alice.user).send("/accounts/password/change", **right))


@pytest.mark.usefixtures("database")
def test_sign_up_page_counts_with_the_api(only: Any) -> None:
    only(Rate.SIGN_UPS_FROM_SOURCE)
    assert register("dora").status_code == 201
    form = {"username": "emil", "password1": PASSWORD, "password2": PASSWORD}
    assert_told(Browser().send("/accounts/signup", **form))


def test_desk_counts_polls_with_the_api(alice: Person, desk: Browser, only: Any) -> None:
    only(Rate.POLLS_OF_ACCOUNT)
    poll = alice.make_poll()
    assert_told(make(desk))
    assert_told(desk.send(f"{page_of(poll)}/duplicate", page_of(poll)))


def test_desk_counts_tokens_with_the_api(desk: Browser, only: Any) -> None:
    only(Rate.TOKENS_OF_ACCOUNT)
    assert log_in("alice").status_code == 201
    assert_told(desk.send("/desk/tokens", name="laptop"))


def test_password_is_changed_only_so_often(desk: Browser, only: Any) -> None:
    only(Rate.PASSWORD_CHANGES_OF_ACCOUNT)
    form = {"oldpassword": PASSWORD, "password1": "short", "password2": "short"}
    assert desk.send("/accounts/password/change", **form).status_code == 400
    assert_told(desk.send("/accounts/password/change", **form))


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("rate", "others"),
    [(Rate.PASSWORD_RESETS_FROM_SOURCE, 429), (Rate.PASSWORD_RESETS_OF_ADDRESS, 302)],
)
def test_mails_are_sent_only_so_often(rate: Rate, others: int, only: Any, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.org"
    only(rate)
    assert Browser().send("/accounts/password/reset", email="a@example.org").status_code == 302
    assert_told(Browser().send("/accounts/password/reset", email="A@example.org"))
    answer = Browser().send("/accounts/password/reset", email="b@example.org")
    assert answer.status_code == others


# -- how long it takes ---------------------------------------------------------------------------


class Counted(PBKDF2PasswordHasher):
    """Django's own with few rounds, which says how often it was at work, and for how many."""

    iterations = 1000
    rounds: list[int] = []

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """Hash a password."""
        self.rounds.append(iterations or self.iterations)
        return super().encode(password, salt, iterations)


@pytest.mark.usefixtures("database")
def test_check_9_login_takes_as_long_whether_there_is_an_account_or_not(settings: Any) -> None:
    settings.PASSWORD_HASHERS = [f"{__name__}.Counted"]
    sign_up("alice")
    sign_up("away")
    User.objects.filter(username="away").update(is_active=False)

    def api(name: str) -> int:
        return int(log_in(name, "wrong").status_code)

    def page(name: str) -> int:
        return int(Browser().send("/accounts/login", login=name, password="wrong").status_code)

    def admin(name: str) -> int:
        form = {"username": name, "password": "wrong"}
        return int(Browser().send("/admin/login/", **form).status_code)

    for door, status in ((api, 401), (page, 400), (admin, 200)):
        work = []
        for name in ("alice", "ALICE", "away", "nobody", "n\u00d6body"):
            Counted.rounds.clear()
            assert door(name) == status
            work.append(list(Counted.rounds))
        assert work == [[Counted.iterations]] * 5
