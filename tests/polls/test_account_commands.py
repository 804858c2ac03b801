"""The operator's commands: what is held about an account, and its erasure."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from polls.models import Poll
from tests.cast import Person, assert_problem


def written(command: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


def answer_with(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    def answer(asked: str) -> Any:
        assert asked == "Erase 'alice' and its 1 polls? Type the name again: "
        return text

    monkeypatch.setattr("builtins.input", answer)


def test_export_is_what_the_account_itself_would_read(alice: Person, bob: Person) -> None:
    alice.vote(alice.make_poll(identity="account", title="Déjà vu?"), 0)
    bob.make_poll()
    text = written("export_account", "ALICE")
    assert "Déjà vu?" in text
    assert json.loads(text) == alice.get("/api/v1/auth/account/").json()


@pytest.mark.parametrize("arguments", [["--no-input"], []])
def test_erasure_erases(
    alice: Person, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    alice.make_poll()
    answer_with(monkeypatch, "alice")
    written("erase_account", "Alice", *arguments)
    assert_problem(alice.get("/api/v1/polls/"), 401, "authentication_required")
    assert not Poll.objects.standing().exists()


@pytest.mark.parametrize("text", ["", "yes", "bob"])
def test_erasure_that_is_not_confirmed_erases_nothing(
    alice: Person, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    poll = alice.make_poll()
    answer_with(monkeypatch, text)
    with pytest.raises(CommandError, match="nothing was erased"):
        call_command("erase_account", "alice")
    assert alice.read_poll(poll) == poll


@pytest.mark.parametrize("command", ["export_account", "erase_account"])
def test_account_that_there_is_not_is_told(alice: Person, command: str) -> None:
    with pytest.raises(CommandError, match="There is no account 'nobody'"):
        call_command(command, "nobody")
    assert User.objects.get() == alice.user
