"""Every error is `{"error": {"code", "message", "type", "param"}}`, whoever raises it."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import DisallowedHost
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework.exceptions import APIException, ErrorDetail, NotAuthenticated, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from videoapi.engine.outage import OUTAGES
from videoapi.exceptions import Conflict, InvalidRequest, Refused, TooManyRequests, VideoAPIError

logger = logging.getLogger(__name__)

# Of one that is stored with its generation, too.
MESSAGE_LENGTH, PARAM_LENGTH = 4000, 200
# OpenAI's clients ask again by themselves after some errors, for which it is of no use.
NO_RETRY = {"x-should-retry": "false"}


class Expired(APIException):
    """HTTP 410."""

    status_code = 410
    default_code = "expired"
    default_detail = "This video is no longer kept."


def error_body(status: int, code: str, message: str, param: str | None = None) -> dict[str, Any]:
    """The body of an error. `type` is OpenAI's: whose fault it is.

    A message can quote the client's words, which have no end, and JSON's escapes can spell half a character, which
    UTF-8 cannot.
    """
    message, param = _encodable(message, MESSAGE_LENGTH), param and _encodable(param, PARAM_LENGTH)
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"code": code, "message": message, "type": kind, "param": param}}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's hook for whatever a view raises."""
    if isinstance(error, InvalidRequest):
        return Response(error_body(400, error.code, error.message, error.field), 400)
    if isinstance(error, Refused):
        status = 429 if isinstance(error, TooManyRequests) else 503
        headers = {"Retry-After": str(error.retry_after)}
        return Response(error_body(status, error.code, error.message), status, headers=headers)
    if isinstance(error, OUTAGES):
        logger.exception("the database does not answer", exc_info=error)
        message = "The database does not answer; try again in a moment."
        return Response(error_body(503, "database_unavailable", message), 503, headers={"Retry-After": "10"})
    if isinstance(error, Conflict):
        body = error_body(409, error.code, error.message, error.field)
        return Response(body, 409, headers=NO_RETRY)
    if isinstance(error, VideoAPIError):
        logger.error("%s", error.message, exc_info=error)
        return Response(error_body(500, error.code, error.message), 500)
    if isinstance(error, ValidationError):
        param, detail = _first_detail(error.detail)
        return Response(error_body(400, str(detail.code), str(detail), param), 400)
    response = drf_exception_handler(error, context)
    if response is None:
        logger.exception("the request failed", exc_info=error)
        return Response(error_body(500, "internal_error", "The server failed; its log has the details."), 500)
    if isinstance(error, Http404):
        response.data = error_body(404, "not_found", str(error) or "There is nothing at this address.")
    elif isinstance(error, NotAuthenticated):
        message = "An API key is needed: send 'Authorization: Bearer KEY' or 'x-api-key: KEY'."
        response.data = error_body(401, "not_authenticated", message)
    elif isinstance(error, APIException):
        response.data = error_body(error.status_code, str(error.get_codes()), str(error.detail))
    return response


def _encodable(text: str, length: int) -> str:
    short = text if len(text) <= length else f"{text[: length - 1]}…"
    return short.encode("utf-8", "backslashreplace").decode()


def _first_detail(detail: Any) -> tuple[str | None, ErrorDetail]:
    """The first message in DRF's nested details and the field that it is about."""
    param = None
    while isinstance(detail, (dict, list)):
        if isinstance(detail, dict):
            name, detail = next(iter(detail.items()))
            param = None if name == "non_field_errors" else str(name)
        else:
            detail = detail[0]
    return param, detail


def _json(status: int, code: str, message: str) -> JsonResponse:
    return JsonResponse(error_body(status, code, message), status=status)


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    if isinstance(exception, DisallowedHost):
        message = "This host name is not served here; the operator can add it to ALLOWED_HOSTS."
        return _json(400, "host_not_allowed", message)
    return _json(400, "bad_request", "The request is malformed.")


def permission_denied(request: HttpRequest, exception: Exception) -> JsonResponse:
    return _json(403, "forbidden", "This is not allowed.")


def page_not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    return _json(404, "not_found", "There is nothing at this address.")


def server_error(request: HttpRequest) -> JsonResponse:
    return _json(500, "internal_error", "The server failed; its log has the details.")
