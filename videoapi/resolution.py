"""From what a client sent and a model's spec to sizes, lengths and numbers. Raises InvalidRequest, changes nothing
in silence."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from videoapi.exceptions import InvalidRequest, suggest
from videoapi.types import Mode, ModelSpec

Data = Mapping[str, Any]

MESSAGE_LENGTH = 300
TWICE = "'start_image' is the same thing; send one of them."
NO_END = "A clip in input_reference takes no end image."
SIZE = re.compile(r"([1-9]\d{0,5})x([1-9]\d{0,5})", re.ASCII)


def check_supported(data: Data, spec: ModelSpec) -> None:
    """Refuse a field that the model has no use for; an empty text asks for nothing."""
    for field in sorted(spec.unsupported):
        if data.get(field, "") != "":
            raise InvalidRequest(field, f"Model '{spec.name}' does not take '{field}'.")


def check_mode(data: Data, spec: ModelSpec) -> None:
    """Refuse images that the model cannot honour, and text alone where it needs more, before anything is fetched.

    Where a model takes clips, `check_reference` goes on.
    """
    if "input_reference" in data and "clip" in spec.modes:
        _check_beside_reference(data, spec)
        return
    if "input_reference" in data and "start_image" in data:
        raise InvalidRequest("input_reference", TWICE)
    start = next((field for field in ("start_image", "input_reference") if field in data), None)
    if "end_image" in data and start is None:
        raise InvalidRequest("end_image", "An end image needs a start image.")
    mode: Mode = "first_and_last_frame" if "end_image" in data else "first_frame" if start else "text"
    if mode in spec.modes:
        return
    if mode == "text" and "clip" in spec.modes:
        needed = "a clip or an image" if spec.modes & {"first_frame", "first_and_last_frame"} else "a clip"
        raise InvalidRequest("input_reference", f"Model '{spec.name}' needs {needed} in input_reference.")
    if mode == "text":
        raise InvalidRequest("start_image", f"Model '{spec.name}' needs a start image. It takes: {_takes(spec)}.")
    raise _unusable(
        "end_image" if "end_image" in data and "first_frame" in spec.modes else start or "start_image", spec
    )


def check_reference(data: Data, spec: ModelSpec, *, is_clip: bool) -> None:
    """Refuse what does not go with the `input_reference`, once it is known to be a clip or an image."""
    if is_clip and "clip" not in spec.modes:
        raise InvalidRequest(
            "input_reference", f"This is a video; model '{spec.name}' takes no clip. It takes: {_takes(spec)}."
        )
    if is_clip and "end_image" in data:
        raise InvalidRequest("end_image", NO_END)
    if is_clip:
        return
    if "start_image" in data:
        raise InvalidRequest("input_reference", TWICE)
    mode: Mode = "first_and_last_frame" if "end_image" in data else "first_frame"
    if mode not in spec.modes:
        raise InvalidRequest(
            "input_reference", f"This is an image; model '{spec.name}' cannot use it. It takes: {_takes(spec)}."
        )


def _check_beside_reference(data: Data, spec: ModelSpec) -> None:
    if "start_image" in data and "end_image" in data:
        raise InvalidRequest("end_image", NO_END)
    for field, mode in (("start_image", "first_frame"), ("end_image", "first_and_last_frame")):
        if field in data and mode not in spec.modes:
            raise _unusable(field, spec)


def _unusable(field: str, spec: ModelSpec) -> InvalidRequest:
    return InvalidRequest(field, f"Model '{spec.name}' cannot use it. It takes: {_takes(spec)}.")


def _takes(spec: ModelSpec) -> str:
    return ", ".join(sorted(spec.modes))


def resolve_size(data: Data, spec: ModelSpec) -> tuple[int, int]:
    """Width and height in pixels, on the model's multiple and within its limits."""
    sides = {"width": data.get("width"), "height": data.get("height")}
    if "size" in data:
        match = SIZE.fullmatch(data["size"])
        if match is None:
            raise InvalidRequest("size", f"'{data['size']}' is not WIDTHxHEIGHT, such as 512x512.")
        for side, text in zip(sides, match.groups(), strict=True):
            if sides[side] not in (None, int(text)):
                raise InvalidRequest("size", f"{data['size']} contradicts {side} {sides[side]}.")
            sides[side] = int(text)
    named = {side: "size" if "size" in data else side for side in sides}
    width = sides["width"] or spec.defaults.width
    height = sides["height"] or spec.defaults.height
    limits = spec.limits
    for side, value in (("width", width), ("height", height)):
        if value > limits.max_side:
            raise InvalidRequest(named[side], f"{side} {value} is over the {limits.max_side} pixels of '{spec.name}'.")
    if width * height > limits.max_pixels:
        field = "size" if "size" in data else "width" if "width" in data else "height"
        raise InvalidRequest(
            field, f"{width}x{height} is over the {limits.max_pixels} pixels in all of model '{spec.name}'."
        )
    for side, value in (("width", width), ("height", height)):
        _check_multiple(named[side], (width, height), value, spec)
    return width, height


