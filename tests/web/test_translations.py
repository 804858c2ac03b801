"""The pages in other languages: nothing is left out, and nothing is out of date."""

import html
import re
from itertools import chain
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from django.conf import settings
from django.test import Client
from django.utils import translation

from devtools import messages
from polls.enums import Identity, Kind, Secrecy, Visibility
from polls.errors import CATALOGUE, Code, Refusal
from tests.cast import Person
from web import words
from web.ballots import FORMS

LANGUAGES = [code for code, _ in settings.LANGUAGES if code != "en"]
PLACES = re.compile(r"%\(\w+\)[sd]|{\w+}")


def stored(language: str) -> Catalog:
    with messages.po_path(language).open("rb") as file:
        return read_po(file, locale=language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_are_whole_and_compiled(language: str) -> None:
    assert messages.missing(messages.merged(language)) == []
    # `make messages` would change nothing.
    path = messages.po_path(language)
    assert messages.as_po(messages.merged(language)) == path.read_bytes()
    assert messages.as_mo(stored(language)) == path.with_suffix(".mo").read_bytes()


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_fill_the_same_places(language: str) -> None:
    for message in stored(language):
        if not message.id:
            continue
        sources = [message.id] if isinstance(message.id, str) else list(message.id)
        wanted = set(chain.from_iterable(PLACES.findall(text) for text in sources))
        for form in messages.forms_of(message):
            assert set(PLACES.findall(form)) == wanted, form


def test_text_without_a_translation_would_be_found() -> None:
    catalog = messages.merged("fr")
    catalog.add("A text that nobody has translated.")
    assert messages.missing(catalog) == ["A text that nobody has translated."]


def test_templates_hold_no_text_outside_translation() -> None:
    left = {}
    for path in Path("web/templates").rglob("*.html"):
        if path.name in {"errors.html", "protocol.html", "live_data.html"}:
            continue  # what developers read is English, as the API is; and there are attributes
        text = re.sub(
            r"{#.*?#}|{% block (?:body|width) %}(?:{% if \w+ %})?\w*(?:{% endif %})?{% endblock %}"
            r"|{% blocktranslate.*?{% endblocktranslate %}"
            r"|{%.*?%}|{{.*?}}|<[^>]*>|&\w+;",
            " ",
            path.read_text(),
            flags=re.DOTALL,
        )
        found = set(re.findall(r"[A-Za-z]{2,}", text)) - {"UTC", "Swagger", "ReDoc"}
        if found:
            left[str(path)] = found
    assert left == {}


@pytest.mark.parametrize("code", Code)
def test_every_refusal_is_told_to_people(code: Code) -> None:
    sentence = words.told(Refusal(code))
    assert sentence
    assert CATALOGUE[code].remedy not in sentence


def test_every_word_of_a_poll_is_told_to_people() -> None:
    for identity in Identity:
        assert words.identity_in_words(identity)
    for secrecy in Secrecy:
        assert words.secrecy_in_words(secrecy)
    for visibility in Visibility:
        assert words.hidden_because(visibility) or visibility == Visibility.ALWAYS
    assert set(FORMS) == {Kind.SINGLE, Kind.MULTIPLE, Kind.APPROVAL}


@pytest.mark.parametrize(
    ("path", "accepts", "language"),
    [
        ("/", "", "en"),
        ("/", "fr", "fr"),
        ("/", "de, fr;q=0.5", "fr"),
        ("/", "tlh", "en"),
        ("/?lang=fr", "en", "fr"),
        ("/?lang=en", "fr", "en"),
        ("/?lang=xx", "fr", "fr"),
    ],
)
def test_language_is_the_addresss_else_the_browsers(
    database: None, path: str, accepts: str, language: str
) -> None:
    del database
    answer = Client().get(path, headers={"Accept-Language": accepts})
    assert f'<html lang="{language}"' in answer.content.decode()
    assert answer.headers["Content-Language"] == language
    assert "Accept-Language" in answer.headers["Vary"]
    assert translation.get_language() == "en"


def test_api_stays_english(alice: Person) -> None:
    poll = alice.make_poll()
    answers = [
        Client().get("/api/v1/nowhere/", headers={"Accept-Language": language})
        for language in ("en", "fr")
    ]
    assert answers[0].json() == answers[1].json()
    assert "Content-Language" not in answers[1].headers
    assert "Accept-Language" not in answers[1].headers.get("Vary", "")
    assert poll


def test_link_to_another_language_keeps_the_rest_of_the_address(database: None) -> None:
    del database
    page = Client().get("/accounts/login?next=/desk/new").content.decode()
    link = re.search(r'<a href="([^"]+)" hreflang="fr" lang="fr">Français</a>', page)
    assert link
    assert html.unescape(link[1]) == "?next=%2Fdesk%2Fnew&lang=fr"
    french = Client().get("/accounts/login?lang=fr").content.decode()
    assert 'hreflang="en" lang="en">English</a>' in french
