"""The migration that brings events: the codes of polls that there are already are claimed."""

import uuid

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from polls.domain import join_codes
from polls.models import JoinCode, Poll
from tests.cast import Person
from tests.polls.catalogue import constraints


def test_codes_of_polls_are_claimed_and_every_constraint_is_there(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, before = MigrationExecutor(connection), constraints()
    poll = alice.make_poll()
    executor.migrate([("polls", "0002_composite_foreign_keys")])
    try:
        assert not {words for words in constraints() if words.startswith("polls_event")}
        assert list(Poll.objects.values_list("id")) == [(uuid.UUID(poll["id"]),)]
    finally:
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes("polls"))
    assert constraints() == before
    assert list(JoinCode.objects.values_list("code", flat=True)) == [poll["join_code"]]
    codes = iter([poll["join_code"], "CCCCCC"])
    monkeypatch.setattr(join_codes, "new_join_code", lambda: next(codes))
    assert alice.make_event()["join_code"] == "CCCCCC"
