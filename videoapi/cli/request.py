"""The fields of `POST /video` as options."""

from __future__ import annotations

import base64
import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from videoapi.cli.client import CommandError

FILES = ("start_image", "end_image", "input_reference")
FIELDS = (
    "prompt",
    "model",
    "negative_prompt",
    *FILES,
    "width",
    "height",
    "size",
    "num_frames",
    "fps",
    "seconds",
    "seed",
    "cfg_scale",
    "step",
    "n",
    "priority",
    "webhook_url",
)
ADDRESSES = ("http://", "https://", "data:")


def add_fields(parser: ArgumentParser) -> None:
    """What is left out, the server decides."""
    parser.add_argument("prompt", help="what the video shows")
    parser.add_argument("--model", required=True, metavar="NAME", help="one of 'videoapi models'")
    parser.add_argument("--negative-prompt", metavar="TEXT", help="what it must not show")
    parser.add_argument("--start-image", metavar="FILE|URL", help="the first frame")
    parser.add_argument("--end-image", metavar="FILE|URL", help="the last frame; needs a start image")
    parser.add_argument(
        "--input-reference", metavar="FILE|URL", help="the first frame, or a clip for a model that takes one"
    )
    parser.add_argument("--width", type=int, metavar="PIXELS")
    parser.add_argument("--height", type=int, metavar="PIXELS")
    parser.add_argument("--size", metavar="WxH", help="in place of width and height")
    parser.add_argument("--num-frames", type=int, metavar="N", help="exactly so many")
    parser.add_argument("--fps", type=int, metavar="N", help="frames per second")
    parser.add_argument("--seconds", metavar="N", help="in place of --num-frames")
    parser.add_argument("--seed", type=int, metavar="N", help="the same seed gives the same video")
    parser.add_argument("--cfg-scale", type=float, metavar="N", help="guidance scale")
    parser.add_argument("--step", type=int, metavar="N", help="denoising steps")
    parser.add_argument("--n", type=int, metavar="N", help="so many videos, each with the next seed")
    parser.add_argument("--webhook-url", metavar="URL", help="where its events are sent")
    parser.add_argument("--priority", type=int, metavar="N", help="higher comes first")
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="one of the model's own options, as JSON or as plain text; may be repeated",
    )


def read_body(options: Namespace) -> dict[str, Any]:
    """The request. Raises CommandError for a file that cannot be read and a --param without a value."""
    body = {name: value for name in FIELDS if (value := getattr(options, name)) is not None}
    for name in FILES:
        if name in body and not body[name].startswith(ADDRESSES):
            body[name] = _read(body[name])
    if options.param:
        body["params"] = dict(_read_param(text) for text in options.param)
    return body


def _read(name: str) -> str:
    try:
        return base64.b64encode(Path(name).read_bytes()).decode()
    except OSError as error:
        raise CommandError(f"'{name}' cannot be read: {error.strerror}.") from error


def _read_param(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise CommandError(f"--param {text}: must be NAME=VALUE.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
