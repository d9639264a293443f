"""The benchmark of the diffusers plugin's options: its table, its weights, its processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.apart import Apart, Failed
from tests.benchmarks.diffusers_rows import ROWS
from tests.benchmarks.options_table import Measured, Table
from tests.server import ROOT

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
SMALLEST = ["--width", "32", "--height", "32", "--num-frames", "5", "--steps", "4", "--rounds", "1"]


def run(*arguments: str) -> list[str]:
    """What the command prints."""
    command = [sys.executable, "-m", "tests.benchmarks.diffusers_options", "--device", "cpu", *SMALLEST, *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()


def read_rows(lines: list[str]) -> dict[str, list[str]]:
    """The cells of each row by its title."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {row[0]: row[1:] for row in rows[1:]}


def test_each_row_has_its_ratios_and_one_that_cannot_run_says_why(tmp_path: Path) -> None:
    lines = run(
        "--markdown", "--folder", str(tmp_path), "--only", "plugin", "native_cudnn", "offload-auto", "cache-mag"
    )
    assert "tiny with random weights, 32x32, 5 frames, 4 steps; medians of 1 turns" in lines[1]
    rows = read_rows(lines)
    assert list(rows) == [
        "the plugin, no option",
        "`attention_backend: _native_cudnn`",
        "`offload: auto`",
        "`cache: mag`, ratios not calibrated",
        "bare diffusers, eager",
    ]
    *measured, bare = (row for row in rows.values() if not row[-1])
    for step, step_ratio, video, video_ratio, peak, *_ in (*measured, bare):
        assert all(float(cell.removesuffix("x")) > 0 for cell in (step, step_ratio, video, video_ratio, peak))
    assert len(measured) == 2
    assert (measured[0][5:7], bare[1:4:2], bare[5]) == (["same", ""], ["1.00x", "1.00x"], "same")
    # By the ratios and the number of steps alone, the first and the last one are whole.
    assert float(measured[1][5]) > 0
    assert measured[1][6] == "50%"
    reasons = [row[-1] for row in rows.values() if row[-1]]
    assert reasons[0].startswith("cannot run: The model cannot make a video with the attention backend _native_cudnn: ")
    assert reasons[1] == "cannot run: it has no effect on a CPU"


def test_the_weights_have_the_true_shapes() -> None:
    import torch
    from diffusers import WanTransformer3DModel

    from tests.benchmarks.random_wan import SHAPES

    counts = {}
    for name in ("wan-1.3b", "wan-14b"):
        with torch.device("meta"):
            transformer = WanTransformer3DModel(**SHAPES[name].transformer)
        counts[name] = sum(parameter.numel() for parameter in transformer.parameters())
    # Those of the released models' files.
    assert counts == {"wan-1.3b": 1_418_996_800, "wan-14b": 14_288_491_584}


def test_weights_in_several_files_are_those_of_one(tmp_path: Path, monkeypatch: Any) -> None:
    import torch
    from diffusers import WanTransformer3DModel

    from tests.benchmarks import random_wan

    random_wan.write(tmp_path / "one", "tiny", "cpu")
    monkeypatch.setattr(random_wan, "SHARD_BYTES", 100_000)
    random_wan.write(tmp_path / "several", "tiny", "cpu")
    assert len(list((tmp_path / "several" / "transformer").glob("*.safetensors"))) > 2
    one, several = (
        WanTransformer3DModel.from_pretrained(tmp_path / name / "transformer").state_dict()
        for name in ("one", "several")
    )
    assert one.keys() == several.keys()
    assert all(torch.equal(one[name], several[name]) for name in one)


def test_frames_are_compared_by_their_noise(tmp_path: Path) -> None:
    from tests.benchmarks.diffusers_options import compare

    grey, lighter = tmp_path / "grey.npy", tmp_path / "lighter.npy"
    np.save(grey, np.full((2, 4, 4, 3), 100, np.uint8))
    np.save(lighter, np.full((2, 4, 4, 3), 110, np.uint8))
    assert compare(grey, grey) == float("inf")
    assert compare(grey, lighter) == pytest.approx(28.13, abs=0.01)
    assert compare(grey, tmp_path / "none.npy") is None


def test_a_row_is_one_line_of_either_table() -> None:
    row = Measured(title="all", step=0.01234, step_ratio=1.5, video=123.4, video_ratio=None, psnr=float("inf"))
    assert Table(is_markdown=True).write(row) == "| all | 0.0123 | 1.50x | 123 |  |  | same |  |  |"
    assert Table(is_markdown=False).write(row).split() == ["all", "0.0123", "1.50x", "123", "same"]
    broken = Measured(title="all", problem="no | here")
    assert Table(is_markdown=True).write(broken) == "| all |  |  |  |  |  |  |  | cannot run: no / here |"


def test_the_names_of_rows_are_different() -> None:
    assert len({row.name for row in ROWS}) == len({row.title for row in ROWS}) == len(ROWS)


class Divider:
    def __init__(self, number: int) -> None:
        self.number = 12 // number

    def divide(self, by: int) -> int:
        return self.number // by

    def die(self) -> None:
        os._exit(3)


def test_what_another_process_cannot_do_is_said_and_it_goes_on() -> None:
    with Apart(Divider, 2) as divider:
        with pytest.raises(Failed, match="ZeroDivisionError: integer division or modulo by zero"):
            divider.call("divide", 0)
        assert divider.call("divide", 3) == 2
        for _ in range(2):
            with pytest.raises(Failed, match="its process ended with 3"):
                divider.call("die")
    with pytest.raises(Failed, match="ZeroDivisionError"), Apart(Divider, 0):
        """It was not made."""
