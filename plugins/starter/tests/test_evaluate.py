"""The command that says how good the model is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image


@pytest.mark.slow
def test_it_prints_every_row_of_the_table_and_draws_the_sheet(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    options = ("--count", "4", "--images", "2", "--sheet", str(sheet))
    command = [sys.executable, "-m", "videoapi_starter.evaluate", *options]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = (
        *("512x512, 16 frames, 12 steps, warm", "colour of the object right, of 4", "background right", "shape right"),
        *("motion right", "all four right, of 4", "all four right, in other words", "first frame kept, of 2"),
        *("last frame reached", "package"),
    )
    for row in rows:
        assert f"\n| {row}" in printed, row
    for phase in ("text encoder", "denoiser", "VAE", "resizing", "encoding"):
        assert f"{phase} " in printed.split("shares of the time: ")[1].split("\n")[0]
    assert "negative prompt 'red circle': colours" in printed
    with Image.open(sheet) as picture:
        assert picture.size == (3 * 5 * 64, 2 * 64)
