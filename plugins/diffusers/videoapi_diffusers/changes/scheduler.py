"""Another scheduler than the folder's, or its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from videoapi import ModelError, ModelFile
from videoapi_diffusers.signature import known_schedulers, read_scheduler
from videoapi_diffusers.words import did_you_mean

KEY = "diffusers.scheduler"
OPTIONS = "diffusers.scheduler_options"


def read(config: ModelFile) -> dict[str, Any]:
    """The scheduler's name and its options; empty where the folder's own stays."""
    name = config.get(KEY, str, "")
    if not name:
        return {}
    known = read_scheduler(name)
    if not known:
        hint = did_you_mean(name, known_schedulers())
        raise config.error(KEY, f"is no scheduler of the installed diffusers: {name}{hint}")
    options = {
        key: value for key, default in known.items() if (value := _read_option(config, key, default)) is not None
    }
    return {"name": name, "options": options}


def _read_option(config: ModelFile, key: str, default: Any) -> Any:
    """The file's value for one of the scheduler's own options; None where the file does not have it."""
    if not isinstance(default, (bool, int, float, str)):
        return None
    absent: Any = None
    return config.get(f"{OPTIONS}.{key}", type(default), absent)


def apply(pipeline: Any, wanted: Mapping[str, Any]) -> None:
    pipeline.scheduler = _make_scheduler(pipeline.scheduler, **wanted)


def _make_scheduler(old: Any, name: str, options: Mapping[str, Any]) -> Any:
    """The named scheduler with the old one's configuration.

    A flow model stays one: what is the shift of the noise in one class is `flow_shift` in another, and a class that
    cannot follow a flow would make noise.
    """
    import diffusers

    scheduler_class = getattr(diffusers, name)
    known = read_scheduler(name)
    carried: dict[str, Any] = {}
    if _follows_flow(old):
        shift = old.config.get("flow_shift") or old.config.get("shift") or 1.0
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


def _follows_flow(scheduler: Any) -> bool:
    return "FlowMatch" in type(scheduler).__name__ or bool(scheduler.config.get("use_flow_sigmas"))
