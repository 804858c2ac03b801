"""A hall opens one page at once: it is drawn for all of them, and each has tokens of their own."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.cast import Person, voter
from web import fresh

TOKENS = ("key", "csrfmiddlewaretoken")


def page_of(path: str) -> str:
    answer = Client().get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def token(page: str, name: str) -> str:
    found = re.search(f'name="{name}" value="([^"]+)"', page)
    assert found
    return found[1]


def test_readers_have_the_same_page_but_for_their_tokens(alice: Person) -> None:
    path = alice.make_poll()["links"]["page"]
    pages = [page_of(path) for _ in range(3)]
    for name in TOKENS:
        assert len({token(page, name) for page in pages}) == 3
    for name in TOKENS:
        pages = [page.replace(token(page, name), "…") for page in pages]
    assert len(set(pages)) == 1
    assert fresh.KEY not in pages[0]
    assert fresh.CSRF not in pages[0]


def test_form_of_such_a_page_casts_the_vote(alice: Person) -> None:
    poll = alice.make_poll()
    page_of(poll["links"]["page"])
    browser = Client(enforce_csrf_checks=True)
    page = browser.get(poll["links"]["page"]).content.decode()
    fields = {name: token(page, name) for name in (*TOKENS, "poll")}
    choice = poll["options"][0]["id"]
    answer = browser.post(poll["links"]["page"], {**fields, "choices": [choice]})
    assert answer.status_code == 303
    assert alice.get(poll["links"]["results"]).json()["ballots"] == 1


def test_those_who_come_after_the_first_cost_one_query(
    alice: Person,
) -> None:
    path = alice.make_poll()["links"]["page"]
    with CaptureQueriesContext(connection) as first:
        page_of(path)
    with CaptureQueriesContext(connection) as second:
        page_of(path)
    assert len(second) == 1  # the poll's row: whether it is there, and by which rules
    assert len(first) > len(second)


def test_what_changes_is_shown_at_once(alice: Person) -> None:
    poll = alice.make_poll(results_visibility="always")
    path = poll["links"]["page"]
    assert "0 ballots" in page_of(path)
    alice.patch(poll["links"]["self"], {"results_visibility": "owner"})
    assert "0 ballots" not in page_of(path)
    alice.patch(poll["links"]["self"], {"title": "Dinner?"})
    assert "Dinner?" in page_of(path)
    alice.post(f"{poll['links']['self']}close/")
    assert 'data-status="closed"' in page_of(path)
    alice.delete(poll["links"]["self"])
    assert Client().get(path).status_code == 404


def test_count_is_a_second_old_at_most(alice: Person) -> None:
    poll = alice.make_poll()
    path = poll["links"]["page"]
    page_of(path)
    assert voter().vote(poll, 0).status_code == 201
    until = time.monotonic() + fresh.KEEP_SECONDS + 0.5
    while "1 ballot<" not in page_of(path):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_languages_and_hosts_have_drawings_of_their_own(alice: Person) -> None:
    path = alice.make_poll()["links"]["page"]
    english = page_of(path)
    french = Client().get(path, headers={"Accept-Language": "fr"}).content.decode()
    assert ("Vote</button>" in english, "Voter</button>" in french) == (True, True)
    other = Client(SERVER_NAME="localhost").get(path).content.decode()
    assert f"http://localhost{path}" in other
    assert f"http://testserver{path}" in english


def test_strangers_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    drawings = fresh.Drawings()
    now = 0.0
    monkeypatch.setattr("web.fresh.time.monotonic", lambda: now)
    for number in range(50):
        drawings.get(number, lambda: "a page")
    assert len(drawings) == 50
    now += fresh.KEEP_SECONDS * 2
    drawings.get("one more", lambda: "a page")
    assert len(drawings) == 1


def test_other_queries_are_drawn_for_themselves(alice: Person) -> None:
    path = alice.make_poll()["links"]["page"]
    before = len(fresh.drawings)
    for number in range(20):
        assert Client().get(f"{path}?x={number}").status_code == 200
    assert len(fresh.drawings) <= before


@pytest.mark.parametrize("readers", [20])
def test_many_at_once_wait_for_one_drawing(readers: int) -> None:
    drawings = fresh.Drawings()
    barrier = Barrier(readers)
    drawn: list[int] = []

    def draw() -> str:
        drawn.append(1)
        time.sleep(0.1)
        return "a page"

    def read(_: int) -> str:
        barrier.wait()
        return drawings.get("what", draw)

    with ThreadPoolExecutor(readers) as threads:
        assert set(threads.map(read, range(readers))) == {"a page"}
    assert len(drawn) == 1


def test_drawing_that_fails_is_tried_by_the_next() -> None:
    drawings = fresh.Drawings()

    def fail() -> str:
        raise RuntimeError("no paper")

    with pytest.raises(RuntimeError):
        drawings.get("what", fail)
    assert drawings.get("what", lambda: "a page") == "a page"
