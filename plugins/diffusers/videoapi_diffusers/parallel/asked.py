"""What a model file says about the processes that calculate a video together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from videoapi import ModelFile
from videoapi_diffusers.families import Modes
from videoapi_diffusers.placement import DEVICE, OFFLOAD

KEY = "diffusers.context_parallel"
DEGREES = ("ulysses_degree", "ring_degree")
SWITCHES = ("ulysses_anything", "ring_anything")
CLASSES = frozenset({"WanPipeline", "WanImageToVideoPipeline", "WanVideoToVideoPipeline"})
"""The pipelines that it was tried with, and that come out right.

Not among them: those whose denoiser diffusers has no plan for; LTX, whose mask of the text is for all heads of
attention where each process has some of them; Helios, whose plan is for its released size alone.
"""
# Those that leave the denoiser where it is.
OFFLOADS = ("auto", "none", "text_encoder")
# Why a change of the pipeline does not go with it.
REFUSED = {
    "cache": "each process would decide for itself which layers to leave out",
    "compile": "diffusers does not compile what it divides",
}


def read(config: ModelFile, changes: Mapping[str, Any], placement: Mapping[str, str]) -> dict[str, Any]:
    """What diffusers' `ContextParallelConfig` is to be made with; empty where the file asks for nothing.

    Raises ConfigurationError for a key's value, and for what does not go with it.
    """
    if not config.names(KEY):
        return {}
    degrees = {name: config.get(f"{KEY}.{name}", int, 1) for name in DEGREES}
    if min(degrees.values()) < 1 or max(degrees.values()) < 2:
        raise config.error(KEY, f"must have a {' or a '.join(DEGREES)} of 2 or more, and none below 1")
    for name, reason in REFUSED.items():
        if name in changes:
            raise config.error(f"diffusers.{name}", f"does not go with '{KEY}': {reason}")
    if placement["offload"] not in OFFLOADS:
        raise config.error(OFFLOAD, f"must be one of {', '.join(OFFLOADS)} with '{KEY}', not {placement['offload']!r}")
    if ":" in placement["device"]:
        raise config.error(DEVICE, f"must be without a number with '{KEY}': each process has its own")
    return degrees | {name: True for name in SWITCHES if config.get(f"{KEY}.{name}", bool, False)}


def select_modes(config: ModelFile, modes: Modes) -> Modes:
    """Those whose pipelines can be divided. Raises ConfigurationError where there is none."""
    found: Modes = {mode: name for mode, name in modes.items() if name in CLASSES}
    if not found:
        names = ", ".join(dict.fromkeys(modes.values()))
        raise config.error(KEY, f"is not for this model: {names}. It goes with: {', '.join(sorted(CLASSES))}")
    return found


def count_processes(wanted: Mapping[str, Any]) -> int:
    """With the model's own."""
    return int(wanted["ulysses_degree"] * wanted["ring_degree"])
