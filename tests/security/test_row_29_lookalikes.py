"""Row 29: letters that deceive the eye are refused in what people choose by, or kept apart.

What looks the same in every font is refused by tests/polls/test_poll_definition.py. What only looks
alike, as Cyrillic letters among Latin ones do, is taken: docs/security.md says why.
"""

import re

import pytest
from django.test import Client

from polls.text import normalised, turns_letters
from tests.cast import NEW_POLL, Person, assert_problem, stored_rows, texts

POLLS, EVENTS = "/api/v1/polls/", "/api/v1/events/"
TURNED = "It holds a character that turns letters around."
OVERRIDES = {
    "yes read backwards": "\u202eseY",
    "the same, closed": "\u202eseY\u202c",
    "in the middle": "20\u202e€ 05\u202c",
    "left to right": "\u202d\u05e9\u05dc\u05d5\u05dd",
    "inside an isolate": "\u2066\u202eseY\u202c\u2069",
}


@pytest.mark.parametrize("name", OVERRIDES)
def test_row_29_override_of_direction_is_refused_in_titles_and_options(
    alice: Person, name: str
) -> None:
    text, poll = OVERRIDES[name], alice.make_poll()
    event = alice.make_event()
    before = stored_rows()
    options = {"options": texts("Yes", text)}
    for answer, field, code in (
        (alice.post(POLLS, {**NEW_POLL, "title": text}), "title", "invalid_poll"),
        (alice.post(POLLS, {**NEW_POLL, **options}), "options[1].text", "invalid_poll"),
        (alice.patch(poll["links"]["self"], {"title": text}), "title", "invalid_poll"),
        (alice.patch(poll["links"]["self"], options), "options[1].text", "invalid_poll"),
        (alice.post(EVENTS, {"title": text}), "title", "invalid_event"),
        (alice.patch(event["links"]["self"], {"title": text}), "title", "invalid_event"),
    ):
        assert_problem(answer, 400, code, errors=[(field, "turned", TURNED)])
    assert stored_rows() == before


def test_row_29_override_in_front_of_the_same_word_is_told_as_both(alice: Person) -> None:
    answer = alice.post(POLLS, {**NEW_POLL, "options": texts("Pizza", "\u202ePizza")})
    repeated = ("options[1].text", "repeated", "It looks the same as options[0].")
    errors = [("options[1].text", "turned", TURNED), repeated]
    assert_problem(answer, 400, "invalid_poll", errors=errors)


@pytest.mark.parametrize(
    "text",
    [
        "\u05e9\u05dc\u05d5\u05dd",  # Hebrew
        "\u0627\u0644\u0633\u0644\u0627\u0645 \u0639\u0644\u064a\u0643\u0645",  # Arabic
        "\u2067\u05e9\u05dc\u05d5\u05dd\u2069 (Hebrew)",  # an isolate
        "\u202b\u05e9\u05dc\u05d5\u05dd\u202c, peace",  # an embedding
        "A\u200f!",  # a mark
        "\u0915\u094d\u200d\u0937",  # Hindi needs a joiner
        "\U0001f469\u200d\U0001f373",  # so does a cook
    ],
)
def test_row_29_what_languages_need_is_taken_as_it_is(alice: Person, text: str) -> None:
    assert not turns_letters(text)
    poll = alice.make_poll(title=text, options=texts(text, "Pizza"))
    assert (poll["title"], poll["options"][0]["text"]) == (text, text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Pizza", "P\u0456zza"),  # a Cyrillic i
        ("Pizza", "Pizz\u0430"),  # a Cyrillic a
        ("CO", "\u0421\u041e"),  # all of it Cyrillic
        ("O", "0"),
        ("rn", "m"),
    ],
)
def test_row_29_letters_of_other_scripts_that_look_alike_are_different(
    alice: Person, one: str, other: str
) -> None:
    assert normalised(one) != normalised(other)
    poll = alice.make_poll(options=texts(one, other))
    assert [option["text"] for option in poll["options"]] == [one, other]


MARK = "turned-by-its-own-words"


@pytest.mark.parametrize("page", ["/p/{}", "/p/{}/results", "/p/{}/present", "/embed/{}"])
def test_row_29_pages_keep_each_text_to_itself(alice: Person, page: str) -> None:
    """`dir=auto` isolates: what a text does to direction ends with its element."""
    title, option = f"{MARK} title", f"{MARK} option"
    poll = alice.make_poll(title=title, description=f"{MARK} text", options=texts(option, "x"))
    html = Client().get(page.format(poll["join_code"])).content.decode()
    body = html.partition("<body")[2]
    body = re.sub(r"<script\b.*?</script>", "", body, flags=re.DOTALL)
    shown = re.findall(rf"<([^<>]*)>\s*{MARK}", body)
    assert len(shown) >= 2
    assert [tag for tag in shown if 'dir="auto"' not in tag] == []
