"""The autoencoder's work in parts, for a lower peak of memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from videoapi import ModelError, ModelFile

SPLITS = ("vae_tiling", "vae_slicing")
BOOLEANS = {"true": True, "false": False}


def read(config: ModelFile) -> list[str]:
    """The splits that are switched on."""
    return [split for split in SPLITS if _read_switch(config, split)]


def apply(pipeline: Any, wanted: Sequence[str]) -> None:
    for split in wanted:
        _enable(pipeline.vae, split)


def _read_switch(config: ModelFile, name: str) -> bool:
    text = config.option(name, "false")
    if text not in BOOLEANS:
        raise config.error(f"options.{name}", f"must be true or false, not {text!r}")
    return BOOLEANS[text]


def _enable(vae: Any, split: str) -> None:
    enable = getattr(vae, f"enable_{split.removeprefix('vae_')}", None)
    try:
        if enable is None:
            raise NotImplementedError
        enable()
    except NotImplementedError as error:
        raise ModelError(f"{type(vae).__name__} has no {split}; leave the option out.") from error
