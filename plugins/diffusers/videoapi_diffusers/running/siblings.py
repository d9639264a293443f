"""Pipelines of several classes around the same loaded components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from videoapi import Mode, ModelError
from videoapi_diffusers.params import SCHEMAS
from videoapi_diffusers.signature import read_signature


class Siblings:
    """The pipeline for each mode; each is made when it is first asked for."""

    def __init__(self, pipeline: Any, modes: Mapping[Mode, str]) -> None:
        self._modes = modes
        self._made = {type(pipeline).__name__: pipeline}
        self._first = pipeline
        pipeline.set_progress_bar_config(disable=True)

    def find(self, mode: Mode) -> Any:
        """The pipeline that makes a video from what `mode` names; the first one where no other is known."""
        name = self._modes.get(mode, type(self._first).__name__)
        if name not in self._made:
            self._made[name] = derive(self._first, name)
        return self._made[name]

    def find_default(self, param: str) -> Any:
        """The default of an option that any of them has."""
        signatures = [read_signature(name) for name in {*self._modes.values(), *self._made}]
        found = [each.parameters[param] for each in signatures if each and param in each.parameters]
        return found[0] if found and param in SCHEMAS else None


def derive(pipeline: Any, class_name: str) -> Any:
    """A pipeline of another class with the same components and configuration.

    diffusers' `from_pipe` does so too, and casts every component to one precision. Raises ModelError when components
    are missing.
    """
    import diffusers

    pipeline_class = getattr(diffusers, class_name)
    components, options = map(set, pipeline_class._get_signature_keys(pipeline_class))
    given = {name: value for name, value in pipeline.components.items() if name in components}
    absent = dict.fromkeys(components - given.keys())
    missing = sorted(name for name in absent if name not in pipeline_class._optional_components)
    if missing:
        raise ModelError(f"The model cannot be a {class_name}: it has no {', '.join(missing)}.")
    settings = {name: value for name, value in pipeline.config.items() if name in options}
    made = pipeline_class(**given, **absent, **settings)
    made.set_progress_bar_config(disable=True)
    return made
