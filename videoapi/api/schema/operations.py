"""The operations: what stands over the views' methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, PolymorphicProxySerializer, extend_schema

from videoapi.api.schema import bodies, examples
from videoapi.api.schema import parameters as of
from videoapi.api.schema.errors import ERRORS, errors
from videoapi.serializers import VideoRequestSerializer

Documented = Callable[[Any], Any]

VIDEOS, FILES, SERVER = "Videos", "Files", "Server"

create_video = extend_schema(
    operation_id="createVideo",
    summary="Make a video",
    description="Waits for the video, or for all `n` of them, and answers with it, or at once with `Prefer: "
    "respond-async`. A client that hangs up while it waits cancels its generation, unless it sent an "
    "`Idempotency-Key`.",
    tags=[VIDEOS],
    parameters=[
        of.MODEL_QUERY,
        of.PREFER,
        of.IDEMPOTENCY,
        of.LOCATION,
        of.FAILED_LOCATION,
        of.STOPPING_LOCATION,
        of.APPLIED,
        of.NO_RETRY,
    ],
    request=VideoRequestSerializer,
    examples=examples.REQUESTS,
    responses={
        200: OpenApiResponse(bodies.Video, "The video.", [examples.VIDEO_DONE]),
        202: OpenApiResponse(
            bodies.Job,
            "Accepted: with `Prefer: respond-async`, or after the longest time that this server lets a request wait.",
            [examples.JOB_ACCEPTED],
        ),
        **errors(404, 408, 409, 410, 411, 413, 415, 429),
    },
)
list_videos = extend_schema(
    operation_id="listVideos",
    summary="List the generations",
    description="The key's own, or everybody's for one that may operate. Any other parameter is a 400.",
    tags=[VIDEOS],
    parameters=[of.STATUS, *of.LISTING],
    responses=OpenApiResponse(bodies.JobList, "One page.", [examples.JOB_LIST]),
)
get_video = extend_schema(
    operation_id="getVideo",
    summary="How far a generation is",
    description="And its video, once it is completed.",
    tags=[VIDEOS],
    parameters=[of.ID, of.RESPONSE_FORMAT],
    responses={200: OpenApiResponse(bodies.WholeJob, "The generation.", [examples.JOB_RUNNING]), **errors(404)},
)
cancel_video = extend_schema(
    operation_id="cancelVideo",
    summary="Cancel a generation",
    description="At once while it is queued, at its next step while it runs. What has ended stays as it is.",
    tags=[VIDEOS],
    parameters=[of.ID],
    responses={
        200: OpenApiResponse(bodies.Job, "It has ended, which may be otherwise than by this."),
        202: OpenApiResponse(bodies.Job, "It still runs, to its next step."),
        **errors(404),
    },
)
stream_events = extend_schema(
    operation_id="streamVideoEvents",
    summary="Follow a generation",
    description="Server-sent events. Every status and phase is a `progress` with an `id`, those before too; then comes "
    "each step, without one, at most two a second. The last event is called `completed`, `failed`, `cancelled` or "
    "`expired`. A client that comes back with `Last-Event-ID` gets what it has missed.",
    tags=[VIDEOS],
    parameters=[of.ID, of.LAST_EVENT],
    responses={
        (200, "text/event-stream"): OpenApiResponse(
            bodies.Event, "The events, to the end; the schema is that of one, by its fields.", [examples.EVENT]
        ),
        204: OpenApiResponse(None, "There are none after `Last-Event-ID`, nor will there be."),
        **errors(404, 429),
    },
)


def file_of(media_type: str) -> dict[str, str]:
    """The bytes of a file, in the words of OpenAPI 3.1."""
    return {"type": "string", "contentMediaType": media_type}


get_preview = extend_schema(
    operation_id="getPreview",
    summary="How a running generation looks now",
    description="There is none before its first step, after its end, and for a model that offers none.",
    tags=[FILES],
    parameters=[of.ID],
    responses={(200, "image/jpeg"): OpenApiResponse(file_of("image/jpeg"), "A picture."), **errors(404)},
)


def _get_file(operation: str, what: str, suffix: str, media_type: str) -> Documented:
    name = OpenApiParameter("name", str, of.PATH, description=f"The generation's id and `{suffix}`.")
    return extend_schema(
        operation_id=operation,
        summary=f"Get {what}",
        description="With a key, or by the signed address in an answer to a key.",
        tags=[FILES],
        parameters=[name, *of.PARTS, *of.FILE_HEADERS],
        responses={
            (200, media_type): OpenApiResponse(file_of(media_type), "The file."),
            (206, media_type): OpenApiResponse(file_of(media_type), "The bytes that `Range` names."),
            304: OpenApiResponse(None, "The file is the one that `If-None-Match` names."),
            **errors(404, 410, 412, 416),
        },
    )


get_video_file = _get_file("getVideoFile", "a video", ".mp4", "video/mp4")
get_thumbnail = _get_file("getThumbnail", "a picture of a video", ".jpg", "image/jpeg")

get_health = extend_schema(
    operation_id="getHealth",
    summary="Is the server alive",
    description="It answers as long as the process does, whoever asks.",
    tags=[SERVER],
    responses=OpenApiResponse(bodies.Health, "It is."),
)
get_readiness = extend_schema(
    operation_id="getReadiness",
    summary="Can the server work",
    description="The database answers, a worker lives and a model is installed. A model that is unavailable is named, "
    "but the server is ready for the others. Whoever may not read gets the `status` alone.",
    tags=[SERVER],
    responses={
        200: OpenApiResponse(bodies.Readiness, "It can."),
        503: OpenApiResponse(
            PolymorphicProxySerializer("NotReady", [bodies.Readiness, bodies.Error], resource_type_field_name=None),
            f"It cannot, with the reasons; or, with a key: {ERRORS[503]}",
        ),
    },
)
get_schema = extend_schema(
    operation_id="getSchema",
    summary="This schema",
    description="OpenAPI 3.1.",
    tags=[SERVER],
    parameters=[OpenApiParameter("format", str, of.QUERY, enum=("json", "yaml"), default="json", description="Of it.")],
    responses={
        (200, "application/json"): OpenApiResponse(OpenApiTypes.OBJECT, "The schema."),
        (200, "application/yaml"): OpenApiResponse(OpenApiTypes.STR, "The schema."),
    },
)
get_docs = extend_schema(
    operation_id="getDocs",
    summary="The page that shows this schema",
    description="Swagger UI, from which requests can be sent.",
    tags=[SERVER],
    responses={(200, "text/html"): OpenApiResponse(OpenApiTypes.STR, "The page.")},
)
get_studio = extend_schema(
    operation_id="getStudio",
    summary="The page that makes and shows videos",
    description="Its form is built from what `GET /v1/models/{name}` says.",
    tags=[SERVER],
    responses={(200, "text/html"): OpenApiResponse(OpenApiTypes.STR, "The page.")},
)
get_metrics = extend_schema(
    operation_id="getMetrics",
    summary="Figures for Prometheus",
    description="Of the generations, the queue, the workers, the models and this web server's answers.",
    tags=[SERVER],
    responses={
        (200, "text/plain"): OpenApiResponse(OpenApiTypes.STR, "Prometheus' text format."),
        (200, "application/openmetrics-text"): OpenApiResponse(
            OpenApiTypes.STR, "OpenMetrics, where `Accept` names it."
        ),
    },
)
