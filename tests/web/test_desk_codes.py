"""Voting codes at the desk: made, shown once on a sheet and in a file, and counted."""

import base64
import csv
import html
import re
from typing import Any

import pytest

from polls.models import VotingCode
from tests.cast import Person, voter
from tests.web.browsers import HOSTILE, Browser, assert_only_text, page_of, said, sign_in

CODE = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{4}(?:-[0-9A-HJKMNP-TV-Z]{4}){3}\b")


@pytest.fixture
def poll(alice: Person) -> dict[str, Any]:
    """A poll of Alice's that asks for codes."""
    return alice.make_poll(identity="code")


def make_codes(desk: Browser, poll: dict[str, Any], count: Any) -> Any:
    return desk.send(f"{page_of(poll)}/codes", count=count)


def sheet_of(answer: Any) -> list[str]:
    """Return the codes of the sheet in their order."""
    slips = re.findall(r'<p class="code" dir="ltr">([^<]+)<', answer.content.decode())
    assert all(CODE.fullmatch(code) for code in slips)
    return slips


def rows_of(answer: Any) -> list[list[str]]:
    """Return the rows of the file that an answer links to."""
    link = re.search(
        r'href="data:text/csv;charset=utf-8;base64,([^"]+)" download="([^"]+)"',
        answer.content.decode(),
    )
    assert link is not None
    text = base64.b64decode(html.unescape(link[1])).decode()
    return list(csv.reader(text.splitlines()))


def test_codes_are_shown_once_on_a_sheet_and_in_a_file_and_count(
    desk: Browser, poll: dict[str, Any], settings: Any
) -> None:
    settings.PUBLIC_URL = "https://polls.example.org"
    answer = make_codes(desk, poll, 3)
    assert answer.status_code == 201
    assert "no-store" in answer["Cache-Control"]
    codes = sheet_of(answer)
    assert len(set(codes)) == 3
    page = answer.content.decode()
    assert page.count('class="qr"') == 3
    assert page.count(f"polls.example.org/p/{poll['join_code']}</p>") == 3
    assert f'download="codes-{poll["join_code"]}.csv"' in page
    way = f"https://polls.example.org/p/{poll['join_code']}#code="
    assert rows_of(answer) == [
        ["code", "address"],
        *([code, way + code.replace("-", "")] for code in codes),
    ]
    for path in (page_of(poll), f"{page_of(poll)}/codes"):
        assert not CODE.search(desk.read(path))
    voted = voter().post(
        poll["links"]["vote"], {"choices": [poll["options"][0]["id"]], "code": codes[1]}
    )
    assert voted.status_code == 201


def test_page_says_how_many_codes_there_are_and_have_voted_and_not_which(
    desk: Browser, poll: dict[str, Any]
) -> None:
    assert "0 codes are made, 0 have voted." in said(desk.get(page_of(poll)))
    [first, _] = sheet_of(make_codes(desk, poll, 2))
    choice = [poll["options"][0]["id"]]
    assert (
        voter().post(poll["links"]["vote"], {"choices": choice, "code": first}).status_code == 201
    )
    again = make_codes(desk, poll, 1)
    assert "3 codes are made, 1 has voted. Nobody is told which." in said(again)
    assert first not in again.content.decode()


@pytest.mark.parametrize(
    ("count", "sentence"),
    [
        ("", "This field is required."),
        ("many", "Enter a whole number."),
        ("0", "It lies between 1 and 10000."),
        ("10001", "It lies between 1 and 10000."),
        ("9" * 30, "It lies between 1 and 10000."),
    ],
)
def test_count_that_cannot_be_is_told_at_its_field(
    desk: Browser, poll: dict[str, Any], count: str, sentence: str
) -> None:
    answer = make_codes(desk, poll, count)
    assert answer.status_code == 400
    assert sentence in said(answer)
    assert 'aria-invalid="true"' in answer.content.decode()
    assert not VotingCode.objects.exists()


def test_more_codes_than_a_sheet_holds_come_as_a_file_alone(
    desk: Browser, poll: dict[str, Any]
) -> None:
    assert "Up to 500 come as a sheet to print" in said(desk.get(page_of(poll)))
    assert len(sheet_of(make_codes(desk, poll, 500))) == 500
    answer = make_codes(desk, poll, 501)
    assert sheet_of(answer) == []
    assert "<svg" not in answer.content.decode()
    assert "They are too many for a sheet." in said(answer)
    assert len(rows_of(answer)) == 502
    # Codes alone: no file of ten thousand is too large for a link.
    most = make_codes(desk, poll, 10_000)
    assert len(rows_of(most)) == 10_001
    assert len(most.content) < 1_500_000


def test_closed_poll_takes_no_more_codes(
    alice: Person, desk: Browser, poll: dict[str, Any]
) -> None:
    alice.close(poll)
    assert "Make codes" not in said(desk.get(page_of(poll)))
    answer = make_codes(desk, poll, 1)
    assert answer.status_code == 410
    assert not VotingCode.objects.exists()


def test_codes_are_their_owners_alone_and_of_polls_that_ask_for_them(
    alice: Person, desk: Browser, poll: dict[str, Any]
) -> None:
    bob = sign_in("bob")
    assert bob.get(f"{page_of(poll)}/codes").status_code == 404
    assert bob.send(f"{page_of(poll)}/codes", "/desk", count=1).status_code == 404
    plain = alice.make_poll()
    assert "Voting codes" not in said(desk.get(page_of(plain)))
    assert desk.get(f"{page_of(plain)}/codes").status_code == 404
    assert not VotingCode.objects.exists()


def test_sheet_shows_what_an_organiser_wrote_as_text(alice: Person, desk: Browser) -> None:
    for title in HOSTILE:
        answer = make_codes(desk, alice.make_poll(title=title, identity="code"), 1)
        assert_only_text(answer.content.decode())
        assert said(answer).count(title) == 2  # in the way back and on the slip
