"""What every operation has: the errors of any route, their headers, and links."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import build_mock_request
from rest_framework.request import Request

from videoapi.api.schema import extensions  # noqa: F401  (registers them)
from videoapi.api.schema.errors import errors
from videoapi.api.schema.links import LINKS

RETRY_AFTER = {"schema": {"type": "integer", "minimum": 0}, "description": "Seconds until it is worth trying again."}
HEADERS = {
    "401": {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "`Bearer`", "required": True}},
    "429": {"Retry-After": {**RETRY_AFTER, "required": True}},
    "503": {"Retry-After": RETRY_AFTER},
}


def build_request(method: str, path: str, view: Any, original: Request | None, **more: Any) -> Request:
    """The request that views are asked about: those of files look at its query to tell who may see them."""
    view.request = HttpRequest()
    request: Request = build_mock_request(method, path, view, original, **more)
    return request


class Schema(AutoSchema):
    """drf-spectacular's, for views whose errors are all alike."""

    def get_operation(self, *args: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args)
        if operation is None:
            return None
        responses = operation["responses"]
        for number, error in errors(*self._common_errors()).items():
            responses.setdefault(str(number), self._get_response_for_code(error, str(number)))
        for status, headers in HEADERS.items():
            if status in responses:
                responses[status].setdefault("headers", {}).update(headers)
        for status, links in LINKS.get(operation["operationId"], {}).items():
            responses[status]["links"] = links
        operation["responses"] = dict(sorted(responses.items()))
        return operation

    def get_tags(self) -> list[str]:
        return []

    def _common_errors(self) -> list[int]:
        """Those that come from before the view: the host, the key, the database that knows the key, a fault."""
        keyed = [401, 503] if self.view.get_authenticators() else []
        scoped = [403] if self.view.get_permissions() else []
        return [400, *keyed, *scoped, 500]


def without_marks(result: Any, **more: Any) -> Any:
    """The schema without the marks by which drf-spectacular would make components of choices."""
    if isinstance(result, dict):
        return {name: without_marks(value) for name, value in result.items() if name != "x-spec-enum-id"}
    return [without_marks(value) for value in result] if isinstance(result, list) else result
