"""The request of `POST /video`: LocalAI's names in, diffusers' names out. The only place that translates."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from PIL.Image import Image
from rest_framework import serializers

from videoapi import resolution
from videoapi.catalog import Entry
from videoapi.conf import Conf, get_conf
from videoapi.encoding import ClipError, VideoFormat, check_clip, find_container
from videoapi.engine.registry import get_catalog
from videoapi.exceptions import InvalidRequest, suggest
from videoapi.fields import (
    MAX_INTEGER,
    DataField,
    ObjectField,
    SecondsField,
    StrictCharField,
    StrictFloatField,
    StrictIntegerField,
)
from videoapi.inputs import InputLimits, decode_image, is_cut, read_bytes
from videoapi.types import GenerationRequest, ModelSpec

MIN_PRIORITY = -100
MAX_VIDEOS = 4
RESPONSE_FORMATS = ("url", "b64_json")
# What LocalAI's clients in Go send for a field that they leave out, where it can be no value of the field.
ZEROS: Mapping[str, object] = {
    **dict.fromkeys(("start_image", "end_image", "response_format"), ""),
    **dict.fromkeys(("width", "height", "num_frames", "fps", "step"), 0),
}
# What the same clients send for these two is a value of theirs.
KEPT_ZEROS = ("seed", "cfg_scale")
NEITHER = "Neither a whole PNG, JPEG or WEBP image nor an mp4, mov, webm or mkv clip."


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A request that is ready to be submitted."""

    model: str
    request: GenerationRequest
    num_frames: int
    """What the client asked for; `request.num_frames` is what the model makes."""
    clip: bytes | None
    """The client's file. `request.clip` is made of it in the model's process."""
    inputs: Mapping[str, Any]
    """What is known of each file that the client sent, by its field."""
    warnings: tuple[str, ...]
    priority: int
    webhook_url: str


class VideoRequestSerializer(serializers.Serializer[Any]):
    """Checks types and ranges that hold for every model; `resolve` checks the rest against the chosen one."""

    model = StrictCharField(max_length=200, help_text="A name from `GET /v1/models`.")
    prompt = StrictCharField(help_text="What the video shows.")
    negative_prompt = StrictCharField(
        required=False, allow_blank=True, help_text="What it must not show; needs `cfg_scale` over 1."
    )
    start_image = DataField(
        required=False, help_text="First frame: base64, a data URI or an http(s) URL of a PNG, JPEG or WebP."
    )
    end_image = DataField(required=False, help_text="Last frame, likewise; needs a start image.")
    input_reference = DataField(
        required=False, help_text="Another name for `start_image`; also a clip, for a model that takes one."
    )
    width = StrictIntegerField(required=False, min_value=1, help_text="Pixels.")
    height = StrictIntegerField(required=False, min_value=1, help_text="Pixels.")
    size = StrictCharField(required=False, max_length=20, help_text="In place of `width` and `height`: `512x512`.")
    num_frames = StrictIntegerField(required=False, min_value=1, help_text="Exactly this many.")
    fps = StrictIntegerField(required=False, min_value=1, help_text="Frames per second.")
    seconds = SecondsField(
        required=False, help_text="Sets the number of frames, or the rate when `num_frames` is sent too."
    )
    seed = StrictIntegerField(
        required=False,
        min_value=0,
        max_value=MAX_INTEGER,
        help_text="The same one gives the same video; random by default.",
    )
    n = StrictIntegerField(
        required=False,
        default=1,
        min_value=1,
        max_value=MAX_VIDEOS,
        help_text="How many videos, each with the next seed.",
    )
    cfg_scale = StrictFloatField(required=False, min_value=0, help_text="Guidance scale.")
    step = StrictIntegerField(required=False, min_value=1, help_text="Denoising steps.")
    webhook_url = StrictCharField(
        required=False, max_length=2048, help_text="Where its events are sent; by default the key's address."
    )
    params = ObjectField(required=False, help_text="The model's own options; a wrong one is a 400 that names them.")
    priority = StrictIntegerField(required=False, default=0, min_value=MIN_PRIORITY, help_text="Higher comes first.")
    response_format = serializers.ChoiceField(
        choices=RESPONSE_FORMATS,
        default="url",
        help_text="`b64_json` for the file itself, in base64.",
        error_messages={"invalid_choice": f"Must be one of: {', '.join(RESPONSE_FORMATS)}."},
    )

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in self.fields:
                    message = f"Unknown field.{suggest(str(key), self.fields)}"
                    raise serializers.ValidationError({str(key): message}, code="unknown_field")
            # False is no 0, but 0.0 is: JSON has one kind of numbers.
            self.zeros = [key for key, zero in ZEROS.items() if data.get(key) == zero and data[key] is not False]
            # LocalAI's clients send null for a field that they leave out.
            data = {key: value for key, value in data.items() if value is not None and key not in self.zeros}
        return super().to_internal_value(data)

    @property
    def wants_base64(self) -> bool:
        """The answer is to hold the file itself."""
        return bool(self.validated_data["response_format"] == "b64_json")

    def resolve(self) -> Order:
        """Every field decided: the request, then the model file, then the model's spec, then 512x512.

        Raises InvalidRequest that names the field.
        """
        data: dict[str, Any] = self.validated_data
        entry = get_catalog().find(data["model"])
        order = _resolve(data, entry, get_conf())
        if self.zeros:
            warning = f"Zero or empty, and so taken as left out: {', '.join(self.zeros)}."
            if kept := [name for name in KEPT_ZEROS if data.get(name) == 0]:
                warning += f" Not so {' and '.join(kept)}, of which 0 is a value."
            order = replace(order, warnings=(warning, *order.warnings))
        return order


