"""The API's documentation: the schema, its two pages, and the list of errors."""

import copy
import io
import json
import re
from contextlib import closing
from html.parser import HTMLParser
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from rest_framework.serializers import BaseSerializer, ListSerializer
from swagger_spec_validator.validator20 import validate_spec

from polls.api import serializers
from polls.errors import CATALOGUE, Code
from tests.cast import NEW_POLL, PASSWORD, Person, new_key, problem, voter
from tests.live import ROOT
from tests.polls.test_route_walk import API_ROUTES, CALLS, EVERYBODYS

OWNERS_CALLS = {call for call, whose in CALLS.items() if whose != EVERYBODYS}
TAGS = {"accounts", "events", "members", "polls", "voting", "results", "live", "service"}
Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    answer = Client().get("/swagger.json")
    assert (answer.status_code, answer.headers["Content-Type"]) == (
        200,
        "application/json; charset=utf-8",
    )
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture(scope="module")
def operations(schema: dict[str, Any]) -> list[Operation]:
    return [
        (method.upper(), path, operation)
        for path, item in schema["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    ]


# -- the schema ------------------------------------------------------------------------------


def test_schema_is_valid_openapi_2(schema: dict[str, Any]) -> None:
    assert schema["swagger"] == "2.0"
    validate_spec(copy.deepcopy(schema))  # it leaves its marks


def test_schema_is_the_same_in_yaml(schema: dict[str, Any]) -> None:
    answer = Client().get("/swagger.yaml")
    assert answer.status_code == 200
    assert yaml.safe_load(answer.content) == schema


@pytest.mark.parametrize("format_", ["openapi", "json", "yaml", "html", "x"])
def test_schema_stays_itself_whatever_format_is_asked_for(
    schema: dict[str, Any], format_: str
) -> None:
    for path in ("/swagger.json", "/swagger.yaml"):
        answer = Client().get(f"{path}?format={format_}", headers={"Accept": "text/html"})
        assert yaml.safe_load(answer.content) == schema


def test_every_route_is_documented_and_nothing_else(schema: dict[str, Any]) -> None:
    assert schema["basePath"] == "/"
    assert sorted(schema["paths"]) == sorted(API_ROUTES)


def test_no_two_serializers_share_a_definition(schema: dict[str, Any]) -> None:
    for name, definition in schema["definitions"].items():
        serializer = getattr(serializers, name)
        assert set(definition["properties"]) == set(serializer().fields), name
    classes = [
        value
        for value in vars(serializers).values()
        if isinstance(value, type) and issubclass(value, BaseSerializer)
    ]
    names = [found.__name__ for found in classes if not issubclass(found, ListSerializer)]
    assert len(set(names)) == len(names)


def test_every_operation_is_told_in_a_sentence(operations: list[Operation]) -> None:
    summaries = [operation["summary"] for _, _, operation in operations]
    assert len(set(summaries)) == len(summaries)
    for _, _, operation in operations:
        assert operation["description"]
        assert operation["tags"][0] in {
            "accounts",
            "events",
            "members",
            "polls",
            "voting",
            "results",
            "live",
            "service",
        }


def test_every_operation_has_an_example_of_each_answer(operations: list[Operation]) -> None:
    for method, path, operation in operations:
        good = {s: r for s, r in operation["responses"].items() if int(s) < 400}
        for status, response in good.items():
            shown = "application/json" in response.get("examples", {})
            assert shown == (status not in {"204", "304"}), (method, path, status)
            assert ("schema" in response) == shown
        # What is not offered yet answers nothing good.
        not_offered = path.endswith("/codes/") or (path.endswith("/votes/") and method != "POST")
        assert good or not_offered, (method, path)


def test_every_operation_has_a_problem_for_each_error(operations: list[Operation]) -> None:
    for method, path, operation in operations:
        errors = {int(s): r for s, r in operation["responses"].items() if int(s) >= 400}
        assert {400, 405, 408, 413, 415, 500, 503} <= set(errors), (method, path)
        for status, response in errors.items():
            codes = re.findall("`([a-z_]+)`: ", response["description"])
            assert codes, (method, path, status)
            assert {CATALOGUE[Code(code)].status for code in codes} == {status}
            assert response["schema"] == {"$ref": "#/definitions/Problem"}
            ((kind, example),) = response["examples"].items()
            assert kind == "application/problem+json"
            assert example == problem(status, example["code"], example["instance"])
            assert example["code"] in codes


def test_operations_that_need_an_account_say_so_and_the_others_take_either_token(
    schema: dict[str, Any], operations: list[Operation]
) -> None:
    assert set(schema["securityDefinitions"]) == {"Bearer", "Voter"}
    for method, path, operation in operations:
        owners = (method, path.rpartition("{poll_id}/")[2]) in OWNERS_CALLS or (
            path
            in {
                "/api/v1/polls/",
                "/api/v1/polls/shared/",
                "/api/v1/events/",
                "/api/v1/auth/account/",
            }
            or (path == "/api/v1/events/{event_id}/" and method != "GET")
            or (path.startswith("/api/v1/auth/tokens/") and method != "POST")
        )
        nobodys = path == "/api/v1/limits/" or (
            path.startswith("/api/v1/auth/") and method == "POST"
        )
        either: list[dict[str, list[str]]] = [{}, {"Bearer": []}, {"Voter": []}]
        expected = [{"Bearer": []}] if owners else [] if nobodys else either
        assert operation["security"] == expected, (method, path)


def test_every_code_but_those_of_pages_and_formats_belongs_to_an_operation(
    operations: list[Operation],
) -> None:
    documented = {
        code
        for _, _, operation in operations
        for response in operation["responses"].values()
        for code in re.findall("`([a-z_]+)`: ", response["description"])
    }
    assert {str(code) for code in Code} - documented == {"forbidden", "format_not_offered"}


# -- what the examples promise -----------------------------------------------------------------


def example_body(schema: dict[str, Any], method: str, path: str) -> Any:
    description = schema["paths"][path][method]["description"]
    match = re.search(r"```json\n(.*)\n```", description, re.DOTALL)
    assert match, description
    return json.loads(match.group(1))


def test_every_body_has_an_example(schema: dict[str, Any], operations: list[Operation]) -> None:
    for method, path, operation in operations:
        takes_body = any(p["in"] == "body" for p in operation.get("parameters", []))
        assert takes_body == ("```json" in operation["description"]), (method, path)
        if takes_body:
            assert example_body(schema, method.lower(), path)


def test_examples_of_bodies_can_be_sent_as_they_stand(
    bob: Person, charlie: Person, schema: dict[str, Any]
) -> None:
    poll, event = bob.make_poll(**NEW_POLL), bob.make_event()
    for person, method, path, status in (
        (charlie, "post", "/api/v1/auth/register/", 201),
        (charlie, "post", "/api/v1/auth/tokens/", 201),
        (bob, "post", "/api/v1/polls/", 201),
        (bob, "patch", "/api/v1/polls/{poll_id}/", 200),
        (bob, "post", "/api/v1/events/", 201),
        (bob, "patch", "/api/v1/events/{event_id}/", 200),
        (bob, "put", "/api/v1/polls/{poll_id}/members/{username}/", 201),
    ):
        body = example_body(schema, method, path)
        named = path.format(poll_id=poll["id"], event_id=event["id"], username="alice")
        answer = person.call(method.upper(), named, body)
        assert answer.status_code == status, answer.content


def strict(node: Any) -> Any:
    """Return an OpenAPI 2 schema as JSON Schema that allows no field beyond its own."""
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {name: strict(value) for name, value in node.items()}
    if "properties" in found:
        found["additionalProperties"] = False
    if found.get("x-nullable"):
        found["type"] = [found["type"], "null"]
    return found


@pytest.fixture(scope="module")
def definitions(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = strict(schema["definitions"])
    return found


def assert_shape(body: Any, shape: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Check a body against the schema of its answer."""
    jsonschema.Draft4Validator({**strict(shape), "definitions": definitions}).validate(body)


def test_examples_of_answers_have_the_documented_shape(
    definitions: dict[str, Any], operations: list[Operation]
) -> None:
    for _, _, operation in operations:
        for response in operation["responses"].values():
            for example in response.get("examples", {}).values():
                assert_shape(example, response["schema"], definitions)


def test_answers_have_the_documented_shape(
    alice: Person, charlie: Person, schema: dict[str, Any], definitions: dict[str, Any]
) -> None:
    poll = alice.make_poll()
    hidden = alice.make_poll(results_visibility="owner", opens_at="2098-01-01T00:00:00Z")
    event = alice.make_event(poll)
    names = {"event_id": event["id"], "event_code": event["join_code"], "username": "dora"}
    poll_path = "/api/v1/polls/{poll_id}/"
    somebody, key = voter(), new_key()
    account = {"username": "dora", "password": PASSWORD}
    calls: list[tuple[Person, str, str, Any, int]] = [
        (charlie, "POST", "/api/v1/auth/register/", account, 201),
        (charlie, "POST", "/api/v1/auth/tokens/", account, 201),
        (alice, "GET", "/api/v1/auth/tokens/", None, 200),
        (alice, "GET", "/api/v1/auth/account/", None, 200),
        (charlie, "POST", "/api/v1/voters/", None, 201),
        (charlie, "GET", "/api/v1/limits/", None, 200),
        (alice, "POST", "/api/v1/polls/", {**NEW_POLL, "description": "At noon"}, 201),
        (somebody, "GET", f"{poll_path}votes/", None, 200),
        (somebody, "POST", f"{poll_path}votes/", {"choices": [poll["options"][0]["id"]]}, 201),
        (somebody, "POST", f"{poll_path}votes/", {"choices": [poll["options"][0]["id"]]}, 200),
        (somebody, "GET", f"{poll_path}votes/", None, 200),
        (somebody, "POST", f"{poll_path}votes/", {"choices": ["x"]}, 400),
        (somebody, "POST", "/api/v1/live-tickets/", {"polls": [poll["id"]]}, 201),
        (alice, "POST", f"{poll_path}open/", None, 200),
        (alice, "POST", f"{poll_path}reset/", None, 200),
        (alice, "PATCH", poll_path, {"title": "Dinner?"}, 200),
        (alice, "POST", f"{poll_path}close/", None, 200),
        (alice, "GET", "/api/v1/polls/", None, 200),
        (alice, "GET", f"{poll_path}results/", None, 200),
        (alice, "GET", f"{poll_path}timeline/", None, 200),
        (alice, "GET", f"{poll_path}integrity/", None, 200),
        (alice, "PUT", f"{poll_path}members/{{username}}/", {"role": "viewer"}, 201),
        (alice, "PUT", f"{poll_path}members/{{username}}/", {"role": "organiser"}, 200),
        (alice, "PUT", f"{poll_path}members/{{username}}/", {"role": "owner"}, 400),
        (alice, "GET", f"{poll_path}members/", None, 200),
        (alice, "GET", "/api/v1/polls/shared/", None, 200),
        (charlie, "GET", "/api/v1/join/{code}/", None, 200),
        (charlie, "GET", "/api/v1/join/{event_code}/", None, 200),
        (alice, "POST", "/api/v1/events/", {"title": "Another"}, 201),
        (alice, "GET", "/api/v1/events/", None, 200),
        (charlie, "GET", "/api/v1/events/{event_id}/", None, 200),
        (alice, "PATCH", "/api/v1/events/{event_id}/", {"current": poll["id"]}, 200),
        (alice, "PATCH", "/api/v1/events/{event_id}/", {"current": "x"}, 400),
    ]
    for person, method, route, body, status in calls:
        person.headers["Idempotency-Key"] = key
        path = route.format(poll_id=poll["id"], code=poll["join_code"], **names)
        answer = person.call(method, path, body)
        assert answer.status_code == status, answer.content
        documented = schema["paths"][route.replace("{event_code}", "{code}")]
        responses = documented[method.lower()]["responses"]
        assert_shape(answer.json(), responses[str(status)]["schema"], definitions)
    assert_shape(charlie.read_poll(hidden), {"$ref": "#/definitions/Poll"}, definitions)


# -- the pages ---------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page loads, and what scripts stand in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[dict[str, str | None]] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids += [found["id"] or ""] if "id" in found else []
        address = found.get("src") or (found.get("href") if tag == "link" else None)
        if address:
            self.loaded.append(address)
        elif tag == "script":
            self.inline.append(found)


@pytest.mark.parametrize("path", ["/swagger/", "/redoc/"])
def test_page_of_the_documentation_loads_its_own_files_under_a_policy(path: str) -> None:
    answer = Client().get(path, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["Content-Security-Policy"] == (
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; worker-src blob:; object-src 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )
    page = Page(answer.content.decode())
    assert page.loaded
    for address in page.loaded:
        assert address.startswith("/static/")
        with closing(Client().get(address)) as file:
            assert file.status_code == 200, address
    assert [script for script in page.inline if script.get("type") != "application/json"] == []


def test_list_of_errors_has_a_place_for_each_code() -> None:
    answer = Client().get("/docs/errors", headers={"Accept": "text/html"})
    text = answer.content.decode()
    ids = Page(text).ids
    assert [name for name in ids if name in set(Code)] == [str(code) for code in CATALOGUE]
    for entry in CATALOGUE.values():
        assert f"({entry.status})" in text


def test_file_of_errors_is_written_from_the_catalogue() -> None:
    written = io.StringIO()
    call_command("errors_doc", stdout=written)
    assert (ROOT / "docs" / "errors.md").read_text() == written.getvalue()
    for code, entry in CATALOGUE.items():
        assert f"| {entry.status} | `{code}` | {entry.title} | {entry.remedy} |" in (
            written.getvalue()
        )


def test_catalogue_is_the_contracts() -> None:
    by_status = {
        400: (
            "malformed not_available invalid_poll invalid_event invalid_member invalid_ballot "
            "invalid_account bad_host"
        ),
        401: (
            "authentication_required invalid_credentials voter_token_required voter_token_invalid"
        ),
        403: (
            "csrf_failed code_invalid forbidden network_cap_reached results_hidden "
            "registration_closed"
        ),
        404: "not_found no_vote",
        405: "method_not_allowed",
        408: "request_timeout",
        409: "poll_not_open poll_frozen already_voted change_not_allowed username_taken",
        410: "poll_closed",
        413: "body_too_large",
        415: "unsupported_media_type",
        422: "idempotency_key_reused",
        429: "too_many",
        500: "internal_error",
        501: "format_not_offered",
        503: "overloaded unavailable outcome_unknown",
    }
    expected = {code: status for status, codes in by_status.items() for code in codes.split()}
    assert {str(code): entry.status for code, entry in CATALOGUE.items()} == expected
    assert set(CATALOGUE) == set(Code)
    for entry in CATALOGUE.values():
        assert entry.title
        assert entry.remedy
        assert (entry.retry_after is not None) == (entry.status in {429, 503})
