"""What a client may say: in the URL that it opens, and in its frames."""

from typing import Any
from urllib.parse import parse_qs

from django.conf import settings

from polls import strict_json
from polls.errors import Code, Refusal


def read_query(query_string: bytes) -> tuple[int | None, bool]:
    """Return `since` and whether the view is `status`, or raise `malformed`."""
    query = parse_qs(query_string.decode("latin-1"), keep_blank_values=True)
    for name, values in query.items():
        if name not in {"since", "view"} or len(values) > 1:
            raise Refusal(Code.MALFORMED, "The query takes `since` and `view`, once each.")
    since = query.get("since", [None])[0]
    if since is not None and not (
        since.isascii() and since.isdigit() and len(since) <= len(str(2**63))
    ):
        raise Refusal(Code.MALFORMED, "`since` must be a seq.")
    view = query.get("view", [None])[0]
    if view not in {None, "status"}:
        raise Refusal(Code.MALFORMED, "`view` takes `status`.")
    return None if since is None else int(since), view == "status"


def read_frame(message: dict[str, Any]) -> dict[str, Any]:
    """Return a client's frame, or raise `malformed`."""
    text = message.get("text")
    if text is None:
        raise Refusal(Code.MALFORMED, "Frames are JSON texts.")
    # Uvicorn ends the socket with 1009 before this; other servers may let more through.
    if len(text) > settings.MAX_SOCKET_MESSAGE_BYTES:
        raise Refusal(
            Code.MALFORMED, f"A frame may have {settings.MAX_SOCKET_MESSAGE_BYTES} bytes."
        )
    try:
        frame = strict_json.loads_object(text.encode())
    except UnicodeEncodeError:
        raise Refusal(Code.MALFORMED, "Frames are UTF-8.") from None
    fields = {"ping": {"type"}, "auth": {"type", "ticket"}}.get(str(frame.get("type")))
    if fields is None or set(frame) != fields:
        raise Refusal(Code.MALFORMED, "A frame is a ping, or an auth with its ticket.")
    if not all(isinstance(value, str) for value in frame.values()):
        raise Refusal(Code.MALFORMED, "The fields of a frame are texts.")
    return frame
