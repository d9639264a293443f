"""Another scheduler than the folder's, or its options."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from videoapi import ConfigurationError, ModelError, ModelFile
from videoapi_diffusers.components import read_options
from videoapi_diffusers.signature import known_schedulers, read_scheduler
from videoapi_diffusers.words import did_you_mean

KEY = "diffusers.scheduler"
OPTIONS = "diffusers.scheduler_options"
KINDS: tuple[type, ...] = (bool, int, float, str, list)
# With these pipelines they fail without an error: what comes out is far from what all others make.
WRONG: Mapping[str, tuple[str, ...]] = {"FlowMatchHeunDiscreteScheduler": ("Kandinsky5",)}


def read(config: ModelFile) -> dict[str, Any]:
    """The scheduler's name and its options: no name for the folder's own, and empty where that stays as it is."""
    name = config.get(KEY, str, "")
    known = read_scheduler(name) if name else dict.fromkeys(config.names(OPTIONS))
    if name and not known:
        hint = did_you_mean(name, known_schedulers())
        raise config.error(KEY, f"is no scheduler of the installed diffusers: {name}{hint}")
    options = {
        key: value for key, default in known.items() if (value := _read_option(config, key, default)) is not None
    }
    return {"name": name, "options": options} if name or options else {}


def _read_option(config: ModelFile, key: str, default: Any) -> Any:
    """The file's value for one of the scheduler's own options; None where the file does not have it."""
    if not isinstance(default, (bool, int, float, str)):
        return _read_any(config, f"{OPTIONS}.{key}")
    absent: Any = None
    return config.get(f"{OPTIONS}.{key}", type(default), absent)


def _read_any(config: ModelFile, key: str) -> Any:
    """A value whose kind no default tells."""
    absent: Any = None
    for kind in KINDS:
        with suppress(ConfigurationError):
            return config.get(key, kind, absent)
    raise config.error(key, "must be a number, a text, true or false, or a list")


def apply(pipeline: Any, wanted: Mapping[str, Any]) -> None:
    name, options = wanted["name"] or type(pipeline.scheduler).__name__, wanted["options"]
    known = read_scheduler(name)
    for key in options:
        if key not in known:
            raise ModelError(f"The scheduler {name} has no option '{key}'{did_you_mean(key, known)}.")
    if type(pipeline).__name__.startswith(WRONG.get(name, ())):
        raise ModelError(f"{type(pipeline).__name__} makes another video with {name} in the installed diffusers.")
    pipeline.scheduler = _make_scheduler(pipeline.scheduler, name, options)


def _make_scheduler(old: Any, name: str, options: Mapping[str, Any]) -> Any:
    """The named scheduler with the old one's configuration.

    A flow model stays one: what is the shift of the noise in one class is `flow_shift` in another, and a class that
    cannot follow a flow would make noise.
    """
    import diffusers

    scheduler_class = getattr(diffusers, name)
    known = read_scheduler(name)
    carried: dict[str, Any] = {}
    own = read_options(old)
    if "FlowMatch" in type(old).__name__ or own.get("use_flow_sigmas"):
        shift = own.get("flow_shift") or own.get("shift") or 1.0
        if "use_flow_sigmas" in known:
            carried = {"use_flow_sigmas": True, "prediction_type": "flow_prediction", "flow_shift": shift}
        elif "FlowMatch" in name:
            carried = {"shift": shift}
        else:
            raise ModelError(f"{name} cannot follow a flow, which this model was trained for.")
    try:
        return scheduler_class.from_config(old.config, **carried | dict(options))
    except (ValueError, TypeError, NotImplementedError, ImportError) as error:
        raise ModelError(f"{name} cannot be made with these options: {error}") from error
