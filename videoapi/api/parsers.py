"""JSON as the RFC has it: bounded, no duplicate keys, no NaN, not nested without end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from django.utils.encoding import force_str
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from videoapi.api.uploads import UnsupportedContent, read_body
from videoapi.conf import get_conf

# No request of ours comes near either. Texts count too, by their commas; base64 has none.
MAX_DEPTH, MAX_VALUES = 32, 100_000
TOO_DEEP = "The JSON is nested too deeply."


class StrictJSONParser(BaseParser):
    """Parses application/json in UTF-8. Raises ParseError (400), SlowBody (408), PayloadTooLarge (413) and
    UnsupportedContent (415).
    """

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        assert parser_context is not None
        request: Request = parser_context["request"]
        charset = (request.content_params or {}).get("charset", "utf-8")
        if charset.lower() not in ("utf-8", "utf8"):
            raise UnsupportedContent(f"JSON is UTF-8, not {charset[:40]}.")
        return parse_json(read_body(request, stream, get_conf()))


def parse_json(body: bytes) -> Any:
    """The value in those bytes. Raises ParseError."""
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
        raise ParseError(f"The JSON has more than {MAX_VALUES} values.")
    try:
        data = json.loads(body.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ParseError(TOO_DEEP) from error
    except ValueError as error:
        raise ParseError(f"The body is not valid JSON: {force_str(error)}.") from error
    level = [data]
    for _ in range(MAX_DEPTH + 1):
        level = [value for each in level for value in _children(each)]
        if not level:
            return data
    raise ParseError(TOO_DEEP)


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        seen = set[str]()
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"the key '{name[:100]}' stands twice")
            seen.add(name)
    return data


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
