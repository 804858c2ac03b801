"""Problems on the wire (RFC 9457), and what every exception of the API becomes."""

import logging
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions

from polls.errors import Code, FieldError, Refusal
from polls.messages import Answer, problem_answer

logger = logging.getLogger(__name__)


def problem_response(instance: str, refusal: Refusal) -> HttpResponse:
    """Return a refusal as problem+json."""
    return response_of(problem_answer(refusal, instance))


def response_of(answer: Answer) -> HttpResponse:
    """Return an answer as Django's."""
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    response = HttpResponse(answer.body, status=answer.status, headers=headers)
    if "content-type" not in headers:
        del response.headers["Content-Type"]  # Django's own idea
    return response


def report_fault(request: HttpRequest, fault: BaseException | None) -> Refusal:
    """Log an unexpected fault under the request's id and return what the client learns of it."""
    request_id = request.META.get("HTTP_X_REQUEST_ID", "-")
    logger.error("Request %s failed: %s", request_id, request.path, exc_info=fault)
    return Refusal(Code.INTERNAL_ERROR, f"The log knows it as {request_id}.")


def exception_handler(fault: Exception, context: dict[str, Any]) -> HttpResponse:
    """Return the problem that any exception in a view becomes (DRF's hook)."""
    request: HttpRequest = context["request"]._request  # noqa: SLF001 - DRF offers no other way
    refusal = refusal_of(fault, getattr(context["view"], "invalid_code", Code.MALFORMED))
    if refusal is None:
        refusal = report_fault(request, fault)
    elif refusal.code == Code.UNAVAILABLE:
        logger.error("The database does not answer: %s", fault)
    return problem_response(request.path, refusal)


def refusal_of(fault: Exception, invalid_code: Code) -> Refusal | None:  # noqa: PLR0911 - a table
    """Return the catalogue's word for an exception, None for one that nobody expected."""
    match fault:
        case Refusal():
            return fault
        case exceptions.ValidationError():
            return _refusal_of_validation(fault, invalid_code)
        case exceptions.ParseError() | SuspiciousOperation():
            return Refusal(Code.MALFORMED)
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return Refusal(Code.AUTHENTICATION_REQUIRED)
        case exceptions.PermissionDenied() | PermissionDenied():
            return Refusal(Code.FORBIDDEN)
        case exceptions.NotFound() | Http404():
            return Refusal(Code.NOT_FOUND)
        case exceptions.MethodNotAllowed():
            return Refusal(Code.METHOD_NOT_ALLOWED)
        case exceptions.UnsupportedMediaType():
            return Refusal(Code.UNSUPPORTED_MEDIA_TYPE)
        case OperationalError() | InterfaceError():
            return Refusal(Code.UNAVAILABLE)
        case _:
            return None


# What makes a request unreadable, whatever it is about.
_UNREADABLE = frozenset({"wrong_type", "unknown_field", "null", "invalid", "not_a_list"})


def _refusal_of_validation(fault: exceptions.ValidationError, invalid_code: Code) -> Refusal:
    errors = list(_flatten(fault.detail, ""))
    codes = {error.code for error in errors}
    if codes & _UNREADABLE:
        return Refusal(Code.MALFORMED, errors=errors)
    if codes == {"not_available"}:
        return Refusal(Code.NOT_AVAILABLE, errors=errors)
    return Refusal(invalid_code, errors=errors)


def _flatten(detail: Any, path: str) -> "list[FieldError]":  # noqa: ANN401 - DRF's nested detail
    """Return DRF's nested details as a flat list with paths such as `options[0].text`."""
    if isinstance(detail, dict):
        found = []
        for name, inner in detail.items():
            if isinstance(name, int):
                step = f"{path}[{name}]"
            else:
                step = name if not path else f"{path}.{name}"
            found += _flatten(inner, step)
        return found
    if isinstance(detail, list):
        found = []
        for place, inner in enumerate(detail):
            nested = isinstance(inner, dict | list)
            found += _flatten(inner, f"{path}[{place}]" if nested else path)
        return found
    return [FieldError(path.removesuffix(".non_field_errors"), detail.code, str(detail))]