def _resolve(data: dict[str, Any], entry: Entry, conf: Conf) -> Order:
    spec, warnings = entry.spec, list[str]()
    resolution.check_supported(data, spec)
    resolution.check_mode(data, spec)
    _check_texts(data, spec)
    width, height = resolution.resolve_size(data, spec)
    num_frames, fps = resolution.resolve_length(data, spec)
    if data.get("seconds", Fraction(num_frames, fps)) != Fraction(num_frames, fps):
        warnings.append(f"seconds is {num_frames / fps:g}: {num_frames} frames at {fps} fps.")
    steps = resolution.resolve_number(data, "step", spec.defaults.num_inference_steps, spec.limits.max_steps)
    guidance = resolution.resolve_number(
        data, "cfg_scale", spec.defaults.guidance_scale, spec.limits.max_guidance_scale
    )
    if data.get("negative_prompt") and guidance <= 1:
        warnings.append(f"negative_prompt has no effect with cfg_scale {guidance:g}; it needs more than 1.")
    params = resolution.resolve_params(data, spec)
    # 32 bits, so that a client in JavaScript can send it back unchanged.
    seed = data.get("seed", secrets.randbits(32))
    if seed > MAX_INTEGER - data["n"] + 1:
        raise InvalidRequest("seed", f"The seeds of {data['n']} videos would go over {MAX_INTEGER}.")
    inputs = _Inputs(data, spec, conf, VideoFormat(width=width, height=height, num_frames=num_frames, fps=fps))
    reference, clip = inputs.read_reference()
    request = GenerationRequest(
        prompt=data["prompt"],
        negative_prompt=data.get("negative_prompt", spec.defaults.negative_prompt),
        width=width,
        height=height,
        num_frames=spec.frame_grid.next_up(num_frames),
        fps=fps,
        num_inference_steps=int(steps),
        guidance_scale=guidance,
        seed=seed,
        start_image=reference or inputs.read_image("start_image"),
        end_image=inputs.read_image("end_image"),
        params=params,
    )
    return Order(
        model=spec.name,
        request=request,
        num_frames=num_frames,
        clip=clip,
        inputs=inputs.known,
        warnings=(*warnings, *inputs.warnings),
        priority=int(resolution.resolve_number(data, "priority", 0, conf.max_priority)),
        webhook_url=data.get("webhook_url", ""),
    )


