"""Does the packaged model do what the prompt says? Scores held-out prompts, given frames and negative prompts."""

from __future__ import annotations

import argparse
import collections
import os
import random
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from diffusers import WanImageToVideoPipeline, WanPipeline
from PIL import Image

from training import clips, judge, processes
from training.check_autoencoder import psnr
from training.export import build_pipeline
from training.scenes import draw_scene, plain_caption
from videoapi_starter.pipeline import text_only

SIZE = {"height": 128, "width": 128, "num_frames": 17, "num_inference_steps": 12, "output_type": "pt"}
GUIDANCE = 4.0
BATCH = 16


def make_pipelines(args: argparse.Namespace) -> tuple[Any, Any]:
    """The text pipeline and the image pipeline, from the package's folder or from parts still in training."""
    if args.transformer:
        images = build_pipeline(args.autoencoder, args.text, args.transformer)
    else:
        images = WanImageToVideoPipeline.from_pretrained(args.weights, dtype=torch.float32)
    components = {name: part for name, part in images.components.items() if not name.startswith("image_")}
    text = WanPipeline(**{**components, "transformer": text_only(images.transformer)})
    for pipeline in (text, images):
        pipeline.set_progress_bar_config(disable=True)
    return text, images


def generate(pipeline: Any, captions: list[str], seed: int, guidance: float, negative: str = "") -> torch.Tensor:
    """Clips (count, 3, frames, height, width) in [0, 1]."""
    parts = []
    for i in range(0, len(captions), BATCH):
        part = captions[i : i + BATCH]
        output = pipeline(
            prompt=part,
            negative_prompt=[negative] * len(part),
            guidance_scale=guidance,
            generator=torch.Generator().manual_seed(seed + i),
            **SIZE,
        )
        parts.append(output.frames.permute(0, 2, 1, 3, 4))
    return torch.cat(parts)


def score_prompts(pipeline: Any, count: int, guidance: float, picture: str | None) -> None:
    rng = random.Random(4242)
    scenes = [draw_scene(rng, held_out=True) for _ in range(count)]
    made = generate(pipeline, [plain_caption(scene) for scene in scenes], 1000, guidance)
    print(f"prompts, {count} held-out combinations, guidance {guidance:g}: {judge.score(made, scenes)}", flush=True)
    wrong: collections.Counter[tuple[str, str, str]] = collections.Counter()
    for clip, asked in zip(made, scenes, strict=True):
        seen = judge.judge(clip)
        for name in ("shape", "color", "motion", "background"):
            got = getattr(seen, name) if seen else "nothing"
            if got != getattr(asked, name):
                wrong[name, getattr(asked, name), got] += 1
    print("confusions:", wrong.most_common(10), flush=True)
    if picture:
        strips = [torch.cat([clip[:, t] for t in (0, 4, 8, 12, 16)], 2) for clip in made[:24]]
        columns = [torch.cat(strips[i : i + 8], 1) for i in range(0, 24, 8)]
        sheet = (torch.cat(columns, 2) * 255).round().byte().permute(1, 2, 0)
        Image.fromarray(sheet.numpy()).save(picture)
        for scene in scenes[:24]:
            print(plain_caption(scene))


def score_images(pipeline: Any, count: int) -> None:
    """How near the given frames come out, and whether the prompt's motion is followed from a given first frame."""
    rng = random.Random(31337)
    scenes = [draw_scene(rng, held_out=True) for _ in range(count)]
    truth = clips.render(scenes, 17, 128, 128, rng)
    names = ("first of first", "last of first", "first of both", "last of both")
    errors: dict[str, list[float]] = {name: [] for name in names}
    followed = 0
    for i, scene in enumerate(scenes):
        first, last = (_to_image(truth[i, :, t]) for t in (0, -1))
        for both in (False, True):
            output = pipeline(
                image=first,
                last_image=last if both else None,
                prompt=plain_caption(scene),
                guidance_scale=2.0,
                generator=torch.Generator().manual_seed(i),
                **SIZE,
            ).frames[0]
            for t, end in ((0, "first"), (-1, "last")):
                quality = psnr(output[None, t] * 2 - 1, truth[i, :, t][None])
                errors[f"{end} of {'both' if both else 'first'}"].append(float(quality))
            if not both:
                seen = judge.judge(output.permute(1, 0, 2, 3))
                followed += seen is not None and seen.motion == scene.motion
    table = ", ".join(f"{name} {sum(values) / count:.1f} dB" for name, values in errors.items())
    print(f"given frames, {count} clips: {table}; motion followed {followed / count:.2f}", flush=True)


def score_negatives(pipeline: Any, count: int) -> None:
    for negative in ("", "red circle", "white background", "black background"):
        made = generate(pipeline, ["a circle standing still"] * count, 500, 2.5, negative)
        seen = [judge.judge(clip) for clip in made]
        colors = collections.Counter(scene.color for scene in seen if scene)
        backs = collections.Counter(scene.background for scene in seen if scene)
        print(f"negative prompt {negative!r}: colours {dict(colors)}, backgrounds {dict(backs)}", flush=True)


def _to_image(frame: torch.Tensor) -> Image.Image:
    return Image.fromarray(((frame + 1) * 127.5).round().byte().permute(1, 2, 0).numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    package = Path(__file__).parent.parent / "videoapi_starter" / "weights"
    parser.add_argument("--weights", default=str(package), help="an exported folder")
    parser.add_argument("--transformer", help="a checkpoint in training, with --autoencoder and --text")
    parser.add_argument("--autoencoder")
    parser.add_argument("--text")
    parser.add_argument("--count", type=int, default=128)
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    parser.add_argument("--picture", help="file for a contact sheet")
    parser.add_argument("--prompts-only", action="store_true")
    args = parser.parse_args()
    processes.join()
    text, images = make_pipelines(args)
    score_prompts(text, args.count, args.guidance, args.picture)
    if not args.prompts_only:
        score_images(images, min(args.count, 16))
        score_negatives(text, 32)


if __name__ == "__main__":
    main()
