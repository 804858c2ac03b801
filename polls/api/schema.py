"""How the API's documentation is made: one decorator says what an operation takes and answers."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeVar

from drf_yasg import openapi
from drf_yasg.generators import OpenAPISchemaGenerator
from drf_yasg.inspectors import SwaggerAutoSchema
from drf_yasg.utils import swagger_auto_schema

from polls.api import examples
from polls.api.serializers import Problem
from polls.errors import CATALOGUE, Code, Refusal

View = TypeVar("View", bound=Callable[..., Any])

# What any operation may answer, whatever it is about.
_ALWAYS = (
    Code.MALFORMED,
    Code.BAD_HOST,
    Code.METHOD_NOT_ALLOWED,
    Code.REQUEST_TIMEOUT,
    Code.BODY_TOO_LARGE,
    Code.UNSUPPORTED_MEDIA_TYPE,
    Code.INTERNAL_ERROR,
    Code.OVERLOADED,
    Code.UNAVAILABLE,
)


def parameter(name: str, place: str, description: str) -> openapi.Parameter:
    """Return an optional text in the query or a header."""
    return openapi.Parameter(name, place, type=openapi.TYPE_STRING, description=description)


IDEMPOTENCY_KEY = parameter(
    "Idempotency-Key",
    openapi.IN_HEADER,
    "16 to 255 visible ASCII characters; the same key and ballot count once",
)
VOTER_CODE = parameter(
    "X-Voter-Code", openapi.IN_HEADER, "the voter's code, where the poll asks for one"
)


class PollsAutoSchema(SwaggerAutoSchema):  # type: ignore[misc] # drf-yasg is untyped
    """Every operation speaks JSON; errors are problem+json."""

    def get_consumes(self) -> list[str]:
        """Return the one media type of bodies."""
        return ["application/json"]

    def get_produces(self) -> list[str]:
        """Return the media types of answers and of errors."""
        return ["application/json", "application/problem+json"]

    def get_default_responses(self) -> dict[str, Any]:
        """Return none: what an operation answers is said by `operation` alone."""
        return {}


_KEPT_SCHEMAS = 16  # one for each host and scheme by which the service is asked
_schemas: dict[str, Any] = {}


class PollsSchemaGenerator(OpenAPISchemaGenerator):  # type: ignore[misc] # drf-yasg is untyped
    """Paths are shown whole, with their version, so that they can be copied."""

    def get_schema(self, request: Any = None, public: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - drf-yasg's signature
        """Return the schema, made once: nothing in it depends on who asks."""
        place = "" if request is None else request.build_absolute_uri("/")
        if place not in _schemas:
            while len(_schemas) >= _KEPT_SCHEMAS:
                _schemas.pop(next(iter(_schemas)), None)
            _schemas[place] = super().get_schema(request, public)
        return _schemas[place]

    def determine_path_prefix(self, paths: Sequence[str]) -> str:
        """Strip nothing."""
        del paths
        return ""


def operation(  # noqa: PLR0913 - a table of keywords
    summary: str,
    *,
    tag: str,
    answers: Mapping[int, tuple[str, Any, Any]],
    errors: Sequence[Code] = (),
    body: Any = None,  # noqa: ANN401 - a serializer class
    body_example: object = None,
    description: str = "",
    parameters: Sequence[openapi.Parameter] = (),
    public: bool = True,
    anonymous: bool = False,
) -> Callable[[View], View]:
    """Document one method of a view.

    `answers` maps a status to its description, serializer and example. `public` operations need
    no account and take either token, `anonymous` ones ask for neither; all others need the
    account's.
    """
    found = {
        str(status): openapi.Response(
            text, schema, {"application/json": example} if example is not None else None
        )
        for status, (text, schema, example) in answers.items()
    }
    codes = {*errors, *_ALWAYS}
    found |= {str(status): response for status, response in _problems(codes).items()}
    text = description
    if body_example is not None:
        text += f"\n\nExample body:\n```json\n{_json(body_example)}\n```"
    security: list[dict[str, list[str]]] = [{"Bearer": []}]
    if public:
        security = [{}, *security, {"Voter": []}]
    decorate: Callable[[View], View] = swagger_auto_schema(
        operation_summary=summary,
        operation_description=text.strip() or summary,
        tags=[tag],
        request_body=body,
        responses=found,
        manual_parameters=list(parameters),
        security=[] if anonymous else security,
    )
    return decorate


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _problems(codes: set[Code]) -> dict[int, openapi.Response]:
    """Return a response for each status, naming all codes that come with it."""
    found: dict[int, openapi.Response] = {}
    ordered = sorted(codes, key=lambda code: (CATALOGUE[code].status, code))
    for status, group in groupby(ordered, key=lambda code: CATALOGUE[code].status):
        members = list(group)
        text = "; ".join(f"`{code}`: {CATALOGUE[code].title}" for code in members)
        example = Refusal(members[0]).problem(f"/api/v1/polls/{examples.POLL_ID}/")
        found[status] = openapi.Response(text, Problem, {"application/problem+json": example})
    return found
