"""JSON as the RFC has it: bounded, no duplicate keys, no NaN, not nested without end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from django.utils.encoding import force_str
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

from videoapi.conf import get_conf


class PayloadTooLarge(APIException):
    """The body is over the limit: HTTP 413."""

    status_code = 413
    default_code = "payload_too_large"


class StrictJSONParser(BaseParser):
    """Parses application/json. Raises ParseError (400) and PayloadTooLarge (413)."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        limit = get_conf().max_body_bytes
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise PayloadTooLarge(f"The body is larger than {limit} bytes.")
        try:
            return json.loads(
                body.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant
            )
        except RecursionError as error:
            raise ParseError("The JSON is nested too deeply.") from error
        except ValueError as error:
            raise ParseError(f"The body is not valid JSON: {force_str(error)}.") from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key '{twice}' stands twice")
    return data


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
