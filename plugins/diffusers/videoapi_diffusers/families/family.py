"""What a pipeline's signature and its components' configurations do not say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from videoapi import FrameGrid, GenerationRequest, InvalidRequest, Mode
from videoapi_diffusers.shape import Configs

Modes = Mapping[Mode, str]
"""The pipeline class for each mode that the weights allow."""
Sizes = Sequence[tuple[int, int]]
"""Width and height in pixels."""


def one_section(num_frames: int, arguments: Mapping[str, Any]) -> int:
    return 1


def no_extra_frames(config: Mapping[str, Any]) -> int:
    return 0


def no_limit(configs: Configs) -> int | None:
    return None


def no_sizes(configs: Configs) -> Sizes:
    return ()


def check_sides(request: GenerationRequest, width: int, height: int) -> None:
    """Raises InvalidRequest for a video that is wider or higher."""
    if request.width > width or request.height > height:
        asked = f"{request.width}x{request.height}"
        raise InvalidRequest("size", f"This model makes at most {width}x{height} pixels, not {asked}.")


def nothing(configs: Configs) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """The facts about one pipeline class of diffusers; every one may be left out."""

    defaults: Mapping[str, float] = field(default_factory=dict)
    """Of `videoapi.Defaults`, where the signature has none or another one than the model's authors."""
    find_own_defaults: Callable[[Configs], Mapping[str, float]] = nothing
    """Where these weights have others than the rest of the family."""
    find_options: Callable[[Configs], Mapping[str, Any]] = nothing
    """Of `params`: the defaults that these weights have in place of the signature's, and None for what they lack."""
    find_native_sizes: Callable[[Configs], Sizes] = no_sizes
    """What the weights were trained on, the best first, where it is more than the size in `defaults`."""
    scales: tuple[int, int] = (8, 1)
    """Pixels and frames of one latent until the autoencoder's configuration is here."""
    size_multiple: int = 1
    """Of width and height in pixels, where the pipeline needs more than its check and its tokens say."""
    latents: Literal["bcthw", "btchw", "bthwc"] = "bcthw"
    """The axes of latents that are not packed: batch, channels, time, height and width."""
    frame_grid: FrameGrid | None = None
    """Where it is not that of the autoencoder."""
    min_frames: int = 1
    """Fewer are made as these, and the rest is left away."""
    min_given_frames: int = 1
    """Of a video that is made from an image or a clip; fewer are refused."""
    min_clip: int = 1
    """Frames of a clip; fewer are refused."""
    min_steps: int = 1
    """Fewer are refused."""
    make_steps: Callable[[int], Any] = int
    """The argument for so many steps, where it is not their number."""
    find_max_frames: Callable[[Configs], int | None] = no_limit
    """Where the weights have positions for so many frames and no more."""
    count_extra_frames: Callable[[Mapping[str, Any]], int] = no_extra_frames
    """How many more frames the pipeline must be asked for than it returns, from the denoiser's configuration."""
    find_modes: Callable[[Configs], Modes] | None = None
    """Where more than the signature decides: other pipelines for the same weights, or weights that cannot do all."""
    make_inputs: Callable[[GenerationRequest], dict[str, Any]] | None = None
    """The arguments for images and clips that do not have the usual names."""
    clip: Literal["whole", "beginning"] = "whole"
    """What a clip is: as long as the video, or what the video begins with."""
    takes_both: bool = False
    """A start image has a place of its own beside a clip."""
    preset: Mapping[str, Any] = field(default_factory=dict)
    """Arguments for what the request leaves out, where the pipeline's own default does not work."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that are always the same, to get what was asked for."""
    packages: tuple[str, ...] = ()
    """What diffusers imports for it and does not install itself."""
    needed: tuple[str, ...] = ()
    """Components that diffusers can do without and that are used here."""
    prepare: Callable[[Any], None] | None = None
    """Sets what the loaded pipeline cannot work without."""
    check: Callable[[GenerationRequest, Any], None] | None = None
    """Raises InvalidRequest for what the loaded pipeline, its second argument, cannot make."""
    needs_tiling: bool = False
    """The autoencoder decodes in tiles only."""
    lost_tokens: int = 0
    """Of a prompt that was cut, so many tokens at its new end are left away as well."""
    count_sections: Callable[[int, Mapping[str, Any]], int] = one_section
    """How often the steps are gone through for so many frames."""
    refusal: str = ""
    """Why the pipeline cannot be served; a sentence's end, after its name."""
