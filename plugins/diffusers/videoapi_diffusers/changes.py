"""What a model file changes about a pipeline once it is loaded: its scheduler, and how its autoencoder works."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from videoapi import ModelError, ModelFile
from videoapi_diffusers.signature import known_schedulers, read_scheduler

SCHEDULER = "diffusers.scheduler"
OPTIONS = "diffusers.scheduler_options"
# Each splits the autoencoder's work to lower its peak of memory.
SPLITS = ("vae_tiling", "vae_slicing")
BOOLEANS = {"true": True, "false": False}


def read_changes(config: ModelFile) -> dict[str, Any]:
    """The changes that the file asks for, as pure data. Raises ConfigurationError that names the key."""
    changes: dict[str, Any] = {}
    name = config.get(SCHEDULER, str, "")
    options = {
        key: value
        for key, default in (read_scheduler(name) if name else {}).items()
        if (value := _read_option(config, key, default)) is not None
    }
    if name and not read_scheduler(name):
        near = difflib.get_close_matches(name, known_schedulers(), n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise config.error(SCHEDULER, f"is no scheduler of the installed diffusers: {name}{hint}")
    if name:
        changes["scheduler"] = {"name": name, "options": options}
    for split in SPLITS:
        text = config.option(split, "false")
        if text not in BOOLEANS:
            raise config.error(f"options.{split}", f"must be true or false, not {text!r}")
        if BOOLEANS[text]:
            changes[split] = True
    return changes


def _read_option(config: ModelFile, key: str, default: Any) -> Any:
    """The file's value for one of the scheduler's own options; None where the file does not have it."""
    if not isinstance(default, (bool, int, float, str)):
        return None
    absent: Any = None
    return config.get(f"{OPTIONS}.{key}", type(default), absent)


def apply_changes(pipeline: Any, changes: Mapping[str, Any]) -> None:
    """Raises ModelError for a change that this pipeline does not allow."""
    if "scheduler" in changes:
        pipeline.scheduler = _make_scheduler(pipeline.scheduler, **changes["scheduler"])
    for split in SPLITS:
        if split in changes:
            _enable(pipeline.vae, split)


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


def _enable(vae: Any, split: str) -> None:
    enable = getattr(vae, f"enable_{split.removeprefix('vae_')}", None)
    try:
        if enable is None:
            raise NotImplementedError
        enable()
    except NotImplementedError as error:
        raise ModelError(f"{type(vae).__name__} has no {split}; leave the option out.") from error
