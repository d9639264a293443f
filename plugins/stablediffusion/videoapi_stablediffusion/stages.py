"""Tells from the library's log and its counters how far a generation is.

The library has one counter for all that it does: each half of the denoising, each tile of the autoencoder, the tensors
of a load. Its log says which is running.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from videoapi import Phase, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

DENOISING, DENOISED, LORA_FAILED = "generate_video ", "generating latent video completed", "load lora tensors from"


class Stages:
    """The listener of one generation."""

    def __init__(self, progress: Progress, steps: int) -> None:
        self._progress = progress
        self._steps = steps
        self._denoising = False
        self._phase: Phase = "encoding prompt"
        self._before = self._done = 0
        self.lora_problem = ""
        """What the library said of a LoRA that it has left out."""

    def log(self, line: str) -> None:
        if line.startswith(DENOISING) and line[len(DENOISING)].isdigit():
            self._denoising = True
            self._enter("denoising")
        elif line.startswith(DENOISED):
            self._denoising = False
            self._enter("decoding")
        elif line.startswith(LORA_FAILED):
            self.lora_problem = line

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._report(lambda: self._progress.phase(phase))

    def step(self, done: int, total: int) -> None:
        """Each half begins anew at 0; samplers of two passes count one too many. Outside the denoising, tiles count."""
        if not self._denoising:
            # A sign of life: on a CPU, many tiles take longer than the server's patience with silence.
            self._report(lambda: self._progress.phase(self._phase))
            return
        if done == 0:
            self._before = self._done
            return
        now = min(self._before + min(done, total), self._steps)
        if now > self._done:
            self._done = now
            self._report(lambda: self._progress.step(now, self._steps))

    def preview(self, frame: NDArray[np.uint8]) -> None:
        self._report(lambda: self._progress.preview(lambda: frame))

    def _report(self, call: Callable[[], None]) -> None:
        # Called from inside the library, which cannot be stopped: a cancel ends the process, and whatever else goes
        # wrong here must not end it.
        try:
            call()
        except Exception:
            logger.debug("not reported", exc_info=True)
