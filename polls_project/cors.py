"""Which pages of other sites may call, answered before Django."""

from http import HTTPStatus
from typing import Any

from starlette.middleware.cors import CORSMiddleware

from polls.messages import Answer
from polls_project.sending import send_answer


class Cors(CORSMiddleware):
    """Answers the preflights that are granted; any other is a request like every other.

    Starlette refuses in plain text. Without the headers of a grant a browser refuses by itself.
    """

    async def simple_response(
        self,
        scope: Any,  # noqa: ANN401 - ASGI
        receive: Any,  # noqa: ANN401 - the same
        send: Any,  # noqa: ANN401 - the same
        request_headers: Any,  # noqa: ANN401 - Starlette's
    ) -> None:
        """Add the grant to the answer, which must come by `send` for that."""
        scope = {**scope, "extensions": {}}
        await super().simple_response(scope, receive, send, request_headers)

    def preflight_response(self, request_headers: Any) -> Any:  # noqa: ANN401 - an ASGI application
        """Return what answers a preflight."""
        found = super().preflight_response(request_headers)
        if found.status_code != HTTPStatus.OK:
            return self.app
        answer = Answer(found.status_code, tuple(found.raw_headers), bytes(found.body))

        async def grant(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
            del receive
            await send_answer(scope, send, answer)

        return grant
