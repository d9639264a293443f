"""The operations at OpenAI's addresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiRequest, OpenApiResponse, extend_schema

from videoapi.api.schema import examples, openai_bodies, openai_requests
from videoapi.api.schema import parameters as of
from videoapi.api.schema.errors import errors
from videoapi.api.schema.operations import Documented, file_of

OPENAI = "OpenAI's videos"
JSON, FORM = "application/json", "multipart/form-data"
VIDEO = OpenApiResponse(
    openai_bodies.OpenAIVideoStarted,
    "The job, which `GET /v1/videos/{id}` follows; of several videos the first one's.",
    [examples.OPENAI_VIDEO],
)


def _start(
    operation: str,
    summary: str,
    description: str,
    request: dict[str, Any],
    *parameters: OpenApiParameter,
    error: Sequence[int] = (404,),
) -> Documented:
    return extend_schema(
        operation_id=operation,
        summary=summary,
        description=description,
        tags=[OPENAI],
        parameters=[*parameters, of.IDEMPOTENCY, of.POLL_AFTER, of.NO_RETRY],
        request=request,
        responses={200: VIDEO, **errors(*error, 408, 409, 411, 413, 415, 429)},
    )


create_video = _start(
    "createOpenAIVideo",
    "Make a video, as OpenAI's clients ask for it",
    "Answers at once. A form has the same fields as the JSON, and the files themselves.",
    {
        JSON: OpenApiRequest(openai_requests.OpenAIVideoRequest, examples=[examples.OPENAI_REQUEST]),
        FORM: openai_requests.OpenAIVideoForm,
    },
    error=(),
)
edit_video = _start(
    "editOpenAIVideo",
    "Make a video of a video",
    "By a model that takes clips. Of a video of this server, its request is made again, but for what is sent.",
    {JSON: openai_requests.OpenAIEditRequest, FORM: openai_requests.OpenAIEditForm},
)
extend_video = _start(
    "extendOpenAIVideo",
    "Make what comes after a video",
    "From its last frame, by a model that takes a first frame. Of a video of this server, its request is made again, "
    "but for what is sent.",
    {JSON: openai_requests.OpenAIExtensionRequest, FORM: openai_requests.OpenAIExtensionForm},
)
remix_video = _start(
    "remixOpenAIVideo",
    "Make a video again with another prompt",
    "With the same seed and everything else; of the video itself where its model takes clips. What was made from an "
    "image or a clip by another model is a 400, for these are not kept.",
    {JSON: openai_requests.OpenAIRemixRequest, FORM: openai_requests.OpenAIRemixRequest},
    of.ID,
)
list_videos = extend_schema(
    operation_id="listOpenAIVideos",
    summary="List the videos, as OpenAI's clients know them",
    description="The same as `GET /video`, which knows more states. Any other parameter is a 400.",
    tags=[OPENAI],
    parameters=[of.OPENAI_STATUS, *of.LISTING],
    responses=OpenApiResponse(openai_bodies.OpenAIVideoList, "One page.", [examples.OPENAI_LIST]),
)
get_video = extend_schema(
    operation_id="retrieveOpenAIVideo",
    summary="How far a video is",
    description="One that has failed is an answer too, with its `error`.",
    tags=[OPENAI],
    parameters=[of.ID, of.POLL_AFTER],
    responses={
        200: OpenApiResponse(openai_bodies.OpenAIVideo, "The video.", [examples.OPENAI_VIDEO_DONE]),
        **errors(404),
    },
)
delete_video = extend_schema(
    operation_id="deleteOpenAIVideo",
    summary="Delete a video",
    description="Its generation, which is cancelled if it has not ended, and its files, at every address.",
    tags=[OPENAI],
    parameters=[of.ID],
    responses={200: OpenApiResponse(openai_bodies.OpenAIVideoDeleted, "It is gone."), **errors(404)},
)
get_content = extend_schema(
    operation_id="getOpenAIVideoContent",
    summary="Get the video, or pictures of it",
    description="A spritesheet has 16 frames of the whole video, or as many as there are, in rows; it has no parts, "
    "and no `ETag`.",
    tags=[OPENAI],
    parameters=[of.ID, of.VARIANT, *of.PARTS, *of.CONTENT_HEADERS],
    responses={
        (200, "video/mp4"): OpenApiResponse(file_of("video/mp4"), "The file."),
        (200, "image/jpeg"): OpenApiResponse(file_of("image/jpeg"), "The thumbnail, or the spritesheet."),
        (206, "video/mp4"): OpenApiResponse(file_of("video/mp4"), "The bytes that `Range` names."),
        (206, "image/jpeg"): OpenApiResponse(file_of("image/jpeg"), "The bytes that `Range` names."),
        304: OpenApiResponse(None, "The file is the one that `If-None-Match` names."),
        **errors(404, 410, 412, 416, 429),
    },
)
