"""A backend that notes whoever calls its models, in a process that notes every connection and has an internet of its
own: one public address, behind which stands the hostile server of the tests."""

import itertools
import os
import socket
import sys
from pathlib import Path

import urllib3.util.connection

import videoapi

NOTES = Path(os.environ["WATCHFUL_NOTES"])
HOSTILE_PORT = int(os.environ["WATCHFUL_PORT"])
PUBLIC, PRIVATE = "93.184.216.34", "127.0.0.1"
# What a name is resolved to, time after time.
NAMES = {
    "images.example": ([PUBLIC],),
    "private.example": ([PRIVATE],),
    "mixed.example": ([PUBLIC, PRIVATE],),
    "rebinding.example": ([PUBLIC], [PRIVATE]),
    "metadata.example": (["169.254.169.254"],),
}
QUESTIONS = itertools.count()
PARAMS = {"sampler": {"enum": ["euler", "heun"]}, "tiles": {"type": "integer", "minimum": 1, "maximum": 8}}


def note(what):
    with NOTES.open("a") as file:
        file.write(f"{what}\n")


def watch(event, arguments):
    if event != "socket.connect" or not isinstance(arguments[1], tuple):
        return
    host, port = arguments[1][:2]
    if (host, port) != (PRIVATE, HOSTILE_PORT):
        note(f"connection to {host}")
        raise OSError("Network is unreachable")


def resolve(host, *arguments, ask=socket.getaddrinfo, **options):
    name = host.decode() if isinstance(host, bytes) else host
    if name not in NAMES:
        return ask(host, *arguments, **options)
    answers = NAMES[name]
    port = arguments[0] if arguments else options.get("port")
    addresses = answers[next(QUESTIONS) % len(answers)]
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port or 0)) for each in addresses]


def connect(address, timeout, *arguments, **options):
    note(f"connection to {address[0]}")
    if address[0] != PUBLIC:
        raise OSError("Network is unreachable")
    connection = socket.socket()
    connection.settimeout(timeout)
    connection.connect((PRIVATE, HOSTILE_PORT))
    return connection


# The supervisor asks its own server whether it is there.
if "serve" not in sys.argv:
    sys.addaudithook(watch)
socket.getaddrinfo = resolve
urllib3.util.connection.create_connection = connect


@videoapi.hookimpl
def register_models(register, configs):
    kinds = {
        "watchful": {"modes": {"text", "first_frame", "first_and_last_frame"}, "params": PARAMS},
        "watchful-text": {"modes": {"text"}, "unsupported": {"negative_prompt"}},
        "watchful-first": {"modes": {"first_frame"}},
        "watchful-clip": {"modes": {"text", "first_frame", "clip"}},
    }
    for name, facts in kinds.items():
        register(
            videoapi.ModelSpec(
                name=name,
                modes=frozenset(facts["modes"]),
                unsupported=frozenset(facts.get("unsupported", ())),
                params=facts.get("params", {}),
                defaults=videoapi.Defaults(width=64, height=48, num_frames=5, fps=5, num_inference_steps=4),
                limits=videoapi.Limits(max_pixels=512 * 512),
                frame_grid=videoapi.FrameGrid(step=4, offset=1),
                size_multiple=16,
            )
        )


@videoapi.hookimpl
def load_model(spec):
    note(f"{spec.name} loaded")
    return Watchful()


class Watchful:
    def generate(self, request, progress):
        import numpy as np

        note("model called")
        shape = (request.height, request.width, 3)
        return videoapi.Clip(frames=(np.full(shape, 90 + index, np.uint8) for index in range(request.num_frames)))
