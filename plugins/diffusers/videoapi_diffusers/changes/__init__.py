"""What a model file changes about a pipeline once it is loaded, one module for each change.

A new one is a module with `read` and `apply`, and a line in CHANGES.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from videoapi import ModelFile
from videoapi_diffusers.changes import attention, cache, compiling, lora, scheduler, vae


class Change(Protocol):
    """A module of this package."""

    def read(self, config: ModelFile) -> Any:
        """What the file asks for, as pure data; None or empty where it asks for nothing.

        Imports nothing heavy. Raises ConfigurationError that names the key.
        """
        ...

    def apply(self, pipeline: Any, wanted: Any) -> None:
        """Do what `read` returned, before the pipeline goes to its device. Raises ModelError where it cannot be."""
        ...


CHANGES: Mapping[str, Change] = {
    "scheduler": scheduler,
    "vae": vae,
    "loras": lora,
    "cache": cache,
    "attention": attention,
    "compile": compiling,
}
"""In the order in which they are applied."""


def read_changes(config: ModelFile) -> dict[str, Any]:
    """The changes that the file asks for, as pure data. Raises ConfigurationError that names the key."""
    return {name: wanted for name, change in CHANGES.items() if (wanted := change.read(config))}


def apply_changes(pipeline: Any, changes: Mapping[str, Any]) -> None:
    """Raises ModelError for a change that this pipeline does not allow."""
    for name, change in CHANGES.items():
        if name in changes:
            change.apply(pipeline, changes[name])
