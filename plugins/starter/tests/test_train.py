"""The command that trains the model, at the smallest settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SMALLEST = (
    *("--processes", "1", "--text-steps", "1", "--autoencoder-steps", "1", "--clips", "16", "--frames", "9"),
    *("--critic-steps", "1", "--batch", "4"),
)


def train(out: Path, *options: str) -> str:
    command = [sys.executable, "-m", "videoapi_starter.train", "--out", str(out), *SMALLEST, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.mark.slow
def test_one_command_trains_everything_and_goes_on_where_it_ended(tmp_path: Path) -> None:
    from diffusers import DiffusionPipeline

    printed = train(tmp_path, "--samples", "8")
    for stage in ("text encoder", "autoencoder", "pool", "critic", "transformer"):
        assert f"{stage}: 100%" in printed, stage
    assert "8 samples, error" in printed
    pipeline = DiffusionPipeline.from_pretrained(tmp_path / "weights", local_files_only=True)
    assert type(pipeline).__name__ == "WanImageToVideoPipeline"
    printed = train(tmp_path, "--samples", "12")
    assert "critic:" not in printed
    assert "12 samples, error" in printed


def test_importing_the_plugin_imports_nothing_of_the_training() -> None:
    code = "import sys, videoapi_starter.plugin, videoapi_starter.pipeline; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "videoapi_starter.pipeline" in loaded
    assert "videoapi_starter.training" not in loaded
