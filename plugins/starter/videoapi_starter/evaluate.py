"""Does the model do what it is asked? `python -m videoapi_starter.evaluate` prints the table of the README.

Clips are judged by image analysis (`training/judge.py`); the prompts' combinations were left out of the training.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from videoapi_starter.pipeline import StarterPipeline, build, load
from videoapi_starter.training import judge, processes, scores
from videoapi_starter.training.export import build_pipeline
from videoapi_starter.training.scenes import plain_caption
from videoapi_starter.training.stopwatch import time_default

PACKAGE = Path(__file__).parent
NAMES = {"color": "colour of the object", "background": "background", "shape": "shape", "motion": "motion"}
AIMS = {"color": 0.98, "background": 0.99, "shape": 0.92, "motion": 0.95, "all": 0.88}
PHASES = {"encoding prompt": "text encoder", "denoising": "denoiser", "decoding": "VAE"}


def list_prompts(pipeline: Any, args: argparse.Namespace) -> Iterator[str]:
    """The rows about prompts, then how often each thing was taken for another."""
    scenes = scores.draw_scenes(args.count, args.seed, held_out=not args.seen)
    captions = [plain_caption(scene) for scene in scenes]
    made = scores.generate(pipeline, captions, 1000, args.guidance)
    found = judge.score(list(made), scenes)
    for name, aim in AIMS.items():
        yield f"| {NAMES.get(name, 'all four')} right, of {args.count} | {found[name]:.1%} | >= {aim:.0%} |"
    if args.sheet:
        scores.make_sheet(made).save(args.sheet, quality=80, method=6)
    confusions = scores.find_confusions(made, scenes)
    if args.quick:
        yield f"confusions: {dict(confusions.most_common(10))}"
        return
    reworded = scores.generate(pipeline, scores.reword(scenes, args.seed), 2000, args.guidance)
    again = judge.score(list(reworded), scenes)
    yield f"| all four right, in other words | {again['all']:.1%} | |"
    yield f"confusions: {dict(confusions.most_common(10))}; in other words: {again}"


def list_images(pipeline: Any, count: int) -> Iterator[str]:
    found = scores.score_images(pipeline, count)
    yield f"| first frame kept, of {count} | {found['first of first']:.1f} dB | >= 24 dB |"
    yield f"| first frame kept, with a last frame given | {found['first of both']:.1f} dB | >= 24 dB |"
    yield f"| last frame reached | {found['last of both']:.1f} dB | >= 22 dB |"
    yield f"| motion followed from a given first frame | {found['motion']:.1%} | |"


def list_seconds(pipeline: StarterPipeline) -> Iterator[str]:
    seconds = time_default(pipeline)
    total = sum(seconds.values())
    shares = ", ".join(f"{PHASES.get(name, name)} {value / total:.0%}" for name, value in seconds.items())
    yield f"| 512x512, 16 frames, 12 steps, warm, {os.cpu_count()} cores | {total:.2f} s | <= 6 s |"
    yield f"shares of the time: {shares}"


def measure_package() -> float:
    """Megabytes of the package as it is installed."""
    files = (path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sum(path.stat().st_size for path in files) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m videoapi_starter.evaluate", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="prompts")
    parser.add_argument("--images", type=int, default=32, help="clips with given frames")
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=4242, help="of the choice of prompts")
    parser.add_argument("--seen", action="store_true", help="combinations of the training, to compare checkpoints with")
    parser.add_argument("--quick", action="store_true", help="the prompts alone")
    parser.add_argument("--sheet", help="file for a contact sheet of the first 24")
    parser.add_argument("--transformer", help="a checkpoint in training, with --autoencoder and --text")
    parser.add_argument("--autoencoder")
    parser.add_argument("--text")
    args = parser.parse_args()
    # Timed with all cores, as the server runs it; many clips are made with one, beside other work.
    pipeline = build(build_pipeline(args.autoencoder, args.text, args.transformer)) if args.transformer else load()
    print("| | found | aim |\n|---|---|---|")
    if not args.quick:
        print(*list_seconds(pipeline), sep="\n", flush=True)
    processes.join()
    print(*list_prompts(pipeline.text.pipeline, args), sep="\n", flush=True)
    if args.quick:
        return
    print(*list_images(pipeline.images.pipeline, args.images), sep="\n", flush=True)
    print(f"| package | {measure_package():.2f} MB | <= 10 MB |", flush=True)
    for negative, (colors, backgrounds) in scores.count_negatives(pipeline.text.pipeline, args.images).items():
        print(f"negative prompt {negative!r}: colours {dict(colors)}, backgrounds {dict(backgrounds)}", flush=True)


if __name__ == "__main__":
    main()
