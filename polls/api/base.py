"""What every view of the API shares."""

from typing import Any, TypeVar, cast

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from polls.errors import Code, FieldError, Refusal
from polls.messages import PRIVATE

S = TypeVar("S", bound=serializers.Serializer[Any])


class View(APIView):
    """A view whose answers no cache keeps, unless it says otherwise."""

    # OPTIONS would describe what the schema describes better; CORS is answered before Django.
    http_method_names = [name for name in APIView.http_method_names if name != "options"]
    # The code of a body whose fields can be read, but not taken for what they say.
    invalid_code = Code.MALFORMED

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Refuse what could be read in two ways, and what would not be read at all."""
        if request.method not in self.allowed_methods:
            # Whoever asks, and whatever for.
            allow = {"Allow": ", ".join(self.allowed_methods)}
            raise Refusal(Code.METHOD_NOT_ALLOWED, headers=allow)
        super().initial(request, *args, **kwargs)
        if request.method in {"GET", "HEAD"}:
            self.no_body(request)
        for name, values in request.query_params.lists():
            if len(values) > 1:
                detail = "A parameter comes once."
                raise Refusal(Code.MALFORMED, errors=[FieldError(name, "repeated", detail)])

    def finalize_response(
        self,
        request: Request,
        response: Any,  # noqa: ANN401 - the same; it may be Django's own
        *args: Any,  # noqa: ANN401 - DRF's signature
        **kwargs: Any,  # noqa: ANN401 - the same
    ) -> Any:  # noqa: ANN401 - the same
        """Keep private answers out of caches."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", PRIVATE["Cache-Control"])
        if response.headers["Cache-Control"] == PRIVATE["Cache-Control"]:
            response.headers["Vary"] = PRIVATE["Vary"]
        else:
            # It was looked at for who asks, and the answer is the same for everybody: Django's
            # middleware would tell caches to keep one for each session.
            request.session.accessed = False
        return response

    @property
    def default_response_headers(self) -> dict[str, str]:
        """No header beside those that both doors of a vote write; 405 has its Allow."""
        return {}

    def read(self, request: Request, shape: type[S]) -> S:
        """Return the validated body, or raise naming every field at fault."""
        serializer = shape(data=self.body(request))
        serializer.is_valid(raise_exception=True)
        return serializer

    def body(self, request: Request) -> dict[str, Any]:
        """Return the body's JSON object; its absence is `malformed`."""
        if not request.body:
            raise Refusal(Code.MALFORMED, "The body must be one JSON object.")
        return cast("dict[str, Any]", request.data)  # the one parser gives nothing else

    def no_body(self, request: Request) -> None:
        """Refuse fields in the body of a call that takes none."""
        if request.body and request.data:
            name = next(iter(request.data))
            detail = "This call takes no fields."
            raise Refusal(Code.MALFORMED, errors=[FieldError(name, "unknown_field", detail)])


def created(body: object) -> Response:
    """Return 201 with a body."""
    return Response(body, status=201)


def no_content() -> Response:
    """Return 204."""
    return Response(status=204)
