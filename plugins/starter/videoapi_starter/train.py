"""Train the starter from nothing: `python -m videoapi_starter.train --out FOLDER`.

Every stage is a program of `videoapi_starter.training` with a progress bar of its own. A stage whose result is in the
folder is not run again and an interrupted one goes on from its checkpoint, so the same command continues a training.
All data are drawn by the programs; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TRAINING = "videoapi_starter.training"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One program, done when `result` is there."""

    program: str
    arguments: tuple[str, ...]
    result: Path | None
    """None for one that knows itself whether there is something left to do."""
    is_shared: bool = False
    """It runs as several processes, one a core."""


def plan(args: argparse.Namespace) -> Iterator[Stage]:
    """The stages in their order."""
    out: Path = args.out
    text, autoencoder, critic, transformer = (out / name for name in ("text.pt", "vae", "critic.pt", "transformer.pt"))
    pool = [out / f"pool.{rank}" for rank in range(args.processes)]
    pools = ("--pool", *map(str, pool))
    frames = ("--frames", *map(str, args.frames)) if args.frames else ()
    yield Stage(program="train_text", arguments=("--out", str(text), "--steps", str(args.text_steps)), result=text)
    yield Stage(
        program="train_autoencoder",
        arguments=("--out", str(autoencoder), "--steps", str(args.autoencoder_steps)),
        result=autoencoder / "config.json",
        is_shared=True,
    )
    count = str(args.clips // args.processes)
    yield Stage(
        program="encode_pool",
        arguments=("--autoencoder", str(autoencoder), "--out", str(out / "pool"), "--clips", count, *frames),
        result=pool[-1],
        is_shared=True,
    )
    yield Stage(
        program="critic",
        arguments=(*pools, "--out", str(critic), "--steps", str(args.critic_steps)),
        result=critic,
    )
    schedule = ("--samples", str(args.samples), "--decay", str(args.decay), "--batch", str(args.batch))
    yield Stage(
        program="train_transformer",
        arguments=(*pools, "--text", str(text), "--critic", str(critic), "--out", str(transformer), *schedule),
        result=None,
        is_shared=True,
    )
    parts = ("--autoencoder", str(autoencoder), "--text", str(text), "--transformer", str(transformer))
    yield Stage(program="export", arguments=(*parts, "--out", str(out / "weights")), result=None)


def run(stage: Stage, processes: int) -> None:
    """Raises CalledProcessError when the program fails."""
    if stage.result is not None and stage.result.exists():
        return
    several = ("torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m")
    start = several if stage.is_shared and processes > 1 else ()
    command = [sys.executable, "-m", *start, f"{TRAINING}.{stage.program}", *stage.arguments]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def make_parser() -> argparse.ArgumentParser:
    """The defaults are the packaged model's."""
    parser = argparse.ArgumentParser(prog="python -m videoapi_starter.train", description=__doc__)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the stages' results; the model is in weights"
    )
    parser.add_argument(
        "--processes",
        type=int,
        help="one a core, whose gradients are averaged: 2; one alone, which uses the GPU where there is one: 1",
    )
    parser.add_argument("--text-steps", type=int, default=2500)
    parser.add_argument("--autoencoder-steps", type=int, default=3000)
    parser.add_argument("--clips", type=int, default=24000, help="clips to learn from, in all")
    parser.add_argument("--frames", type=int, nargs="+", help="only clips of so many frames (9 17 25 33 49 65)")
    parser.add_argument("--critic-steps", type=int, default=2500)
    parser.add_argument("--samples", type=int, default=660_000, help="for the transformer; a later end continues")
    parser.add_argument("--decay", type=int, default=200_000, help="of these, at the end, with a falling rate")
    parser.add_argument("--batch", type=int, default=48, help="samples at a time for each process")
    return parser


def _choose_processes() -> int:
    import torch

    return 1 if torch.accelerator.is_available() else 2


def main() -> None:
    args = make_parser().parse_args()
    args.processes = args.processes or _choose_processes()
    args.out.mkdir(parents=True, exist_ok=True)
    for stage in plan(args):
        run(stage, args.processes)


if __name__ == "__main__":
    main()
