"""Bodies: JSON by the one strict parser, and no negotiation about the answer."""

from typing import Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser

from polls import strict_json
from polls.errors import Code, Refusal


class StrictJSONParser(BaseParser):
    """One JSON object, not encoded."""

    media_type = "application/json"

    def parse(
        self,
        stream: Any,  # noqa: ANN401 - DRF's signature
        media_type: str | None = None,
        parser_context: Any = None,  # noqa: ANN401 - the same
    ) -> dict[str, Any]:
        """Return the object, or raise `malformed` or `unsupported_media_type`."""
        del media_type
        request = parser_context["request"]
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refusal(Code.UNSUPPORTED_MEDIA_TYPE)
        return strict_json.loads_object(stream.read())


class AlwaysJSON(BaseContentNegotiation):
    """The API speaks JSON whatever the Accept header prefers."""

    def select_parser(self, request: Any, parsers: Any) -> Any:  # noqa: ANN401 - DRF's signature
        """Return the parser of the body's media type, None for any other than JSON."""
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((p for p in parsers if p.media_type == media_type), None)

    def select_renderer(
        self,
        request: Any,  # noqa: ANN401 - DRF's signature
        renderers: Any,  # noqa: ANN401 - the same
        format_suffix: str | None = None,
    ) -> tuple[Any, str]:
        """Return the one renderer."""
        del request, format_suffix
        return renderers[0], renderers[0].media_type
