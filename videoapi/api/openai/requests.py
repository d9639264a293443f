"""From what OpenAI's clients send to the fields of `POST /video`."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from videoapi.api.files import open_result
from videoapi.api.openai.decoding import place_to_decode
from videoapi.conf import get_conf
from videoapi.encoding import ClipError, read_last_frame
from videoapi.engine.registry import get_catalog
from videoapi.engine.repeat import whole_request
from videoapi.exceptions import InvalidRequest, NotReady
from videoapi.inputs import InputLimits, read_bytes
from videoapi.models import Generation, State
from videoapi.types import Mode, ModelSpec

FILES = ("start_image", "end_image", "input_reference")
# What of an earlier request does not go with a field of the new one. Another model has other steps and options.
INSTEAD = {
    "seconds": ("num_frames",),
    "size": ("width", "height"),
    "model": ("step", "cfg_scale", "params", "negative_prompt"),
}
NO_FILES = "Files are not kept here by an id; send the file itself, or 'image_url'."
MADE_FROM_IMAGES = "Was made from an image or a clip, which is not kept; send it anew to POST /v1/videos."


def read_create(data: Any) -> Any:
    """The request of `POST /v1/videos`, which may hold every field of `POST /video`. Raises InvalidRequest."""
    if not isinstance(data, dict):
        return data  # the serializer says that it must be an object
    reference = data.get("input_reference")
    return {**data, "input_reference": _read_reference(reference)} if isinstance(reference, dict) else data


def read_remix(generation: Generation, data: Any) -> dict[str, Any]:
    """The same request with another prompt, and with the video itself where its model takes clips.

    Raises InvalidRequest and NotReady.
    """
    if not isinstance(data, dict) or set(data) != {"prompt"}:
        raise InvalidRequest("prompt", "A remix takes a prompt and nothing else.")
    again, has_files = _without_files(whole_request(require_completed(generation)))
    again |= data
    if "clip" in _find_spec(generation.model).modes:
        return again | {"input_reference": _file_of(generation)}
    if has_files:
        raise InvalidRequest("video_id", MADE_FROM_IMAGES)
    return again


def read_edit(data: Any, generations: QuerySet[Generation]) -> tuple[Any, Generation | None]:
    """A request with the clip `video`, and the generation that it is of. Raises InvalidRequest and NotReady."""
    again, source = _read_with_video(data, generations, ("input_reference",))
    _require_mode(again, "clip", "edit a video")
    video = data["video"] if source is None else _file_of(source)
    return again | {"input_reference": video}, source


def read_extension(data: Any, generations: QuerySet[Generation]) -> tuple[Any, Generation | None]:
    """A request that begins with the last frame of `video`, and the generation that it is of.

    Raises InvalidRequest, NotReady and TooManyRequests.
    """
    again, source = _read_with_video(data, generations, ("start_image", "input_reference"))
    _require_mode(again, "first_frame", "go on from a video")
    video, conf = data["video"] if source is None else _file_of(source), get_conf()
    limits = InputLimits(
        max_bytes=conf.max_clip_bytes,
        max_pixels=conf.max_image_pixels,
        may_fetch=conf.fetch,
        fetch_seconds=conf.fetch_seconds,
        allow_private=conf.fetch_private,
    )
    clip = read_bytes("video", video, limits)
    try:
        with place_to_decode():
            frame = read_last_frame(clip, max_pixels=conf.max_image_pixels)
    except ClipError as error:
        raise InvalidRequest("video", str(error)) from error
    picture = io.BytesIO()
    frame.save(picture, format="PNG", compress_level=1)
    return again | {"start_image": base64.b64encode(picture.getvalue()).decode()}, source


def require_completed(generation: Generation) -> Generation:
    """Raises NotReady for one that has no video."""
    if generation.state != State.COMPLETED:
        raise NotReady("video", f"Video {generation.pk} is {generation.state}; it must be completed, and kept.")
    return generation


def _read_with_video(
    data: Any, generations: QuerySet[Generation], taken: Sequence[str]
) -> tuple[dict[str, Any], Generation | None]:
    """The request without its `video`, and the generation that this is of, if it is no file.

    The video stands for the fields in `taken`.
    """
    video = data.get("video") if isinstance(data, dict) else None
    if not isinstance(video, str) and not (isinstance(video, dict) and set(video) == {"id"}):
        raise InvalidRequest("video", "Must be a file, or an object with the 'id' of a video.")
    given = {name: value for name, value in read_create(data).items() if name != "video" and value is not None}
    for name in taken:
        if name in given:
            raise InvalidRequest(name, "'video' is in its place; send one of them.")
    if isinstance(video, str):
        return given, None
    source = _find(video["id"], generations)
    again, _ = _without_files(whole_request(require_completed(source)))
    for name in ("prompt", "seed", *chain.from_iterable(INSTEAD[name] for name in given if name in INSTEAD)):
        again.pop(name, None)
    return again | given, source


def _without_files(request: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The request but for its images and its clip, and whether it had any."""
    rest = {name: value for name, value in request.items() if name not in FILES}
    return rest, len(rest) < len(request)


def _find(pk: Any, generations: QuerySet[Generation]) -> Generation:
    try:
        return generations.get(pk=UUID(pk))
    except (ValueError, TypeError, AttributeError, Generation.DoesNotExist) as error:
        raise InvalidRequest("video", "There is no video of that id.") from error


def _file_of(generation: Generation) -> str:
    limit = get_conf().max_clip_bytes
    if generation.file_size > limit:
        raise InvalidRequest("video", f"The video is larger than {limit} bytes, which is too large for a clip.")
    with open_result(generation, "video") as file:
        return base64.b64encode(file.read()).decode()


def _require_mode(data: Mapping[str, Any], mode: Mode, what: str) -> None:
    name = data.get("model")
    if not isinstance(name, str):
        return  # the serializer says so
    spec = _find_spec(name)
    if mode not in spec.modes:
        takes = ", ".join(sorted(spec.modes))
        raise InvalidRequest("video", f"Model '{name}' cannot {what}: it has no mode '{mode}'. It takes: {takes}.")


def _find_spec(model: str) -> ModelSpec:
    return get_catalog().find(model).spec


def _read_reference(reference: Mapping[str, Any]) -> Any:
    if "file_id" in reference:
        raise InvalidRequest("input_reference", NO_FILES)
    if set(reference) != {"image_url"}:
        raise InvalidRequest("input_reference", "Must be a file, a string, or an object with 'image_url'.")
    return reference["image_url"]
