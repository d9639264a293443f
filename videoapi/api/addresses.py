"""Addresses as LocalAI takes them: with a slash at their end or without."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.urls import is_valid_path


def drop_slash(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: where there is nothing at an address with a slash at its end, what is at the one without.

    A redirect would lose the body of a POST.
    """

    def respond(request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        if path.endswith("/") and not is_valid_path(path) and is_valid_path(path[:-1]):
            request.path_info, request.path = path[:-1], request.path[:-1]
        return get_response(request)

    return respond
