"""multipart/form-data, in which OpenAI's clients send what others send as JSON."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Mapping
from typing import IO, Any

import qs_codec
from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadedfile import InMemoryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from videoapi.api.uploads import read_body
from videoapi.conf import get_conf
from videoapi.exceptions import InvalidRequest

MAX_DEPTH, MAX_VALUES = 8, 1000


class FormParser(BaseParser):
    """Parses multipart/form-data to what the same request as JSON would be, all of it texts.

    A file becomes its base64; `params[sampler]` and `list[]` become an object and a list, as the client had them.
    Raises ParseError and InvalidRequest (400), SlowBody (408), PayloadTooLarge (413) and UnsupportedContent (415).
    """

    media_type = "multipart/form-data"
    files: Collection[str] = ()
    """The names of the fields that may be files."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        assert parser_context is not None
        request: Request = parser_context["request"]
        body = read_body(request, stream, get_conf())
        _check_headers(body, request.META.get("CONTENT_TYPE", ""))
        try:
            # Every byte as the character of its number: what is no UTF-8 would be replaced in silence.
            texts, files = MultiPartParser(request.META, io.BytesIO(body), [_Keep()], "latin-1").parse()
        except (MultiPartParserError, SuspiciousOperation) as error:
            raise ParseError("The form is malformed, or has too many fields.") from error
        fields = {_reread(name): _only_or_all(list(map(_reread, values))) for name, values in texts.lists()}
        for name, values in files.lists():
            name = _reread(name)
            if name in fields:
                raise ParseError(f"The field '{name[:100]}' stands twice.")
            if name not in self.files:
                raise InvalidRequest(name, "Must be a text, not a file.")
            fields[name] = _only_or_all([_encode(file) for file in values])
        if "" in fields:
            raise ParseError("A field of the form has no name.")
        return unfold(fields)


def unfold(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`{"params[shift]": "3"}` as `{"params": {"shift": "3"}}`. Raises ParseError."""
    options = qs_codec.DecodeOptions(depth=MAX_DEPTH, strict_depth=True, parameter_limit=MAX_VALUES, list_limit=100)
    try:
        return dict(qs_codec.decode(fields, options))
    except (IndexError, ValueError) as error:
        raise ParseError(f"The form's fields are nested more than {MAX_DEPTH} deep.") from error


class _Keep(FileUploadHandler):
    """Keeps a file in memory: all of the body is there already."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._parts: list[bytes] = []

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._parts.append(raw_data)

    def file_complete(self, file_size: int) -> UploadedFile[bytes]:
        content = io.BytesIO(b"".join(self._parts))
        return InMemoryUploadedFile(
            content, self.field_name, self.file_name, self.content_type or "", file_size, self.charset
        )


def _check_headers(body: bytes, content_type: str) -> None:
    """A part whose header cannot be read would be left out in silence. Raises ParseError."""
    _, options = parse_header_parameters(content_type)
    start = f"--{options.get('boundary', '')}\r\n".encode()
    at = body.find(start)
    while at >= 0:
        end = body.find(b"\r\n\r\n", at)
        _decode(body[at:end])
        at = body.find(start, at + len(start))


def _decode(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ParseError("The form is not in UTF-8.") from error


def _reread(text: str) -> str:
    return _decode(text.encode("latin-1"))


def _encode(file: UploadedFile[bytes]) -> str:
    return base64.b64encode(file.read()).decode()


def _only_or_all(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values
