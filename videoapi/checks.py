"""What `manage.py check` says about this installation."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

from django.core import checks

from videoapi import resolution
from videoapi.catalog import Entry
from videoapi.conf import Conf, get_conf
from videoapi.encoding import find_ffmpeg
from videoapi.engine.registry import get_catalog
from videoapi.exceptions import EncodingError, InvalidRequest
from videoapi.types import ModelSpec


@checks.register("videoapi")
def check_catalog(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """W001: a plugin or model file that does not serve. W002: a key of a model file that nobody honours. W004: a model
    that refuses its own defaults. W005: one whose params have no valid schema. W006: what a plugin says of its model.

    Warnings, because the other models serve and the server must start.
    """
    if isinstance(_read_conf(), checks.Error):
        return []
    messages: list[checks.CheckMessage] = [
        checks.Warning(problem.message, hint=problem.hint, id="videoapi.W001" if problem.serious else "videoapi.W002")
        for problem in get_catalog().problems
    ]
    return (
        messages
        + [
            checks.Warning(
                f"Model '{entry.spec.name}' refuses a request that leaves out '{refusal.field}': {refusal.message}",
                hint="Change defaults or limits in its model file.",
                id="videoapi.W004",
            )
            for entry in get_catalog()
            for refusal in _refused_defaults(entry.spec)
        ]
        + [
            checks.Warning(message, hint="Tell the plugin's author.", id="videoapi.W005")
            for entry in get_catalog()
            for message in _wrong_schemas(entry.spec)
        ]
        + [
            checks.Warning(f"Model '{entry.spec.name}': {message}", id="videoapi.W006")
            for entry in get_catalog()
            for message in _inspect(entry)
        ]
    )


@checks.register("videoapi")
def check_settings(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """E001: a wrong key in settings.VIDEOAPI. E002: no ffmpeg. E003 and W003: a slot or a preload of a model that is
    not installed. E004: a secret for webhooks that is none.
    """
    conf = _read_conf()
    if isinstance(conf, checks.Error):
        return [conf]
    messages: list[checks.CheckMessage] = []
    try:
        find_ffmpeg(conf.ffmpeg)
    except EncodingError as error:
        messages.append(checks.Error(error.message, hint="pip install imageio-ffmpeg", id="videoapi.E002"))
    if conf.webhook_secret and not _is_webhook_secret(conf.webhook_secret):
        message = "VIDEOAPI_WEBHOOK_SECRET is not 'whsec_' followed by 24 to 64 bytes in base64."
        hint = 'echo "whsec_$(openssl rand -base64 24)"'
        messages.append(checks.Error(message, hint=hint, id="videoapi.E004"))
    messages += [
        checks.Error(f"VIDEOAPI_SLOTS: {error.message}", hint="manage.py plugins", id="videoapi.E003")
        for error in _unknown([name for slot in conf.slots for name in slot.split(",") if name.strip() != "*"])
    ]
    messages += [
        checks.Warning(f"VIDEOAPI_PRELOAD: {error.message}", hint="manage.py plugins", id="videoapi.W003")
        for error in _unknown(conf.preload)
    ]
    return messages


def _read_conf() -> Conf | checks.Error:
    try:
        return get_conf()
    except TypeError as error:
        return checks.Error(f"settings.VIDEOAPI: {error}.", hint="videoapi/conf.py has the keys.", id="videoapi.E001")


def _is_webhook_secret(text: str) -> bool:
    prefix, _, encoded = text.partition("_")
    try:
        return prefix == "whsec" and 24 <= len(base64.b64decode(encoded, validate=True)) <= 64
    except ValueError:
        return False


def _unknown(names: Sequence[str]) -> Iterator[InvalidRequest]:
    for name in names:
        try:
            get_catalog().find(name.strip())
        except InvalidRequest as error:
            yield error


def _wrong_schemas(spec: ModelSpec) -> Iterator[str]:
    from jsonschema import Draft202012Validator, SchemaError

    for name, schema in spec.params.items():
        try:
            Draft202012Validator.check_schema(schema)
            if "default" in schema:
                resolution.resolve_params({"params": {name: schema["default"]}}, spec)
        except SchemaError as error:
            yield f"Model '{spec.name}': the schema of '{name}' in params is not valid: {error.message}."
        except InvalidRequest as refusal:
            yield f"Model '{spec.name}' refuses its own default of '{name}' in params: {refusal.message}"


def _inspect(entry: Entry) -> Sequence[str]:
    try:
        return get_catalog().plugins.inspect_model(entry.plugin, entry.spec)
    except (Exception, SystemExit) as error:
        # A plugin's own code: the server must start whatever it raises.
        return [f"Its plugin's check failed with {type(error).__name__}: {error}"]


def _refused_defaults(spec: ModelSpec) -> Iterator[InvalidRequest]:
    defaults, limits = spec.defaults, spec.limits
    for resolve in (
        lambda: resolution.resolve_size({}, spec),
        lambda: resolution.resolve_length({}, spec),
        lambda: resolution.resolve_number({}, "step", defaults.num_inference_steps, limits.max_steps),
        lambda: resolution.resolve_number({}, "cfg_scale", defaults.guidance_scale, limits.max_guidance_scale),
    ):
        try:
            resolve()
        except InvalidRequest as error:
            yield error
