"""Parameters of requests, and headers of answers."""

from __future__ import annotations

from typing import Literal

from drf_spectacular.utils import OpenApiParameter

from videoapi.api.headers import IDEMPOTENCY_KEY, MAX_KEY_LENGTH
from videoapi.api.listing import DEFAULT_LIMIT, MAX_LIMIT, MODEL
from videoapi.api.openai.bodies import MAX_POLL, MIN_POLL, VARIANTS
from videoapi.api.openai.bodies import STATUSES as OPENAI_STATUSES
from videoapi.models import State
from videoapi.serializers import RESPONSE_FORMATS

Where = Literal["query", "path", "header"]

HEADER: Where = "header"
QUERY: Where = "query"
PATH: Where = "path"
MODEL_QUERY = OpenApiParameter(
    "model", str, QUERY, description="LocalAI's other place for the `model`; the body may have the same, or none."
)
MODEL_PATH = OpenApiParameter("name", str, PATH, description="A model's name or alias, as in `GET /v1/models`.")


ID = OpenApiParameter("id", {"type": "string", "format": "uuid"}, PATH, description="Of the generation.")


def _text(name: str, where: Where, description: str, **schema: object) -> OpenApiParameter:
    return OpenApiParameter(name, {"type": "string", **schema}, where, description=description)


PREFER = _text("Prefer", HEADER, "`respond-async`: answer at once with 202, and do not wait for the video.")
IDEMPOTENCY = _text(
    "Idempotency-Key",
    HEADER,
    "The same request sent again with the same key makes no second video.",
    minLength=1,
    maxLength=MAX_KEY_LENGTH,
    pattern=f"^{IDEMPOTENCY_KEY.pattern}$",
)
LAST_EVENT = _text("Last-Event-ID", HEADER, "The last `id` that was heard: the stream goes on after it.")
RANGE = _text("Range", HEADER, "`bytes=0-1023`: only those. Anything but one range is answered with the whole file.")
IF_RANGE = _text("If-Range", HEADER, "An `ETag`: `Range` counts only while the file is still that one.")
IF_MATCH = _text("If-Match", HEADER, "An `ETag`: 412 when the file is not that one.")
IF_NONE_MATCH = _text("If-None-Match", HEADER, "An `ETag`: 304 when the file is still that one.")
PARTS = [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH]

VARIANT = OpenApiParameter("variant", str, QUERY, enum=VARIANTS, default="video", description="Which file.")
RESPONSE_FORMAT = OpenApiParameter(
    "response_format", str, QUERY, enum=RESPONSE_FORMATS, default="url", description="As in `POST /video`."
)
STATUS = OpenApiParameter("status", str, QUERY, enum=State.values, description="Only those of this status.")
OPENAI_STATUS = OpenApiParameter(
    "status", str, QUERY, enum=tuple(OPENAI_STATUSES), description="Only those of this status, which is OpenAI's."
)
LISTING = [
    _text("model", QUERY, "Only those of this model, by its name or an alias.", pattern=f"^{MODEL.pattern}$"),
    OpenApiParameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
        QUERY,
        description="How many, at most.",
    ),
    OpenApiParameter(
        "after", {"type": "string", "format": "uuid"}, QUERY, description="Only those that follow this generation."
    ),
    OpenApiParameter(
        "order", str, QUERY, enum=("desc", "asc"), default="desc", description="By age: `desc` has the newest first."
    ),
]


def _answer(name: str, statuses: list[int], description: str, *, always: bool = False) -> OpenApiParameter:
    return OpenApiParameter(name, str, HEADER, required=always, description=description, response=statuses)


LOCATION = _answer("Location", [202], "The address of the generation: `GET` tells how far it is.", always=True)
NO_RETRY = _answer("x-should-retry", [409], "`false`: OpenAI's clients would ask again at once.", always=True)
FAILED_LOCATION = _answer("Location", [400, 500], "Where the generation is, once it was accepted.")
STOPPING_LOCATION = _answer("Location", [503], "Where the generation will be, when the server stops.")
POLL_AFTER = OpenApiParameter(
    "openai-poll-after-ms",
    {"type": "integer", "minimum": MIN_POLL, "maximum": MAX_POLL},
    HEADER,
    description="Milliseconds until it is worth asking again; none once it has ended.",
    response=[200],
)
APPLIED = _answer("Preference-Applied", [202], "`respond-async`, when `Prefer` had it.")
CONTENT_RANGE = _answer("Content-Range", [206, 416], "Which bytes these are, and of how many.", always=True)
FILE_HEADERS = [
    _answer("ETag", [200, 206, 304], "Names this file.", always=True),
    _answer("Accept-Ranges", [200, 206], "`bytes`", always=True),
    CONTENT_RANGE,
    _answer("Content-Disposition", [200], "A name for the file."),
]
CONTENT_HEADERS = [
    _answer("ETag", [200], "Names this file; a spritesheet has none."),
    _answer("ETag", [206, 304], "Names this file.", always=True),
    _answer("Accept-Ranges", [200], "`bytes`, but of a spritesheet."),
    _answer("Accept-Ranges", [206], "`bytes`", always=True),
    CONTENT_RANGE,
    _answer(
        "x-should-retry", [404], "`false` while there is no content yet: OpenAI's clients would ask again at once."
    ),
]
