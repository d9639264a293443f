"""The table of a measurement: for a terminal, or for a README."""

from __future__ import annotations

import argparse
import datetime
import math
import sys
from dataclasses import dataclass

COLUMNS = ("s/step", "speed", "s/video", "speed", "peak GiB", "PSNR dB", "left out")
TITLE_WIDTH = 50
WIDTH = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One row's results; None is what was not measured, and a row with a `problem` has no others."""

    title: str
    step: float | None = None
    """Seconds."""
    step_ratio: float | None = None
    """Of bare diffusers' to its own."""
    video: float | None = None
    """Seconds."""
    video_ratio: float | None = None
    peak: float | None = None
    """GiB."""
    psnr: float | None = None
    """dB, of the frames beside those of the plugin without an option."""
    left_out: float | None = None
    """The share of blocks."""
    note: str = ""
    problem: str = ""

    @property
    def cells(self) -> list[str]:
        return [
            _write_seconds(self.step),
            _write(self.step_ratio, "{:.2f}x"),
            _write_seconds(self.video),
            _write(self.video_ratio, "{:.2f}x"),
            _write(self.peak, "{:.2f}"),
            "same" if self.psnr == math.inf else _write(self.psnr, "{:.1f}"),
            _write(self.left_out, "{:.0%}"),
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """In Markdown, or in columns of fixed widths."""

    is_markdown: bool

    @property
    def head(self) -> str:
        if self.is_markdown:
            return f"| | {' | '.join(COLUMNS)} | |\n|---|{'---|' * len(COLUMNS)}---|"
        return " " * TITLE_WIDTH + "".join(f"{column:>{WIDTH}}" for column in COLUMNS)

    def write(self, row: Measured) -> str:
        last = f"cannot run: {row.problem}" if row.problem else row.note
        if self.is_markdown:
            return f"| {' | '.join([row.title, *row.cells, last.replace('|', '/')])} |"
        cells = "" if row.problem else "".join(f"{cell:>{WIDTH}}" for cell in row.cells)
        return f"{row.title:{TITLE_WIDTH}}{cells}  {last}".rstrip()


def describe(arguments: argparse.Namespace, device: str) -> str:
    """What was measured, on what, when and by which command, and what it does not say."""
    command = " ".join(["python -m tests.benchmarks.diffusers_options", *sys.argv[1:]])
    size = f"{arguments.width}x{arguments.height}, {arguments.num_frames} frames, {arguments.steps} steps"
    return (
        f"`{command}`, {datetime.date.today()}, {device}.\n"
        f"{arguments.model} with random weights, {size}; medians of {arguments.rounds} turns, each beside one of bare "
        "eager diffusers, which is 1x.\nA step is the median one, with a cache the mean. PSNR is of the frames beside "
        "those of the plugin without an option.\nPSNR and the share of blocks that are left out do not carry over to "
        "trained weights. The text encoder is a small one.\n"
    )


def _write(value: float | None, pattern: str) -> str:
    return "" if value is None else pattern.format(value)


def _write_seconds(value: float | None) -> str:
    """With three digits that say something."""
    return "" if value is None else f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"
