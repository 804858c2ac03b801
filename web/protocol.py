"""What the page of the protocol shows, taken from the AsyncAPI document."""

import json
import re
from collections.abc import Mapping
from typing import Any

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

Document = Mapping[str, Any]


def described(document: Document) -> dict[str, Any]:
    """Return the template's context: channels with their messages, and the close codes."""
    shown: dict[str, str] = {}  # where each component of a message is shown already
    return {
        "about": [_marked(part) for part in document["info"]["description"].split("\n\n")],
        "servers": list(document["servers"].values()),
        "channels": [_channel(document, name, shown) for name in document["channels"]],
        "close_codes": [
            {**entry, "description": _marked(entry["description"])}
            for entry in document["x-close-codes"]
        ],
    }


def _marked(text: str) -> SafeString:
    """Return a text as HTML, with what stands in backticks as code."""
    return mark_safe(re.sub("`([^`]+)`", r"<code>\1</code>", escape(text)))  # noqa: S308 - escaped


def _found(document: Document, node: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any part of it
    """Return a node, or what it refers to, at last."""
    while "$ref" in node:
        target: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        node = target
    return node


def _channel(document: Document, name: str, shown: dict[str, str]) -> dict[str, Any]:
    channel = document["channels"][name]
    told = _found(document, document["operations"][f"{name}.tell"])["messages"]
    servers = {reference["$ref"].rpartition("/")[2] for reference in told} | {"pong"}
    messages = {}
    for kind, node in channel["messages"].items():
        place = f"{name}-{kind}"
        as_in = shown.setdefault(node["$ref"], place)
        messages[kind] = {**_message(document, node), "place": place, "as_in": as_in}
    return {
        "name": name,
        "title": channel["title"],
        "address": channel["address"],
        "description": _marked(channel["description"]),
        "query": _fields(document, channel["bindings"]["ws"]["query"]),
        "directions": [
            ("From the server", [found for kind, found in messages.items() if kind in servers]),
            ("From the client", [found for kind, found in messages.items() if kind not in servers]),
        ],
    }


def _message(document: Document, node: Mapping[str, Any]) -> dict[str, Any]:
    message = _found(document, node)
    more = message["description"]
    return {
        "name": message["name"],
        "when": _marked(message["summary"]),
        "more": _marked(more) if more != message["summary"] else "",
        "fields": _fields(document, message["payload"]),
        "example": json.dumps(message["examples"][0]["payload"], indent=2),
    }


def _fields(document: Document, payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "kind": _kind(document, _found(document, node)),
            "required": name in payload.get("required", ()),
            "description": _marked(_found(document, node).get("description", "")),
        }
        for name, node in payload["properties"].items()
    ]


def _kind(document: Document, schema: Mapping[str, Any]) -> str:
    """Return a schema's type in words, such as `integer ≥ 1` or `array of object {id, votes}`."""
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return ", ".join(json.dumps(value) for value in schema["enum"])
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    words = " or ".join(types)
    if "format" in schema:
        words += f" ({schema['format']})"
    if "minimum" in schema:
        words += f" ≥ {schema['minimum']}"
    if "items" in schema:
        words += f" of {_kind(document, _found(document, schema['items']))}"
        words += f", {schema['minItems']} to {schema['maxItems']}"
    if "properties" in schema:
        required = schema["required"]
        names = (name if name in required else f"{name}?" for name in schema["properties"])
        words += f" {{{', '.join(names)}}}"
    return words
