"""The errors in the schema: one shape, and a sentence for each status."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiResponse

from videoapi.api.schema.bodies import Error

ERRORS = {
    400: "The request is wrong; `param` names the field or header. Or the server does not serve the `Host`.",
    401: "A key is needed, or the one that was sent is not valid.",
    403: "The key may not do this; the message says what it lacks. Or, of a POST or DELETE without a key, the "
    "`Origin` is another site.",
    404: "There is nothing at this address for this key.",
    408: "The body does not come in time.",
    409: "The `Idempotency-Key` was used for another request, or the video that this one is to be made of is not "
    "completed, or no longer kept.",
    410: "The video is no longer kept.",
    411: "The body comes in chunks, without a `Content-Length`.",
    412: "The file is not the one that `If-Match` names.",
    413: "The body is too large.",
    415: "The body is not plain JSON in UTF-8, nor a form where one is taken.",
    416: "The file has none of the bytes that `Range` names.",
    429: "Too many requests wait, or a limit of the key is reached.",
    500: "The server has failed, or the model: a generation that has failed or was cancelled is never a 200.",
    503: "The database does not answer, the server stops, or no worker or engine serves the model now.",
}


def errors(*statuses: int) -> dict[int, OpenApiResponse]:
    """The answers of those statuses."""
    return {status: OpenApiResponse(Error, ERRORS[status]) for status in statuses}
