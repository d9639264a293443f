"""How drf-spectacular writes down our fields, our request and our keys."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerExtension,
    OpenApiSerializerFieldExtension,
)
from drf_spectacular.openapi import AutoSchema

from videoapi.api.access import ANONYMOUS
from videoapi.api.schema.openai_requests import Form
from videoapi.conf import get_conf
from videoapi.fields import CONTROL, DECIMAL, MAX_INTEGER, MAX_SECONDS, MIN_SECONDS
from videoapi.resolution import SIZE
from videoapi.serializers import ZEROS

_CONTROL = CONTROL.pattern[1:-1]
# Something that is not blank, and no control character.
TEXT = rf"^[^{_CONTROL}]*[^\s{_CONTROL}][^{_CONTROL}]*$"
# drf-spectacular adds that it may be empty.
BLANK_TEXT = rf"^[^{_CONTROL}]+$"

Json = dict[str, Any]

FILES = {"start_image", "end_image", "input_reference", "video"}
SPELLED = r"^(params|input_reference|video)\["
FILE: Json = {"type": "string", "contentMediaType": "application/octet-stream"}


class StrictChar(OpenApiSerializerFieldExtension):
    target_class = "videoapi.fields.StrictCharField"
    match_subclasses = True

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> Json:
        field = self.target
        blank = {"pattern": BLANK_TEXT} if field.allow_blank else {"minLength": 1, "pattern": TEXT}
        return {"type": "string", **blank, **_described(self, auto_schema, direction)}


class StrictInteger(OpenApiSerializerFieldExtension):
    target_class = "videoapi.fields.StrictIntegerField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> Json:
        # Its own limits come with its validators.
        limits = {"minimum": -MAX_INTEGER, "maximum": MAX_INTEGER}
        return {"type": "integer", **limits, **_described(self, auto_schema, direction)}


class StrictFloat(OpenApiSerializerFieldExtension):
    target_class = "videoapi.fields.StrictFloatField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> Json:
        return {"type": "number", "maximum": 1e308, **_described(self, auto_schema, direction)}


class Object(OpenApiSerializerFieldExtension):
    target_class = "videoapi.fields.ObjectField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> Json:
        return {"type": "object", "additionalProperties": True, **_described(self, auto_schema, direction)}


class Seconds(OpenApiSerializerFieldExtension):
    target_class = "videoapi.fields.SecondsField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> Json:
        text = {"type": "string", "pattern": f"^{DECIMAL.pattern}$", "not": {"pattern": r"^[0.]*$"}}
        number = {"type": "number", "minimum": MIN_SECONDS, "exclusiveMaximum": MAX_SECONDS}
        return {"oneOf": [text, number], **_described(self, auto_schema, direction)}


class EventData(OpenApiSerializerFieldExtension):
    target_class = "videoapi.api.schema.bodies.EventDataField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> Json:
        choices = [auto_schema.resolve_serializer(each, direction).ref for each in self.target.choices]
        data = {"contentMediaType": "application/json", "contentSchema": {"anyOf": choices}}
        return {"type": "string", **data, **_described(self, auto_schema, direction)}


class ImageOrAddress(OpenApiSerializerFieldExtension):
    target_class = "videoapi.api.schema.openai_requests.ImageField"
    priority = 1

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> Json:
        text = {"type": "string", "minLength": 1, "pattern": TEXT}
        address = _object_with("image_url", {**text, "description": "An http(s) URL, or a data URI."})
        return {"oneOf": [text, address], **_described(self, auto_schema, direction)}


class ClipOrId(OpenApiSerializerFieldExtension):
    target_class = "videoapi.api.schema.openai_requests.ClipField"
    priority = 1

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> Json:
        identifier = {"type": "string", "format": "uuid", "description": "Of a video that is completed."}
        text = {"type": "string", "minLength": 1, "pattern": TEXT}
        return {"oneOf": [text, _object_with("id", identifier)], **_described(self, auto_schema, direction)}


class VideoRequest(OpenApiSerializerExtension):
    target_class = "videoapi.serializers.VideoRequestSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> Json:
        schema: Json = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        properties = schema["properties"]
        properties["size"]["pattern"] = f"^{SIZE.pattern}$"
        properties["priority"]["maximum"] = get_conf().max_priority
        properties["webhook_url"]["format"] = "uri"
        for name, zero in ZEROS.items():
            if name in properties:
                _allow_zero(properties[name], zero)
        if isinstance(self.target, Form):
            for name in FILES & properties.keys():
                properties[name] = {**FILE, "description": properties[name]["description"]}
            # A number in a form is a text.
            properties["seconds"] |= properties["seconds"].pop("oneOf")[0]
            words = "Any other field is refused. An object is a part of JSON, or is spelled as `params[name]`."
            names = {SPELLED: {"type": "string", "description": "A part of an object."}}
            return {**schema, "description": words, "patternProperties": names, "additionalProperties": False}
        for name in properties.keys() - set(schema["required"]):
            _allow_null(properties[name])
        words = "Any other field is refused. Null is the same as nothing, and so is a zero or an empty text that could "
        words += "be no value."
        return {**schema, "description": words, "additionalProperties": False}


class RemixRequest(OpenApiSerializerExtension):
    target_class = "videoapi.api.schema.openai_requests.OpenAIRemixRequest"

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> Json:
        schema: Json = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {**schema, "description": "Any other field is refused.", "additionalProperties": False}


class Key(OpenApiAuthenticationExtension):
    """`token` is the signature in the address of a file."""

    target_class = "videoapi.api.access.KeyAuthentication"
    name = ["bearer", "x-api-key", "token"]  # noqa: RUF012  (drf-spectacular's)

    def get_security_definition(self, auto_schema: AutoSchema) -> Any:
        return [
            {"type": "http", "scheme": "bearer", "description": "A key, as OpenAI's clients send it."},
            {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "A key."},
            {
                "type": "apiKey",
                "in": "query",
                "name": "token",
                "description": "The signature in the address of a file, in place of a key.",
            },
        ]

    def get_security_requirement(self, auto_schema: AutoSchema) -> Any:
        """A key, or none where the operator lets everybody in, or everybody on this machine."""
        # Its decorators bring this module.
        from videoapi.api.files import GenerationFileView

        view = auto_schema.view
        scopes: set[Any] = {getattr(permission, "scope", None) for permission in view.get_permissions()}
        needless = scopes <= ANONYMOUS and (not scopes or get_conf().anonymous != "no")
        keys: list[Json] = [{"bearer": []}, {"x-api-key": []}]
        if isinstance(view, GenerationFileView):
            keys.append({"token": []})
        return [*keys, {}] if needless else keys


def _described(extension: OpenApiSerializerFieldExtension, auto_schema: AutoSchema, direction: Any) -> Json:
    meta: Json = auto_schema._get_serializer_field_meta(extension.target, direction)
    return meta


def _object_with(name: str, schema: Json) -> Json:
    return {"type": "object", "properties": {name: schema}, "required": [name], "additionalProperties": False}


def _allow_zero(schema: Json, zero: object) -> None:
    if zero == 0:
        schema["minimum"] = 0
    elif "enum" in schema:
        schema["enum"].append(zero)
    else:
        schema["pattern"] = f"^$|{schema['pattern']}"
        del schema["minLength"]


def _allow_null(schema: Json) -> None:
    if "oneOf" in schema:
        schema["oneOf"].append({"type": "null"})
        return
    schema["type"] = [schema["type"], "null"]
    if "enum" in schema:
        schema["enum"].append(None)
