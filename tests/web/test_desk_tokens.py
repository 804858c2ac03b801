"""The desk's API tokens: shown once, listed without their secrets, revoked at once."""

import re
import uuid

import pytest

from accounts.models import ApiToken
from tests.cast import Person
from tests.web.browsers import HOSTILE, Browser, assert_only_text, said, sign_in

TOKENS = "/desk/tokens"


def secret_in(page: str) -> str:
    found = re.search(r'id="secret"[^>]* value="([^"]+)"', page)
    assert found is not None
    return found[1]


def test_token_is_shown_once_and_counts(desk: Browser) -> None:
    answer = desk.send(TOKENS, name="laptop")
    assert answer.status_code == 201
    assert "no-store" in answer["Cache-Control"]
    program = Person()
    program.headers["Authorization"] = f"Bearer {secret_in(answer.content.decode())}"
    assert program.get("/api/v1/polls/").status_code == 200
    page = desk.read(TOKENS)
    assert "laptop" in page
    assert 'id="secret"' not in page


def test_token_is_revoked_at_once(alice: Person, desk: Browser) -> None:
    answer = desk.send(f"{TOKENS}/{alice.row.id}/revoke", TOKENS)
    assert (answer.status_code, answer["Location"]) == (303, TOKENS)
    assert alice.get("/api/v1/polls/").status_code == 401
    assert "The token counts no longer." in said(desk.get(TOKENS))


def test_token_of_another_is_not_there(alice: Person) -> None:
    bob = sign_in("bob")
    for token in (alice.row.id, uuid.uuid4()):
        assert bob.send(f"{TOKENS}/{token}/revoke", TOKENS).status_code == 404
    assert alice.get("/api/v1/polls/").status_code == 200
    assert str(alice.row.id) not in bob.read(TOKENS)


@pytest.mark.parametrize("name", ["x" * 101, "nul\0"])
def test_name_that_cannot_be_is_told(desk: Browser, name: str) -> None:
    before = ApiToken.objects.count()
    assert desk.send(TOKENS, name=name).status_code == 400
    assert ApiToken.objects.count() == before


@pytest.mark.parametrize("name", HOSTILE)
def test_markup_in_a_name_stays_text(desk: Browser, name: str) -> None:
    assert_only_text(desk.send(TOKENS, name=name).content.decode())
    assert_only_text(desk.read(TOKENS))
