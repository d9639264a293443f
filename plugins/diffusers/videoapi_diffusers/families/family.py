"""The facts about one pipeline class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from videoapi import Defaults, FrameGrid, GenerationRequest, Mode

Configs = Mapping[str, Mapping[str, Any]]
"""The components' own configurations by component name, as far as they are on this machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """How one pipeline class of diffusers is used."""

    pipeline_class: str
    defaults: Defaults
    frame_grid: FrameGrid
    find_modes: Callable[[Configs], frozenset[Mode]]
    find_size_multiple: Callable[[Configs], int]
    make_arguments: Callable[[GenerationRequest], dict[str, Any]]
    """The call's arguments beyond those that every video pipeline has."""
