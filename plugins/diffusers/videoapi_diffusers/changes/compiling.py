"""Compiled blocks of the denoiser, and the shapes that they are compiled for before the first request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from videoapi import ModelError, ModelFile
from videoapi_diffusers.components import TRANSFORMERS, parts_of

KEY = "diffusers.compile"
DYNAMIC = "diffusers.compile_dynamic"
WARM_UP = "diffusers.warm_up"
# How many a model may be compiled for.
SHAPES = 64
SHAPE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})x([1-9]\d{0,4})", re.ASCII)


def read(config: ModelFile) -> dict[str, Any]:
    """How to compile, and which shapes (width, height, frames) to warm up beside the default one."""
    if not config.get(KEY, bool, False):
        return {}
    absent: Any = None
    texts: list[Any] = config.get(WARM_UP, list, [])
    shapes = [SHAPE.fullmatch(text) if isinstance(text, str) else None for text in texts]
    if not all(shapes):
        raise config.error(WARM_UP, f'must be a list of texts like "832x480x81": width, height, frames; not {texts!r}')
    return {
        "dynamic": config.get(DYNAMIC, bool, absent),
        "warm_up": [[int(side) for side in shape.groups()] for shape in shapes if shape],
    }


def apply(pipeline: Any, wanted: Mapping[str, Any]) -> None:
    """Each block is compiled when it first runs, and they share the result."""
    from torch import _dynamo

    # Of one function; past it, further shapes would not be compiled any more, and only the log would say so.
    _dynamo.config.recompile_limit = max(_dynamo.config.recompile_limit, SHAPES)
    parts = parts_of(pipeline, TRANSFORMERS)
    if not parts:
        raise ModelError(f"{type(pipeline).__name__} has no transformer to compile.")
    for part in parts:
        try:
            part.compile_repeated_blocks(dynamic=wanted["dynamic"])
        except ValueError as error:
            raise ModelError(f"A {type(part).__name__} cannot be compiled: diffusers names no blocks of it.") from error
