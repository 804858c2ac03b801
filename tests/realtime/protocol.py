"""The protocol as a server publishes it at /asyncapi.json, and frames held to it."""

import functools
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import requests
from referencing import Registry
from referencing.jsonschema import DRAFT7

_ROOT = "urn:asyncapi"
_formats = jsonschema.FormatChecker(["uuid"])


@_formats.checks("date-time", raises=ValueError)  # type: ignore[untyped-decorator]
def _is_a_moment(value: object) -> bool:
    """Whether a text is a time with its offset; other types are the schema's to judge."""
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


class Protocol:
    """An AsyncAPI document, by which frames are judged."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        resource = DRAFT7.create_resource(dict(document))
        self._registry = Registry().with_resource(_ROOT, resource)

    def components(self, channel: str) -> dict[str, str]:
        """Return the messages of a channel: where the component of each type stands."""
        return {
            kind: node["$ref"]
            for kind, node in self.document["channels"][channel]["messages"].items()
        }

    def validator(self, reference: str) -> Any:
        """Return the validator of the payload of the component that a reference names."""
        return jsonschema.Draft7Validator(
            {"$ref": f"{_ROOT}{reference}/payload"},
            registry=self._registry,
            format_checker=_formats,
        )

    def check(self, path: str, frame: Mapping[str, Any]) -> None:
        """Make sure that a frame is one that may be said on this path's channel."""
        kinds = {"/ws/": "polls"} | ({path: "event"} if path.startswith("/ws/events/") else {})
        components = self.components(kinds.get(path, "poll"))
        kind = frame.get("type")
        assert isinstance(kind, str), frame
        assert kind in components, frame
        self.validator(components[kind]).validate(frame)


@functools.cache
def protocol_of(url: str) -> Protocol:
    """Return the protocol that the server at this address publishes, read once."""
    answer = requests.get(f"{url}/asyncapi.json", timeout=30)
    assert answer.status_code == 200, answer.text
    return Protocol(answer.json())
