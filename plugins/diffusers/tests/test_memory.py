"""Too little memory, for real: a limit on this process, and a video that is too large for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from videoapi import OutOfMemory
from videoapi_diffusers import load
from videoapi_diffusers.running.memory import each_watched, find_remedy, memory_watched

STARVED = """
import resource, sys, types
import torch
from videoapi import GenerationRequest, OutOfMemory
from videoapi_diffusers import load

torch.set_num_threads(1)
pipeline = load(sys.argv[1], "WanPipeline")

class Silent:
    def step(self, done, total): pass
    def phase(self, name): pass
    def preview(self, make): pass
    def warn(self, message): pass

def make(side, frames):
    request = GenerationRequest(
        prompt="a", negative_prompt="", width=side, height=side, num_frames=frames, fps=8, num_inference_steps=1,
        guidance_scale=1.0, seed=1,
    )
    return sum(1 for _ in pipeline.generate(request, Silent()).frames)

print(make(32, 5))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]) * 2**20,) * 2)
for side, frames in ((int(sys.argv[3]), int(sys.argv[4])), (32, 5)):
    try:
        print(make(side, frames))
    except OutOfMemory as error:
        print(error.message)
"""


def starve(folder: Path, mebibytes: int, side: int, frames: int) -> list[str]:
    """What a process says that makes a small video, then the large one in so much more memory, then a small one."""
    command = [sys.executable, "-c", STARVED, str(folder), str(mebibytes), str(side), str(frames)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return done.stdout.splitlines()


def test_a_video_too_large_to_denoise_says_what_helps_and_the_next_one_works(text_folder: Path) -> None:
    small, large, next_one = starve(text_folder, 20, 512, 125)
    assert (small, next_one) == ("5", "5")
    assert large == (
        "The memory ran out while the video was being made; try a smaller width, height or num_frames, or have the "
        "option vae_tiling switched on in the model file."
    )


def test_a_video_too_large_to_decode_says_so(text_folder: Path) -> None:
    small, large, next_one = starve(text_folder, 200, 512, 125)
    assert (small, next_one) == ("5", "5")
    assert large.startswith("The memory ran out while the frames were being decoded; try a smaller width")


def test_a_device_that_is_full_is_the_same_error() -> None:
    expected = pytest.raises(OutOfMemory, match="The memory ran out while testing; sleep more")
    with expected as raised, memory_watched("testing", "sleep more"):
        raise torch.OutOfMemoryError("CUDA out of memory")
    assert isinstance(raised.value.__cause__, torch.OutOfMemoryError)


@pytest.mark.parametrize(
    "words",
    [
        "unable to mmap 268435536 bytes from file <weights>: Cannot allocate memory (12)",
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ],
)
def test_other_words_for_it_are_known(words: str) -> None:
    with pytest.raises(OutOfMemory), memory_watched("testing", "sleep more"):
        raise RuntimeError(words)


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="shapes"), memory_watched("testing", "sleep more"):
        raise RuntimeError("shapes do not match")


def test_each_item_is_watched_by_itself() -> None:
    def make() -> Any:
        yield 1
        raise MemoryError

    items = each_watched(make(), "testing", "sleep more")
    assert next(items) == 1
    with pytest.raises(OutOfMemory):
        next(items)
    assert list(each_watched([1, 2], "testing", "")) == [1, 2]


def test_the_remedy_is_what_is_not_switched_on_yet(text_folder: Path) -> None:
    pipeline = load(str(text_folder), "WanPipeline").pipeline
    lower, cuda = "try a smaller width, height or num_frames", torch.device("cuda")
    both = f"{lower}, or have the option vae_tiling and 'diffusers.offload: group' switched on in the model file"
    assert find_remedy(pipeline, cuda, "model") == both
    pipeline.vae.enable_tiling()
    assert find_remedy(pipeline, cuda, "group") == lower


def test_weights_that_do_not_fit_are_an_error_of_the_load(text_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from diffusers import WanPipeline

    def fill_up(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(WanPipeline, "to", fill_up)
    with pytest.raises(OutOfMemory, match=r"while the weights were going to cpu; the model file can ask for smaller"):
        load(str(text_folder), "WanPipeline")
