"""Which pages of other sites may call, answered before Django."""

from typing import Any

from starlette.middleware.cors import CORSMiddleware


class Cors(CORSMiddleware):
    """Answers the preflights that are granted; any other is a request like every other.

    Starlette refuses in plain text. Without the headers of a grant a browser refuses by itself.
    """

    def preflight_response(self, request_headers: Any) -> Any:  # noqa: ANN401 - an ASGI application
        """Return what answers a preflight."""
        answer = super().preflight_response(request_headers)
        return answer if answer.status_code == 200 else self.app  # noqa: PLR2004 - HTTP
