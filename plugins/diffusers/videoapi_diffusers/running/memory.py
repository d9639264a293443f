"""Running out of memory: said with what helps, and what was taken given back."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from videoapi import OutOfMemory

T = TypeVar("T")
# Where it is no OutOfMemoryError: torch's words for main memory, pinned memory and mapped files, and those of CUDA's
# libraries.
WORDS = ("allocate memory", "out of memory", "ALLOC_FAILED")
DECODING = "the frames were being decoded"
LOWER = "try a smaller width, height or num_frames"
# Offloads that leave something for a stronger one to gain.
WEAK_OFFLOADS = ("none", "text_encoder", "model")


def find_remedy(pipeline: Any, device: torch.device, offload: str) -> str:
    """What can be done about it, by the client or in the model file; a sentence's end."""
    switches = []
    # An autoencoder that cannot work in tiles has no such attribute.
    if getattr(getattr(pipeline, "vae", None), "use_tiling", None) is False:
        switches.append("the option vae_tiling")
    if device.type != "cpu" and offload in WEAK_OFFLOADS:
        switches.append("'diffusers.offload: group'")
    return f"{LOWER}, or have {' and '.join(switches)} switched on in the model file" if switches else LOWER


@contextmanager
def memory_watched(doing: str, remedy: str) -> Iterator[None]:
    """Within it, a lack of memory is an OutOfMemory that says what was being done and what helps."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _lacks_memory(error):
            raise
        # What the calls that failed still hold, in their variables, would be held as long as the error is.
        traceback.clear_frames(error.__traceback__)
        release()
        raise OutOfMemory(f"The memory ran out while {doing}; {remedy}.") from error


def each_watched(items: Iterable[T], doing: str, remedy: str) -> Iterator[T]:
    """The same items, with `memory_watched` around the making of each."""
    source = iter(items)
    while True:
        with memory_watched(doing, remedy):
            try:
                item = next(source)
            except StopIteration:
                return
        yield item


def release() -> None:
    """Give back what nobody uses any more."""
    gc.collect()
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()


def _lacks_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in WORDS)
