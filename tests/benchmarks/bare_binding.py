"""The bare binding, for the benchmark beside it: loads a model and makes a video for each line on its input."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Any


def main(folder: Path, settings: dict[str, Any]) -> None:
    # What it prints on its own is not the answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with contextlib.redirect_stdout(sys.stderr):
        from stable_diffusion_cpp import StableDiffusion

        model = StableDiffusion(
            diffusion_model_path=str(folder / "t2v.gguf"),
            taesd_path=str(folder / "tiny_vae.gguf"),
            n_threads=1,
            diffusion_flash_attn=True,
            verbose=True,
        )
        for _ in sys.stdin:
            started = time.perf_counter()
            model.generate_video(**settings)
            print(time.perf_counter() - started, file=answers, flush=True)


if __name__ == "__main__":
    from tests.benchmarks.stablediffusion import BARE

    main(Path(sys.argv[1]), BARE)
