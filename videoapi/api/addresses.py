"""What holds for every address: a slash at its end as LocalAI takes it, and HEAD."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
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


def drop_body_of_head(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: the answer to HEAD has the headers of GET, its length too, and no body (RFC 9110, 9.3.2).

    The web server would leave it out as well, after it was read, and complain.
    """

    def respond(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if request.method == "HEAD":
            if isinstance(response, StreamingHttpResponse):
                response.streaming_content = ()
            elif isinstance(response, HttpResponse):
                response.content = b""
        return response

    return respond
