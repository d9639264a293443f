"""One Wan loaded as a script would and as the plugin does, and what a call of each takes."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from tests.benchmarks.diffusers_rows import Row
from tests.benchmarks.memory import peak_mib
from videoapi import GenerationRequest, ModelError, ModelFile
from videoapi.catalog.files import overlay
from videoapi_diffusers.plugin import build_spec, load_model
from videoapi_diffusers.running.pipeline import DiffusersPipeline

GIB = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What one call took."""

    steps: list[float]
    """Seconds of each denoising step."""
    seconds: float
    """Until every frame was there."""
    peak: float
    """GiB of the device's memory in this call; on a CPU, of the process until now."""


class Clock:
    """Notes when the steps of one call end, and waits for the device to know. It is the plugin's progress as well."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._marks: list[float] = []

    @property
    def steps(self) -> list[float]:
        return [end - begin for begin, end in pairwise(self._marks)]

    def begin(self, *_: object) -> None:
        if not self._marks:
            self.mark()

    def mark(self) -> None:
        if self._device.type != "cpu":
            torch.accelerator.synchronize()
        self._marks.append(time.perf_counter())

    def phase(self, name: str) -> None:
        if name == "denoising":
            self.begin()

    def step(self, done: int, total: int) -> None:
        self.mark()

    def preview(self, make: Callable[[], Any]) -> None:
        """Nobody looks."""

    def warn(self, message: str) -> None:
        """Nor reads."""


def measure(device: torch.device, make: Callable[[Clock], NDArray[Any]], keep: Path | None) -> Run:
    """Make a video, and put its frames into a file where there is a `keep`."""
    clock, is_cpu = Clock(device), device.type == "cpu"
    if not is_cpu:
        torch.accelerator.reset_peak_memory_stats()
    started = time.perf_counter()
    video = make(clock)
    seconds = time.perf_counter() - started
    peak = peak_mib(os.getpid()) * 2**20 if is_cpu else torch.accelerator.max_memory_allocated()
    if keep:
        np.save(keep, video if video.dtype == np.uint8 else np.rint(video * 255).astype(np.uint8))
    if not is_cpu:
        # The other of the two is next.
        torch.accelerator.empty_cache()
    return Run(steps=clock.steps, seconds=seconds, peak=peak / GIB)


class Bare:
    """The script that diffusers' documentation of Wan has one write: its autoencoder in float32, all else as stored."""

    def __init__(self, folder: Path, device: str) -> None:
        diffusers.utils.logging.disable_progress_bar()
        transformers.utils.logging.disable_progress_bar()
        self._device = torch.device(device)
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        vae = diffusers.AutoencoderKLWan.from_pretrained(folder, subfolder="vae", dtype=torch.float32)
        self._pipeline = diffusers.WanPipeline.from_pretrained(folder, vae=vae, dtype=dtype)
        self._pipeline.set_progress_bar_config(disable=True)

    def describe(self) -> str:
        """The device in words, with the versions."""
        if self._device.type == "cpu":
            name = f"a CPU, {torch.get_num_threads()} threads"
        else:
            name = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else str(self._device)
        return f"{name}, torch {torch.__version__}, diffusers {diffusers.__version__}"

    def run(self, request: GenerationRequest, keep: Path | None = None) -> Run:
        """Afterwards its weights wait in main memory, so that the device is the other's alone."""
        self._pipeline.to(self._device)
        try:
            return measure(self._device, lambda clock: self._make(request, clock), keep)
        finally:
            if self._device.type != "cpu":
                self._pipeline.to("cpu")
                torch.accelerator.empty_cache()

    def _make(self, request: GenerationRequest, clock: Clock) -> NDArray[np.float32]:
        def end_step(pipeline: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            clock.mark()
            return tensors

        hook = self._pipeline.transformer.register_forward_pre_hook(clock.begin)
        try:
            frames: NDArray[np.float32] = self._pipeline(
                prompt=request.prompt,
                width=request.width,
                height=request.height,
                num_frames=request.num_frames,
                num_inference_steps=request.num_inference_steps,
                guidance_scale=request.guidance_scale,
                generator=torch.Generator("cpu").manual_seed(request.seed),
                callback_on_step_end=end_step,
            ).frames[0]
        finally:
            hook.remove()
        return frames


class Ours:
    """The plugin's pipeline of a model file with the row's keys."""

    def __init__(self, folder: Path, device: str, row: Row, request: GenerationRequest) -> None:
        self._device = torch.device(device)
        self._notes: list[str] = []
        if row.needs_gpu and device == "cpu":
            raise ModelError("it has no effect on a CPU")
        with self._noting_offload():
            for index, keys in enumerate(row.files):
                try:
                    self._load(folder, {"device": device, **keys}, row, request)
                    break
                except ModelError:
                    if index + 1 == len(row.files):
                        raise
        if len(row.files) > 1:
            self._notes.append(f"attention: {keys.get('attention_backend', 'as without')}")

    def _load(self, folder: Path, keys: dict[str, Any], row: Row, request: GenerationRequest) -> None:
        shape = {name: getattr(request, name) for name in ("width", "height", "num_frames")}
        data = {"parameters": {"model": str(folder)}, "defaults": shape, "diffusers": keys}
        file = ModelFile(folder.parent / "wan.yaml", {"name": "wan", "backend": "diffusers", **data})
        started = time.perf_counter()
        spec = overlay(build_spec(file), file)
        assert not file.unread(), file.unread()
        pipeline = load_model(spec)
        assert isinstance(pipeline, DiffusersPipeline)
        self._model = pipeline
        if row.is_compiled:
            self._notes.append(f"loaded and compiled in {time.perf_counter() - started:.0f} s")
        defaults = {name: schema["default"] for name, schema in spec.params.items() if "default" in schema}
        self._params = {**defaults, **row.params}

    def describe(self) -> str:
        return "; ".join(self._notes)

    def run(self, request: GenerationRequest, keep: Path | None = None) -> Run:
        def make(clock: Clock) -> NDArray[np.uint8]:
            return np.stack(list(self._model.generate(replace(request, params=self._params), clock).frames or ()))

        return measure(self._device, make, keep)

    def count(self, request: GenerationRequest) -> float:
        """The share of blocks that a call leaves out. Without what was compiled, which would be for the counting."""
        transformer = self._model.pipeline.transformer
        calls, blocks = [0], [0]

        def count_into(counter: list[int]) -> Callable[..., None]:
            def add(*_: object) -> None:
                counter[0] += 1

            return add

        hooks = [transformer.register_forward_hook(count_into(calls))]
        hooks += [block.attn1.register_forward_hook(count_into(blocks)) for block in transformer.blocks]
        try:
            with torch.compiler.set_stance("force_eager"):
                self.run(request)
        finally:
            for hook in hooks:
                hook.remove()
        return 1 - blocks[0] / (calls[0] * len(transformer.blocks))

    @contextmanager
    def _noting_offload(self) -> Iterator[None]:
        """What `auto` chose, and why, is said in the log alone."""
        log, notes = logging.getLogger("videoapi_diffusers.placement"), self._notes

        class Note(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                notes.append(record.getMessage())

        handler = Note()
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        try:
            yield
        finally:
            log.removeHandler(handler)
