"""What a test asks of the OpenAPI schema."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator


def generate() -> Any:
    return SchemaGenerator().get_schema(request=None, public=True)


def operations(schema: Any) -> Iterator[tuple[str, Any]]:
    """Each operation by its method and path."""
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def check(schema: Any, part: Any, value: Any) -> None:
    """The value is as that part of the schema has it, and has nothing besides."""
    Draft202012Validator({**_close(schema), **_close(part)}).validate(value)


def _close(schema: Any) -> Any:
    """No object may have a property that is not described."""
    if isinstance(schema, list):
        return [_close(part) for part in schema]
    if not isinstance(schema, dict):
        return copy.copy(schema)
    closed = {name: _close(part) for name, part in schema.items()}
    if "properties" in schema and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed
