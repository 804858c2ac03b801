"""Calls whose number is limited, and how a limit is told."""

from typing import Any

from tests.cast import PASSWORD, Person, assert_problem

REGISTER, TOKENS = "/api/v1/auth/register/", "/api/v1/auth/tokens/"


def register(name: str, address: str = "127.0.0.1") -> Any:
    """Make an account by the API, from an address."""
    body = {"username": name, "password": PASSWORD}
    return Person().http.post(REGISTER, body, "application/json", REMOTE_ADDR=address)


def log_in(name: str, password: str = PASSWORD, address: str = "127.0.0.1") -> Any:
    """Exchange a password for a token, from an address."""
    body = {"username": name, "password": password}
    return Person().http.post(TOKENS, body, "application/json", REMOTE_ADDR=address)


def assert_too_many(answer: Any) -> None:
    """Hold an answer to what a limit of one minute says that has just been reached."""
    assert_problem(answer, 429, "too_many")
    assert 50 < int(answer.headers["Retry-After"]) <= 60
