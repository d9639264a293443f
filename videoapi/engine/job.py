"""What a model's process is told of the generations that it makes in one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import videoapi
from videoapi.conf import Conf
from videoapi.encoding import VideoFormat
from videoapi.engine.process import Message
from videoapi.engine.registry import get_catalog
from videoapi.engine.repeat import whole_request
from videoapi.engine.storage import copy_input
from videoapi.models import Generation

OUTPUT = "video.mp4"


def make_job(folders: Mapping[Generation, Path], conf: Conf) -> Message:
    """The job that makes each generation's video in its folder. Raises StorageFailed for an input that is lost."""
    return {
        "generations": [_describe(generation, folder, conf) for generation, folder in folders.items()],
        "max_pixels": conf.max_image_pixels,
        "ffmpeg": conf.ffmpeg,
    }


def video_format(generation: Generation) -> VideoFormat:
    """What its file must be."""
    return VideoFormat(
        width=generation.width, height=generation.height, num_frames=generation.num_frames, fps=generation.fps
    )


def _describe(generation: Generation, folder: Path, conf: Conf) -> dict[str, Any]:
    parameters = generation.parameters
    return {
        "request": {
            "prompt": generation.prompt,
            "negative_prompt": parameters["negative_prompt"],
            "width": generation.width,
            "height": generation.height,
            "num_frames": parameters["generated_frames"],
            "fps": generation.fps,
            "num_inference_steps": parameters["num_inference_steps"],
            "guidance_scale": parameters["guidance_scale"],
            "seed": generation.seed,
            "params": parameters["params"],
        },
        "start_image": copy_input(generation.start_image, folder / "start.png"),
        "end_image": copy_input(generation.end_image, folder / "end.png"),
        "clip": copy_input(generation.clip, folder / "clip"),
        "output": str(folder / OUTPUT),
        "video": asdict(video_format(generation)),
        "metadata": _metadata(generation) if conf.embed_metadata else None,
    }


def _metadata(generation: Generation) -> dict[str, Any]:
    """Neither the time nor the id: the same request makes the same bytes."""
    plugin = get_catalog().find(generation.model).plugin
    return {
        "request": whole_request(generation),
        "software": f"videoapi {videoapi.__version__}",
        "backend": f"{plugin.distribution} {plugin.version}",
    }
