"""Row 9: nobody learns from how long an answer takes whether an account or a draft exists.

A thousand pairs, in turn, so that whatever else the machine does meets both alike; medians, so that
single hiccups count for nothing.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.http import HttpResponse
from django.test import Client

from accounts.models import User
from tests.cast import PASSWORD, Person

PAIRS = 1000
# Of the shorter one: what a look at a row more would cost is less, a hash of a password more.
TOLERANCE = 0.15
TOKENS = "/api/v1/auth/tokens/"


class QuickHasher(PBKDF2PasswordHasher):
    """As in production, with so few rounds that a thousand take seconds."""

    iterations = 4000


@pytest.fixture
def known(settings: Any, database: None) -> str:  # noqa: ARG001 - accounts are rows
    """The name of an account whose password is hashed by production's algorithm."""
    settings.PASSWORD_HASHERS = [f"{__name__}.QuickHasher"]
    # Thousands of wrong passwords are the very thing to time.
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, (1_000_000, 60))
    User.objects.create_user("known", password=PASSWORD)
    return "known"


def difference(
    one: Callable[[], HttpResponse], other: Callable[[], HttpResponse], pairs: int = PAIRS
) -> float:
    """Return by which part of itself the quicker of two requests is quicker."""
    times: dict[Any, list[float]] = {one: [], other: []}
    for number in range(pairs):
        # Neither is always the second.
        for ask in (one, other) if number % 2 else (other, one):
            begun = time.perf_counter()
            answer = ask()
            times[ask].append(time.perf_counter() - begun)
            assert answer.status_code in {400, 401, 404}, answer.content
    quick, slow = sorted(median(values) for values in times.values())
    return slow / quick - 1


def wrong_password(name: str) -> Callable[[], HttpResponse]:
    person = Person()
    return lambda: person.post(TOKENS, {"username": name, "password": "none of these"})


def wrong_login(name: str) -> Callable[[], HttpResponse]:
    client = Client()
    form = {"login": name, "password": "none of these"}
    return lambda: client.post("/accounts/login", form)  # type: ignore[return-value] # the same


@pytest.mark.parametrize("way", [wrong_password, wrong_login])
def test_row_09_login_takes_as_long_for_an_account_that_there_is_not(
    known: str, way: Callable[[str], Callable[[], HttpResponse]]
) -> None:
    assert difference(way(known), way("nobody")) < TOLERANCE


def test_row_09_account_that_is_switched_off_takes_as_long(known: str) -> None:
    User.objects.filter(username=known).update(is_active=False)
    assert difference(wrong_password(known), wrong_password("nobody")) < TOLERANCE


def test_row_09_control_without_the_hash_for_nobody_the_difference_is_seen(
    known: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # For a name that nobody has, Django hashes the password all the same, by this.
    monkeypatch.setattr(User, "set_password", lambda *_: None)
    # What is twice what is tolerated shows in a hundred pairs.
    assert difference(wrong_password(known), wrong_password("nobody"), 100) > 2 * TOLERANCE


def test_row_09_draft_takes_as_long_as_a_code_that_leads_nowhere(alice: Person) -> None:
    # Of ids nobody can try enough.
    code, anybody = alice.make_poll(status="draft")["join_code"], Person()

    def ask(code: str) -> Callable[[], HttpResponse]:
        return lambda: anybody.get(f"/api/v1/join/{code}/")

    assert difference(ask(code), ask("AAAAAA")) < TOLERANCE
