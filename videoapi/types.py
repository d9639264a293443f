"""The data that kernel and plugins exchange. Nothing here imports Django, numpy or Pillow at run time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from videoapi.exceptions import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

Mode = Literal["text", "first_frame", "first_and_last_frame", "clip"]
Phase = Literal["loading", "encoding prompt", "denoising", "decoding", "encoding", "storing"]


def _check_positive(values: Defaults | Limits, allow_zero: tuple[str, ...] = ()) -> None:
    for item in fields(values):
        value = getattr(values, item.name)
        least = 0 if item.name in allow_zero else 1
        if isinstance(value, (int, float)) and not least <= value < float("inf"):
            raise ConfigurationError(
                f"{type(values).__name__.lower()}.{item.name} must be at least {least}, not {value}."
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Defaults:
    """What a request that does not say gets. Sizes in pixels."""

    width: int = 512
    height: int = 512
    num_frames: int = 16
    fps: int = 8
    num_inference_steps: int = 30
    guidance_scale: float = 5.0
    negative_prompt: str = ""

    def __post_init__(self) -> None:
        _check_positive(self, allow_zero=("guidance_scale",))


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The largest values that a model accepts; more is a 400 that names the limit."""

    max_side: int = 2048
    """Pixels of width and of height."""
    max_pixels: int = 2048 * 2048
    """Width times height."""
    max_frames: int = 257
    max_fps: int = 120
    max_steps: int = 200
    max_guidance_scale: float = 50.0
    max_runtime: int = 0
    """Seconds that one generation may take; 0 leaves it to the server's VIDEOAPI_RUN_SECONDS."""
    max_prompt_length: int = 4000
    """Characters of the prompt and of the negative prompt."""
    max_batch_size: int = 1
    """How many waiting requests are made in one run, by the pipeline's `generate_batch`; 1 makes each by itself."""
    max_batch_wait: float = 0.0
    """Seconds, from its acceptance, that a request waits for others to share its run although a slot is free; 0 leaves
    it to those that wait anyway."""

    def __post_init__(self) -> None:
        _check_positive(self, allow_zero=("max_runtime", "max_guidance_scale", "max_batch_wait"))


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameGrid:
    """The frame counts that a model can make: `step` * k + `offset`. Wan: 4k + 1."""

    step: int = 1
    offset: int = 0

    def __post_init__(self) -> None:
        if self.step < 1 or self.offset < 0:
            raise ConfigurationError(f"A frame grid of {self.step}k + {self.offset} has no frames.")

    def next_up(self, num_frames: int) -> int:
        """The smallest count on the grid that is at least `num_frames`."""
        return num_frames + (self.offset - num_frames) % self.step


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """The light facts about a model: pure data, made without loading anything."""

    name: str
    """What clients name in `model`."""
    aliases: tuple[str, ...] = ()
    description: str = ""
    modes: frozenset[Mode] = frozenset({"text"})
    """What the model makes videos from. "clip": it takes a clip by `input_reference`, and with "first_frame" a start
    image beside it; images alone only as the other modes say."""
    defaults: Defaults = field(default_factory=Defaults)
    limits: Limits = field(default_factory=Limits)
    size_multiple: int = 2
    """Width and height must be multiples of this many pixels. At least 2: yuv420p has no odd sizes."""
    native_sizes: tuple[tuple[int, int], ...] = ()
    """Width and height in pixels of the videos that the model was made for, the best size first; none where that is
    not known. Clients are shown them, and may ask for others."""
    audio: bool = False
    """Its videos have sound."""
    frame_grid: FrameGrid = field(default_factory=FrameGrid)
    """A request off the grid is generated at the next count up and trimmed by the kernel."""
    unsupported: frozenset[str] = frozenset()
    """Request fields that the model cannot honour, by their HTTP names: sending one is a 400."""
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The keys that the request's `params` may have, each with its JSON Schema (draft 2020-12). A `default` there is
    what a request that does not say gets."""
    interruptible: bool = True
    """False: generate cannot be stopped between two steps. A cancel then ends the model's process at once; the next
    request loads it again."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The plugin's own facts for `load_model`; the kernel does not read them."""

    def __post_init__(self) -> None:
        if self.size_multiple < 2 or self.size_multiple % 2:
            raise ConfigurationError(
                f"{self.name}: size_multiple must be even and at least 2, not {self.size_multiple}."
            )
        for width, height in self.native_sizes:
            if min(width, height) < 1 or width % self.size_multiple or height % self.size_multiple:
                raise ConfigurationError(
                    f"{self.name}: native size {width}x{height} is not of multiples of {self.size_multiple} pixels."
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerationRequest:
    """One validated request with every field resolved, in diffusers' words."""

    prompt: str
    negative_prompt: str
    width: int
    height: int
    num_frames: int
    """On the model's frame grid: the kernel trims what was not asked for."""
    fps: int
    num_inference_steps: int
    guidance_scale: float
    seed: int
    start_image: Image | None = None
    """RGB, already `width` by `height`."""
    end_image: Image | None = None
    """RGB, already `width` by `height`."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The model's own options, as its spec's `params` have them: checked, and with their defaults."""
    clip: Sequence[Image] | None = None
    """RGB frames, already `width` by `height`, one for each frame at the request's `fps`, at most `num_frames` of them
    and at least one: fewer when the clip is shorter. A still part may be one object several times."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Audio:
    """Sound for the whole clip."""

    samples: NDArray[np.float32]
    """(samples, channels), in [-1, 1]."""
    sample_rate: int
    """Hz."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """What a pipeline returns: frames, or a file of an engine that encodes them itself."""

    frames: Iterable[NDArray[Any]] | None = None
    """RGB arrays (height, width, 3): uint8, or floating point in [0, 1]. Read once, as ffmpeg takes them."""
    audio: Audio | None = None
    """Beside `frames`; a `file` brings its own."""
    file: Path | None = None
    """An mp4 that the plugin has written, a temporary file for instance: the kernel takes it over, makes it what was
    asked for and deletes it. It must have the request's size and at least its frames; their rate becomes the request's.
    H.264 in yuv420p whose frames and rate are right is not encoded again, so its colours stay what the file says. Its
    sound is kept, unless the rate was another: the frames then no longer go with it."""

    def __post_init__(self) -> None:
        if (self.frames is None) == (self.file is None):
            raise ConfigurationError("A Clip has either frames or a file.")
        if self.file is not None and self.audio is not None:
            raise ConfigurationError("A Clip with a file has its sound in the file, not in audio.")


class Progress(Protocol):
    """The only channel from a plugin's `generate` back to the kernel.

    Its methods raise Cancelled when the client has cancelled; let it pass through.
    """

    def step(self, done: int, total: int) -> None:
        """Denoising step `done` of `total` is finished."""

    def phase(self, name: Phase) -> None:
        """The work enters this phase."""

    def preview(self, make: Callable[[], NDArray[np.uint8]]) -> None:
        """Offer a look at what is being made. `make` returns it as RGB (height, width, 3), of any size.

        Call it as often as there is something new: `make` is called at most once in a while.
        """

    def warn(self, message: str) -> None:
        """Tell the client in a sentence what the video is not, though it was asked for: it joins the answer's
        `warnings`. Said twice it stands there once; 300 characters of it, and 20 warnings in all, are kept.
        """


class BatchProgress(Progress, Protocol):
    """What `generate_batch` reports to: steps, phases and warnings are those of every request."""

    @property
    def each(self) -> Sequence[Progress]:
        """One for each request, in their order, for its own warnings and previews: what one client sees is not
        another's. A preview that is offered to all of them at once is shown to none.
        """


@runtime_checkable
class Pipeline(Protocol):
    """A loaded model. It may also have `close()`, called before its process ends."""

    def generate(self, request: GenerationRequest, progress: Progress) -> Clip:
        """Make the video.

        Raises InvalidRequest (400) for a request that only the loaded model can judge, and ModelError (500).
        """


@runtime_checkable
class BatchPipeline(Pipeline, Protocol):
    """A loaded model that can make several videos in one run."""

    def generate_batch(self, requests: Sequence[GenerationRequest], progress: BatchProgress) -> Sequence[Clip]:
        """Make the videos of two requests or more, and return one clip for each in their order.

        The requests are made from text alone, and are alike in everything but prompt, negative prompt (which all of
        them have, or none) and seed. Each video must be the one that `generate` makes of the request. The clips are
        read one after the other. Whatever it raises is no request's error: each is then given to `generate`.
        """
