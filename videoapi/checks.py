"""What `manage.py check` says about this installation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core import checks

from videoapi.conf import get_conf
from videoapi.encoding import find_ffmpeg
from videoapi.engine.registry import get_catalog
from videoapi.exceptions import EncodingError


@checks.register("videoapi")
def check_catalog(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """W001: a plugin or model file that does not serve. W002: a key of a model file that nobody honours.

    Warnings, because the other models serve and the server must start.
    """
    return [
        checks.Warning(problem.message, hint=problem.hint, id="videoapi.W001" if problem.serious else "videoapi.W002")
        for problem in get_catalog().problems
    ]


@checks.register("videoapi")
def check_settings(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[checks.CheckMessage]:
    """E001: a wrong key in settings.VIDEOAPI. E002: no ffmpeg. W003: a preload of a model that is
    not installed.
    """
    try:
        conf = get_conf()
    except TypeError as error:
        return [
            checks.Error(f"settings.VIDEOAPI: {error}.", hint="See videoapi/conf.py for the keys.", id="videoapi.E001")
        ]
    messages: list[checks.CheckMessage] = []
    try:
        find_ffmpeg(conf.ffmpeg)
    except EncodingError as error:
        messages.append(checks.Error(error.message, hint="pip install imageio-ffmpeg", id="videoapi.E002"))
    names = {name for entry in get_catalog() for name in (entry.spec.name, *entry.spec.aliases)}
    messages += [
        checks.Warning(
            f"VIDEOAPI_PRELOAD names '{name}', which is not installed.",
            hint="manage.py plugins",
            id="videoapi.W003",
        )
        for name in conf.preload
        if name not in names
    ]
    return messages
