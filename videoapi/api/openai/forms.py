"""The form of a request for a video, as what it would be in JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError

from videoapi.api.multipart import FormParser
from videoapi.api.parsers import parse_json
from videoapi.exceptions import InvalidRequest
from videoapi.fields import StrictFloatField, StrictIntegerField
from videoapi.serializers import VideoRequestSerializer

NUMBER = re.compile(r"-?(0|[1-9]\d{0,18})(\.\d{1,20})?([eE][+-]?\d{1,3})?", re.ASCII)
OBJECTS = ("params", "input_reference", "video")


class VideoFormParser(FormParser):
    """A form has texts alone: each becomes the number or the object that its field wants."""

    files = ("start_image", "end_image", "input_reference", "video")

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        form = super().parse(stream, media_type, parser_context)
        fields = VideoRequestSerializer().fields
        return {name: _read_text(name, value, fields.get(name)) for name, value in form.items()}


def _read_text(name: str, value: Any, field: Any) -> Any:
    if not isinstance(value, str):
        return value
    is_number = isinstance(field, StrictIntegerField | StrictFloatField) and NUMBER.fullmatch(value)
    if is_number or (name in OBJECTS and value.startswith("{")):
        try:
            return parse_json(value.encode())
        except ParseError as error:
            raise InvalidRequest(name, "Is no valid JSON.") from error
    return value