def resolve_length(data: Data, spec: ModelSpec) -> tuple[int, int]:
    """Number of frames and frames per second; `seconds` decides one of them when it is sent."""
    frames, fps, seconds = data.get("num_frames"), data.get("fps"), data.get("seconds")
    if seconds is not None:
        frames, fps = _from_seconds(frames, fps, seconds, spec)
    frames, fps = frames or spec.defaults.num_frames, fps or spec.defaults.fps
    if fps > spec.limits.max_fps:
        field = "fps" if "fps" in data or seconds is None else "seconds"
        raise InvalidRequest(field, f"{fps} is over the {spec.limits.max_fps} frames per second of '{spec.name}'.")
    if frames > spec.limits.max_frames:
        field = "num_frames" if "num_frames" in data or seconds is None else "seconds"
        raise InvalidRequest(field, f"{frames} frames are over the {spec.limits.max_frames} of model '{spec.name}'.")
    return frames, fps


def resolve_number(data: Data, field: str, default: float, limit: float) -> float:
    """The field's value or the default, at most `limit`."""
    value: float = data.get(field, default)
    if value > limit:
        raise InvalidRequest(field, f"{value:.15g} is over the limit of {limit:.15g}.")
    return value


def resolve_params(data: Data, spec: ModelSpec) -> dict[str, Any]:
    """The model's own options: each as its schema has it, with the schemas' defaults for those that are left out, and
    for what is left out of an object."""
    params = {name: schema["default"] for name, schema in spec.params.items() if "default" in schema}
    for name, value in data.get("params", {}).items():
        if name not in spec.params:
            raise InvalidRequest(f"params.{name}", _explain_unknown(name, spec))
        if value is not None:
            checked = _check_param(name, value, spec.params[name])
            params[name] = {**params.get(name, {}), **checked} if isinstance(checked, dict) else checked
    return params


def _explain_unknown(name: str, spec: ModelSpec) -> str:
    if not spec.params:
        return f"Model '{spec.name}' takes no params."
    return f"Unknown.{suggest(name, spec.params)} Model '{spec.name}' takes: {', '.join(sorted(spec.params))}."


def _check_param(name: str, value: Any, schema: Mapping[str, Any]) -> Any:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    if isinstance(value, str) and not _may_be_text(value, schema):
        value = _read_text(value)
    value = _with_integers(value, schema)
    error = best_match(Draft202012Validator(schema).iter_errors(value))
    if error is not None:
        field = ".".join(["params", name, *(key for key in error.absolute_path if isinstance(key, str))])
        raise InvalidRequest(field, f"{error.message[:MESSAGE_LENGTH]}.")
    return value


def _may_be_text(text: str, schema: Mapping[str, Any]) -> bool:
    if "enum" in schema:
        return text in schema["enum"]
    return schema.get("type") in (None, "string")


def _read_text(text: str) -> Any:
    """What a text holds that is no text itself: LocalAI's params are texts, and so are those of a form."""
    try:
        value = json.loads(text)
        written = json.dumps(value, allow_nan=False, ensure_ascii=False)
        # Half a character, which is a ValueError too.
        written.encode()
    except (ValueError, RecursionError):
        return text
    if "\\u0000" in written:
        return text
    return text if isinstance(value, str) else value


def _with_integers(value: Any, schema: Mapping[str, Any]) -> Any:
    """JSON has one kind of numbers: 2.0 is the integer 2 where one is due."""
    if schema.get("type") == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list) and isinstance(items := schema.get("items"), Mapping):
        return [_with_integers(item, items) for item in value]
    return value


def _from_seconds(frames: int | None, fps: int | None, seconds: Fraction, spec: ModelSpec) -> tuple[int, int]:
    if frames is None:
        fps = fps or spec.defaults.fps
        frames = _round(seconds * fps)
        if frames < 1:
            raise InvalidRequest("seconds", f"{float(seconds):g} seconds at {fps} fps are less than one frame.")
        return frames, fps
    if fps is None:
        rate = frames / seconds
        if rate.denominator != 1:
            raise InvalidRequest(
                "seconds", f"{frames} frames in {float(seconds):g} seconds are no whole number of frames per second."
            )
        return frames, int(rate)
    if _round(seconds * fps) != frames:
        raise InvalidRequest(
            "seconds", f"{float(seconds):g} seconds at {fps} fps are {_round(seconds * fps)} frames, not {frames}."
        )
    return frames, fps


def _round(number: Fraction) -> int:
    """To the nearest whole number, halves up; Python's own goes to the even one."""
    return math.floor(number + Fraction(1, 2))


def _check_multiple(field: str, size: tuple[int, int], value: int, spec: ModelSpec) -> None:
    multiple = spec.size_multiple
    if value % multiple == 0:
        return
    down = [max(multiple, side // multiple * multiple) for side in size]
    up = [-(-side // multiple) * multiple for side in size]
    near = " and ".join(dict.fromkeys(f"{w}x{h}" for w, h in (down, up)))
    raise InvalidRequest(
        field,
        f"Model '{spec.name}' makes multiples of {multiple} pixels; the nearest sizes to "
        f"{size[0]}x{size[1]} are {near}.",
    )