def _check_texts(data: dict[str, Any], spec: ModelSpec) -> None:
    limit = spec.limits.max_prompt_length
    for field in ("prompt", "negative_prompt"):
        if len(data.get(field, "")) > limit:
            raise InvalidRequest(field, f"{len(data[field])} characters; model '{spec.name}' takes at most {limit}.")


class _Inputs:
    """Reads the request's images and checks its clip, and notes what the video has no room for."""

    def __init__(self, data: dict[str, Any], spec: ModelSpec, conf: Conf, video: VideoFormat) -> None:
        self._data = data
        self._spec = spec
        self._conf = conf
        self._video = video
        self._limits = InputLimits(
            max_bytes=conf.max_image_bytes,
            max_pixels=conf.max_image_pixels,
            may_fetch=conf.fetch,
            fetch_seconds=conf.fetch_seconds,
            allow_private=conf.fetch_private,
        )
        self.warnings: list[str] = []
        self.known: dict[str, Any] = {}

    def read_image(self, field: str) -> Image | None:
        if field not in self._data:
            return None
        data = read_bytes(field, self._data[field], self._limits)
        if find_container(data):
            hint = " A clip goes into 'input_reference'." if "clip" in self._spec.modes else ""
            raise InvalidRequest(field, f"This is a video, not an image.{hint}")
        return self._decode(field, data)

    def read_reference(self) -> tuple[Image | None, bytes | None]:
        """The start image or the clip, by what the bytes are and not by any name."""
        field = "input_reference"
        if field not in self._data:
            return None, None
        takes_clips, limits = "clip" in self._spec.modes, self._limits
        if takes_clips:
            limits = replace(limits, max_bytes=max(limits.max_bytes, self._conf.max_clip_bytes))
        data = read_bytes(field, self._data[field], limits)
        is_clip = find_container(data) is not None
        resolution.check_reference(self._data, self._spec, is_clip=is_clip)
        if is_clip:
            self._check_clip(field, data)
            return None, data
        words = {"otherwise": NEITHER} if takes_clips else {}
        return self._decode(field, data, **words), None

    def _check_clip(self, field: str, data: bytes) -> None:
        video, conf = self._video, self._conf
        if len(data) > conf.max_clip_bytes:
            raise InvalidRequest(field, f"The clip is larger than {conf.max_clip_bytes} bytes.")
        try:
            clip = check_clip(data, num_frames=video.num_frames, fps=video.fps, max_pixels=conf.max_image_pixels)
        except ClipError as error:
            raise InvalidRequest(field, str(error)) from error
        self._note(field, data, (clip.width, clip.height))
        if clip.num_frames < video.num_frames:
            self.warnings.append(
                f"{field} is shorter than the video: it has {clip.num_frames} of its {video.num_frames} frames."
            )
        if clip.num_frames > video.num_frames:
            self.warnings.append(
                f"{field} is longer than the video: only its first {video.num_frames / video.fps:g} seconds are used."
            )

    def _decode(self, field: str, data: bytes, **words: str) -> Image:
        picture = decode_image(field, data, self._limits, self._video.width, self._video.height, **words)
        self._note(field, data, picture.size)
        if picture.is_animated:
            self.warnings.append(f"{field} is animated: its first frame is used.")
        return picture.image

    def _note(self, field: str, data: bytes, size: tuple[int, int]) -> None:
        """What is known of the file, and whether something is cut off."""
        digest = hashlib.sha256(data).hexdigest()
        self.known[field] = {"sha256": digest, "bytes": len(data), "width": size[0], "height": size[1]}
        width, height = self._video.width, self._video.height
        if is_cut(size, (width, height)):
            self.warnings.append(f"{field} of {size[0]}x{size[1]} was cut at the middle to fit {width}x{height}.")
