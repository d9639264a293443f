"""The request of `POST /video`: LocalAI's names in, diffusers' names out. The only place that translates."""

from __future__ import annotations

import difflib
import secrets
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from PIL.Image import Image
from rest_framework import serializers

from videoapi import resolution
from videoapi.catalog import Entry
from videoapi.conf import Conf, get_conf
from videoapi.engine.registry import get_catalog
from videoapi.exceptions import InvalidRequest
from videoapi.fields import (
    MAX_INTEGER,
    ObjectField,
    SecondsField,
    StrictCharField,
    StrictFloatField,
    StrictIntegerField,
)
from videoapi.inputs import InputLimits, fit, read_image
from videoapi.types import GenerationRequest, ModelSpec

MIN_PRIORITY = -100
RESPONSE_FORMATS = ("url", "b64_json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A request that is ready to be submitted."""

    model: str
    request: GenerationRequest
    num_frames: int
    """What the client asked for; `request.num_frames` is what the model makes."""
    warnings: tuple[str, ...]
    priority: int


class VideoRequestSerializer(serializers.Serializer[Any]):
    """Checks types and ranges that hold for every model; `resolve` checks the rest against the chosen one."""

    model = StrictCharField(max_length=200)
    prompt = StrictCharField()
    negative_prompt = StrictCharField(required=False, allow_blank=True)
    start_image = StrictCharField(required=False)
    end_image = StrictCharField(required=False)
    input_reference = StrictCharField(required=False)
    width = StrictIntegerField(required=False, min_value=1)
    height = StrictIntegerField(required=False, min_value=1)
    size = StrictCharField(required=False)
    num_frames = StrictIntegerField(required=False, min_value=1)
    fps = StrictIntegerField(required=False, min_value=1)
    seconds = SecondsField(required=False)
    seed = StrictIntegerField(required=False, min_value=0, max_value=MAX_INTEGER)
    cfg_scale = StrictFloatField(required=False, min_value=0)
    step = StrictIntegerField(required=False, min_value=1)
    params = ObjectField(required=False)
    priority = StrictIntegerField(required=False, default=0, min_value=MIN_PRIORITY)
    response_format = serializers.ChoiceField(choices=RESPONSE_FORMATS, default="url")

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            for key in data:
                if key not in self.fields:
                    near = difflib.get_close_matches(str(key), self.fields, n=1)
                    hint = f" Did you mean '{near[0]}'?" if near else ""
                    raise serializers.ValidationError({str(key): f"Unknown field.{hint}"}, code="unknown_field")
            # LocalAI's clients send null for a field that they leave out.
            data = {key: value for key, value in data.items() if value is not None}
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
        return _resolve(data, entry, get_conf())


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
    images = _Images(width, height, conf, warnings)
    start = images.read(data, "start_image") or images.read(data, "input_reference")
    request = GenerationRequest(
        prompt=data["prompt"],
        negative_prompt=data.get("negative_prompt", spec.defaults.negative_prompt),
        width=width,
        height=height,
        num_frames=spec.frame_grid.next_up(num_frames),
        fps=fps,
        num_inference_steps=int(steps),
        guidance_scale=guidance,
        # 32 bits, so that a client in JavaScript can send it back unchanged.
        seed=data.get("seed", secrets.randbits(32)),
        start_image=start,
        end_image=images.read(data, "end_image"),
        params=params,
    )
    return Order(
        model=spec.name,
        request=request,
        num_frames=num_frames,
        warnings=tuple(warnings),
        priority=int(resolution.resolve_number(data, "priority", 0, conf.max_priority)),
    )


def _check_texts(data: dict[str, Any], spec: ModelSpec) -> None:
    limit = spec.limits.max_prompt_length
    for field in ("prompt", "negative_prompt"):
        if len(data.get(field, "")) > limit:
            raise InvalidRequest(field, f"{len(data[field])} characters; model '{spec.name}' takes at most {limit}.")


class _Images:
    """Reads the request's images at the video's size and notes what was cut off them."""

    def __init__(self, width: int, height: int, conf: Conf, warnings: list[str]) -> None:
        self._size = (width, height)
        self._warnings = warnings
        self._limits = InputLimits(
            max_bytes=conf.max_image_bytes, max_pixels=conf.max_image_pixels, allow_private=conf.fetch_private
        )

    def read(self, data: dict[str, Any], field: str) -> Image | None:
        if field not in data:
            return None
        original = read_image(field, data[field], self._limits)
        image, cut = fit(original, *self._size)
        if cut:
            self._warnings.append(
                f"{field} of {original.width}x{original.height} was cut at the middle to fit "
                f"{image.width}x{image.height}."
            )
        return image
