"""What the service says of its own calls in `/swagger.json`, for whoever holds it to that."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft4Validator  # type: ignore[import-untyped]

Schema = Mapping[str, Any]
_CODES = re.compile(r"`(\w+)`:")
_FIRST_ERROR = 400
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One call: how it is made, and all that it may answer."""

    method: str
    path: str
    body: Schema | None
    codes: Mapping[int, frozenset[str]]  # of problems, by status
    answers: Mapping[int, Draft4Validator | None]  # by status; None where there is no body
    needs_account: bool
    query: tuple[str, ...]

    def faults_of(self, status: int, code: str, body: object) -> list[str]:
        """Return what an answer has that is not documented."""
        if status >= _FIRST_ERROR:
            known = self.codes.get(status, frozenset())
            return [] if code in known else [f"not documented: {status} {code}"]
        if status not in self.answers:
            return [f"not documented: {status}"]
        validator = self.answers[status]
        if validator is None:
            return [] if body is None else [f"a body with {status}"]
        return [f"not as documented: {error.message}" for error in validator.iter_errors(body)]


def operations(document: Mapping[str, Any]) -> list[Operation]:
    """Return every call of a Swagger 2.0 document."""
    found = []
    for path, item in document["paths"].items():
        for method, told in item.items():
            if method != "parameters":
                found.append(_operation(document, method.upper(), path, told))
    return found


def _operation(document: Schema, method: str, path: str, told: Schema) -> Operation:
    bodies = [p["schema"] for p in told["parameters"] if p["in"] == "body"]
    codes, answers = {}, {}
    for text, response in told["responses"].items():
        status = int(text)
        if status >= _FIRST_ERROR:
            codes[status] = frozenset(_CODES.findall(response["description"]))
        else:
            schema = response.get("schema")
            answers[status] = None if schema is None else _validator(document, schema)
    return Operation(
        method,
        path,
        whole(document, bodies[0]) if bodies else None,
        codes,
        answers,
        needs_account=told.get("security") == [{"Bearer": []}],
        query=tuple(p["name"] for p in told["parameters"] if p["in"] == "query"),
    )


def whole(document: Schema, schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a schema with its references in it, and null where that is allowed."""
    if isinstance(schema, list):
        return [whole(document, item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return whole(document, document["definitions"][schema["$ref"].rpartition("/")[2]])
    return {name: whole(document, value) for name, value in schema.items()}


def _validator(document: Schema, schema: Schema) -> Draft4Validator:
    return Draft4Validator(_nullable(whole(document, schema)))


def _nullable(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Return the schema in the words of JSON Schema, which has no `x-nullable`."""
    if isinstance(schema, list):
        return [_nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    said = {name: _nullable(value) for name, value in schema.items()}
    return {"anyOf": [said, {"type": "null"}]} if said.pop("x-nullable", False) else said


def fits(schema: Schema, value: object) -> bool:
    """Whether a value has the types, names and words that a schema of a request tells."""
    if value is None:
        return bool(schema.get("x-nullable"))
    kind = schema.get("type")
    # A bool is an int to Python, not to JSON.
    typed = kind is None or (
        isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
    )
    if not typed or ("enum" in schema and value not in schema["enum"]):
        return False
    match value:
        case dict():
            return _fits_object(schema, value)
        case list():
            return all(fits(schema.get("items", {}), item) for item in value)
    return True


def _fits_object(schema: Schema, value: Mapping[str, object]) -> bool:
    """Whether an object has every field that is required, and none that is not told of."""
    told = schema.get("properties", {})
    return set(schema.get("required", ())) <= set(value) and all(
        name in told and fits(told[name], item) for name, item in value.items()
    )
