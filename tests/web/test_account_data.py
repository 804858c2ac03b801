"""The pages of one's own data: what is held is downloaded, and the account is deleted."""

import json
import re

import pytest
from django.contrib.sessions.models import Session

from accounts.models import User
from polls.domain import erasure
from polls.models import Poll
from tests.cast import PASSWORD, Person, assert_problem, sign_up
from tests.web.browsers import Browser, said, sign_in

DATA, DELETE, DELETED = "/accounts/data", "/accounts/delete", "/accounts/deleted"


@pytest.fixture(autouse=True)
def _database(database: None) -> None:
    del database


def test_page_leads_to_all_that_is_held_as_a_file(alice: Person, desk: Browser) -> None:
    alice.make_poll()
    assert f'href="{DATA}"' in desk.read("/desk")
    link = re.search(r'href="([^"]+)" download="account.json"', desk.read(DATA))
    assert link is not None
    answer = desk.get(link[1])
    assert "no-store" in answer["Cache-Control"]
    assert json.loads(answer.content) == alice.get("/api/v1/auth/account/").json()


def test_password_deletes_the_account_and_ends_the_session(alice: Person, desk: Browser) -> None:
    alice.make_poll()
    answer = desk.send(DELETE, password=PASSWORD)
    assert (answer.status_code, answer["Location"]) == (303, DELETED)
    assert answer.cookies["sessionid"].value == ""
    assert "stay counted" in said(desk.get(DELETED))
    assert desk.get("/desk")["Location"] == "/accounts/login?next=/desk"
    assert_problem(alice.get("/api/v1/polls/"), 401, "authentication_required")
    assert (Poll.objects.standing().count(), Session.objects.count()) == (0, 0)
    assert User.objects.get().username != "alice"


def test_other_browsers_of_the_account_are_signed_out_at_once(alice: Person, desk: Browser) -> None:
    other = Browser(alice.user)
    assert other.get("/desk").status_code == 200
    desk.send(DELETE, password=PASSWORD)
    for path in ("/desk", DATA, DELETE, "/accounts/password/change"):
        assert other.get(path)["Location"] == f"/accounts/login?next={path}"


@pytest.mark.parametrize(
    ("password", "sentence"),
    [("wrong", "This is not your password."), ("", "This field is required.")],
)
def test_wrong_password_deletes_nothing(desk: Browser, password: str, sentence: str) -> None:
    answer = desk.send(DELETE, password=password)
    assert answer.status_code == 400
    assert sentence in said(answer)
    assert answer.content.decode().count(" autofocus") == 1
    assert password not in re.findall('value="([^"]*)"', answer.content.decode()) or not password
    assert desk.get("/desk").status_code == 200


def test_deletion_without_the_pages_token_is_refused(desk: Browser) -> None:
    answer = desk.http.post(DELETE, {"password": PASSWORD})
    assert answer.status_code == 403
    assert User.objects.get().username == "alice"


def test_guessing_at_the_password_is_slowed_down(desk: Browser) -> None:
    answers = [desk.send(DELETE, password=f"guess {n}").status_code for n in range(11)]
    assert answers == [400] * 10 + [429]
    assert desk.send(DELETE, password=PASSWORD).status_code == 429
    assert sign_in("bob").send(DELETE, password=PASSWORD).status_code == 303


def test_language_is_kept_on_the_way_out(desk: Browser) -> None:
    answer = desk.send(f"{DELETE}?lang=fr", password=PASSWORD)
    assert answer["Location"] == f"{DELETED}?lang=fr"


def test_new_account_of_the_same_name_meets_nothing_of_the_old_one(
    alice: Person, desk: Browser
) -> None:
    alice.make_poll(title="An old secret")
    desk.send(DELETE, password=PASSWORD)
    new = sign_up("alice")
    erasure.finish_erasures()
    browser = Browser(new.user)
    assert "An old secret" not in browser.read("/desk")
    assert new.get("/api/v1/auth/account/").json()["polls"] == []
