"""Whatever a client sends is understood or refused in words of ours: the body, the numbers, the images."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rest_framework.exceptions import ParseError

from tests.images import plain
from videoapi.api.parsers import parse_json
from videoapi.exceptions import InvalidRequest
from videoapi.fields import DECIMAL
from videoapi.inputs import InputLimits, read_bytes
from videoapi.inputs.images import ImageError, decode
from videoapi.resolution import resolve_length, resolve_size
from videoapi.serializers import VideoRequestSerializer
from videoapi.types import Limits, ModelSpec

# The same examples each time: what fails here fails everywhere.
FUZZ = settings(derandomize=True, database=None, deadline=None, max_examples=300)
SPEC = ModelSpec(name="any", size_multiple=16, limits=Limits(max_pixels=10**6))
LIMITS = InputLimits(max_bytes=100_000, max_pixels=10_000, may_fetch=False)
FIELDS = tuple(VideoRequestSerializer().fields)
FILES = [plain("red", kind=kind) for kind in ("PNG", "JPEG", "WEBP")]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=30)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


@FUZZ
@given(st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
@example(b'{"a": 1, "a": 1}')
@example(b"1e999")
@example(b"-")
def test_a_body_is_json_or_refused(body: bytes) -> None:
    try:
        value = parse_json(body)
    except ParseError as error:
        assert len(str(error.detail)) < 1000
        return
    assert json.loads(body) == value or value != value


@FUZZ
@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), values, max_size=6))
@example({"model": "a", "prompt": "b", "seconds": 1e-5})
@example({"model": "a", "prompt": "b", "seconds": True})
def test_fields_are_of_their_types_or_refused(data: dict[str, Any]) -> None:
    serializer = VideoRequestSerializer(data={"model": "any", "prompt": "anything", **data})
    if not serializer.is_valid():
        assert serializer.errors
        return
    for name, value in serializer.validated_data.items():
        if name in ("width", "height", "num_frames", "fps", "step", "seed", "priority", "n"):
            assert type(value) is int
        elif name == "seconds":
            assert isinstance(value, Fraction)
            assert 0 < value < 10**6
        elif name == "cfg_scale":
            assert type(value) is float
            assert 0 <= value < 1e308
        elif name == "params":
            assert isinstance(value, dict)
        else:
            assert isinstance(value, str)
            value.encode()


sides = st.none() | st.integers(1, 2**63)
sizes = st.none() | st.text("0123456789x×-+ .", max_size=12) | st.from_regex(r"[0-9]{1,7}x[0-9]{1,7}", fullmatch=True)


@FUZZ
@given(sides, sides, sizes)
def test_a_size_is_one_that_the_model_can_make_or_refused(width: Any, height: Any, size: Any) -> None:
    data = {name: value for name, value in (("width", width), ("height", height), ("size", size)) if value is not None}
    try:
        made = resolve_size(data, SPEC)
    except InvalidRequest as error:
        assert error.field in data
        return
    assert all(side % 16 == 0 for side in made)
    assert made[0] * made[1] <= 10**6
    assert width in (None, made[0])
    assert height in (None, made[1])


@FUZZ
@given(
    st.none() | st.integers(1, 2**63),
    st.none() | st.integers(1, 2**63),
    st.none() | st.from_regex(DECIMAL, fullmatch=True),
)
@example(None, None, "0.000001")
@example(2**63, 2**63, "999999.999999")
def test_a_length_is_one_that_the_model_can_make_or_refused(frames: Any, fps: Any, seconds: Any) -> None:
    length = Fraction(seconds) if seconds is not None and Fraction(seconds) else None
    fields = (("num_frames", frames), ("fps", fps), ("seconds", length))
    data = {name: value for name, value in fields if value is not None}
    try:
        made_frames, made_fps = resolve_length(data, SPEC)
    except InvalidRequest as error:
        assert error.field in data
        return
    assert 1 <= made_frames <= SPEC.limits.max_frames
    assert 1 <= made_fps <= SPEC.limits.max_fps
    assert frames in (None, made_frames)
    assert fps in (None, made_fps)


@FUZZ
@given(st.text(max_size=100) | st.from_regex(r"data:[a-z/;=,]{0,30}[A-Za-z0-9+/=]{0,20}", fullmatch=True))
def test_a_text_is_a_file_or_refused(text: str) -> None:
    try:
        assert read_bytes("start_image", text, LIMITS)
    except InvalidRequest as error:
        assert error.field == "start_image"


@FUZZ
@given(st.data(), st.sampled_from(FILES))
def test_a_damaged_image_is_a_picture_or_refused(data: st.DataObject, file: bytes) -> None:
    damaged = bytearray(file)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)) | st.just(len(damaged)))
    try:
        picture = decode(bytes(damaged[:cut]), LIMITS.max_pixels)
    except ImageError as error:
        assert str(error).startswith(("Not a whole", "The image has"))
        return
    assert picture.image.mode == "RGB"
    assert picture.image.width * picture.image.height <= LIMITS.max_pixels


@pytest.mark.parametrize("file", FILES)
def test_the_whole_image_is_a_picture(file: bytes) -> None:
    assert decode(file, LIMITS.max_pixels).size == (64, 48)
