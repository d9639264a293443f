"""A Wan of true shapes in the plugin beside bare diffusers: seconds of a step, of a video, memory, for each option.

Run with `python -m tests.benchmarks.diffusers_options --model wan-1.3b` where there is a GPU, and `--model tiny` where
there is none. Bare eager diffusers and the option take turns in one run, each in a process of its own. `--only` takes
the rows that it names, `--folder` keeps the weights for the next command.

The weights are random. Times, memory and ratios are those of trained weights, as far as they do not depend on what is
calculated; how much a first-block cache leaves out, and all PSNR, are not. The text encoder is a small one, so the time
of a new prompt lacks its share, and so does what is spared by the same prompt again.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from tests.benchmarks import options_table, random_wan
from tests.benchmarks.apart import Apart, Failed
from tests.benchmarks.diffusers_rows import PLAIN, ROWS, Row
from tests.benchmarks.diffusers_runs import Bare, Ours, Run
from tests.benchmarks.options_table import Measured, Table
from videoapi import GenerationRequest

# Of a call that only makes the device ready.
WARM_STEPS = 2
GUIDANCE = 5.0


class Bench:
    """Bare diffusers, loaded, and what is measured beside it."""

    def __init__(self, bare: Apart, start: Callable[[Row], Apart], request: GenerationRequest, rounds: int) -> None:
        """`start` makes the process of a row."""
        self._bare = bare
        self._start = start
        self._request = request
        self._rounds = rounds
        self._bare_runs: list[Run] = []
        self._bare_problem = ""

    def warm(self) -> None:
        self._run_bare(replace(self._request, num_inference_steps=WARM_STEPS), None)
        self._bare_runs.clear()

    def measure(self, row: Row, folder: Path) -> Measured:
        """Beside bare diffusers; `folder` has the frames of the plugin without an option. Raises Failed."""
        reference, own = folder / f"{PLAIN.name}.npy", folder / "own.npy"
        if row is not PLAIN and not reference.exists():
            # What it lacks, the row may have: it is measured all the same.
            with suppress(Failed), self._start(PLAIN) as plain:
                plain.call("run", self._ask(row, 0), reference)
        keep = reference if row is PLAIN else own
        with self._start(row) as ours:
            left_out = ours.call("count", self._ask(row, self._rounds)) if row.is_cached else None
            if row.is_compiled or not row.is_cached:
                steps = self._request.num_inference_steps if row.is_cached else WARM_STEPS
                ours.call("run", replace(self._ask(row, self._rounds), num_inference_steps=steps))
            pairs: list[tuple[Run | None, Run]] = []
            for turn in range(self._rounds):
                bare = self._run_bare(self._ask(row, turn), None if self._bare_runs else folder / "bare.npy")
                pairs.append((bare, ours.call("run", self._ask(row, turn), None if turn else keep)))
            note = ours.call("describe")
        return summarize(row, pairs, left_out, compare(keep, reference), note)

    def measure_bare(self, folder: Path) -> Measured:
        """Over all its turns."""
        row = Row(name="bare", title="bare diffusers, eager")
        if not self._bare_runs:
            return Measured(title=row.title, problem=self._bare_problem or "no row had a turn of it")
        psnr = compare(folder / "bare.npy", folder / f"{PLAIN.name}.npy")
        return summarize(row, [(run, run) for run in self._bare_runs], None, psnr, "")

    def _ask(self, row: Row, turn: int) -> GenerationRequest:
        """A new prompt each time, which the text encoder has to read, unless the row is about the same one."""
        repeats = 1 if row.repeats_prompt else turn + 1
        return replace(self._request, prompt="a red ball " * repeats)

    def _run_bare(self, request: GenerationRequest, keep: Path | None) -> Run | None:
        """None from its first failure on."""
        if self._bare_problem:
            return None
        try:
            run: Run = self._bare.call("run", request, keep)
        except Failed as error:
            self._bare_problem = str(error)
            return None
        self._bare_runs.append(run)
        return run


def summarize(
    row: Row, pairs: Sequence[tuple[Run | None, Run]], left_out: float | None, psnr: float | None, note: str
) -> Measured:
    """Medians of the turns, and of the ratios within each."""
    both = [(bare, ours) for bare, ours in pairs if bare is not None]
    steps = [(find_step(bare, row), find_step(ours, row)) for bare, ours in both]
    return Measured(
        title=row.title,
        step=statistics.median(find_step(ours, row) for _, ours in pairs),
        step_ratio=statistics.median(bare / ours for bare, ours in steps) if both else None,
        video=statistics.median(ours.seconds for _, ours in pairs),
        video_ratio=statistics.median(bare.seconds / ours.seconds for bare, ours in both) if both else None,
        peak=max(ours.peak for _, ours in pairs),
        psnr=psnr,
        left_out=left_out,
        note=note,
    )


def find_step(run: Run, row: Row) -> float:
    """Seconds of one step. The first one makes room, so it does not count where all are alike."""
    return statistics.mean(run.steps) if row.is_cached else statistics.median(run.steps[1:])


def compare(path: Path, reference: Path) -> float | None:
    """PSNR in dB of two files of uint8 frames; infinite where they are the same."""
    if not path.exists() or not reference.exists():
        return None
    frames, others = (np.load(each, mmap_mode="r") for each in (path, reference))
    error = np.mean([np.mean((one.astype(float) - other) ** 2) for one, other in zip(frames, others, strict=True)])
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=random_wan.SHAPES, default="tiny")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    for name in ("width", "height", "num-frames", "steps"):
        parser.add_argument(f"--{name}", type=int, help="by default the model's")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each row and of bare diffusers beside it")
    parser.add_argument("--only", nargs="+", choices=[row.name for row in ROWS], metavar="NAME", help="%(choices)s")
    parser.add_argument("--folder", type=Path, help="for the weights, which stay there; by default a temporary one")
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    shape = random_wan.SHAPES[arguments.model]
    for name in ("width", "height", "num_frames", "steps"):
        if getattr(arguments, name) is None:
            setattr(arguments, name, getattr(shape, name))
    if arguments.steps < WARM_STEPS or arguments.rounds < 1:
        parser.error(f"It takes {WARM_STEPS} steps and 1 round at least.")
    return arguments


def run(arguments: argparse.Namespace, folder: Path) -> None:
    """Prints each row when it is there: time may be short."""
    request = GenerationRequest(
        prompt="",
        negative_prompt="",
        width=arguments.width,
        height=arguments.height,
        num_frames=arguments.num_frames,
        fps=16,
        num_inference_steps=arguments.steps,
        guidance_scale=GUIDANCE,
        seed=1,
    )
    device = arguments.device
    weights = folder / f"{arguments.model}-{device}"
    frames = weights / f"{request.width}x{request.height}x{request.num_frames}-{request.num_inference_steps}"
    # This process itself calculates nothing, and uses no accelerator.
    open_apart = partial(Apart, is_fork=device == "cpu")
    with open_apart(random_wan.write, weights, arguments.model, device):
        """It is written when the process is ready."""
    frames.mkdir(exist_ok=True)
    with open_apart(Bare, weights, device) as bare:
        table = Table(is_markdown=arguments.markdown)
        print(options_table.describe(arguments, bare.call("describe")), flush=True)
        print(table.head, flush=True)
        bench = Bench(bare, lambda row: open_apart(Ours, weights, device, row, request), request, arguments.rounds)
        bench.warm()
        for row in ROWS:
            if arguments.only and row.name not in arguments.only:
                continue
            try:
                measured = bench.measure(row, frames)
            except Failed as error:
                measured = Measured(title=row.title, problem=str(error))
            print(table.write(measured), flush=True)
        print(table.write(bench.measure_bare(frames)), flush=True)


def main() -> None:
    # So that one whose time is over leaves no weights and no processes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("It was ended."))
    arguments = read_arguments()
    if arguments.folder:
        run(arguments, arguments.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        run(arguments, Path(folder))


if __name__ == "__main__":
    main()
