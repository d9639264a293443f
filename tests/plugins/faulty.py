"""A backend whose models fail in every way that a model can. Its frames cost nothing, so the tests are fast."""

import ctypes
import logging
import os
import signal
import tempfile
import time
from pathlib import Path

import videoapi

KINDS = (
    "good",
    "raise",
    "segfault",
    "kill",
    "exit",
    "nan",
    "black",
    "short",
    "wrong-size",
    "refuse",
    "model-error",
    "slow",
    "blind",
    "deaf",
    "leisurely",
    "greedy",
    "hungry",
    "grainy",
    "noisy",
    "abort",
    "starved",
    "chatty",
    "parrot",
    "careful",
    "stubborn",
    "load-slow",
    "load-error",
    "load-crash",
    "clip",
    "clip-alone",
    "text-alone",
    "file",
    "torn-file",
)
PARAMS = {
    "brightness": {"type": "integer", "minimum": 0, "maximum": 30, "default": 0},
    "dark": {"type": "boolean"},
    "scheduler": {"enum": ["euler", "heun"]},
}
WRONG_PARAMS = {"depth": {"type": "nonsense"}, "tiling": {"type": "boolean", "default": "perhaps"}}
# Of those that take something else than the others.
MODES = {"clip": {"text", "first_frame", "clip"}, "clip-alone": {"clip"}, "text-alone": {"text"}}


@videoapi.hookimpl
def register_models(register, configs):
    for kind in KINDS:
        register(
            videoapi.ModelSpec(
                name=f"faulty-{kind}",
                modes=frozenset(MODES.get(kind, {"text", "first_frame", "first_and_last_frame"})),
                defaults=videoapi.Defaults(width=64, height=48, num_frames=5, fps=5, num_inference_steps=4),
                limits=videoapi.Limits(max_frames=1000),
                frame_grid=videoapi.FrameGrid(step=4, offset=1),
                size_multiple=16,
                params={"good": PARAMS, "refuse": WRONG_PARAMS}.get(kind, {}),
                interruptible=kind != "stubborn",
            )
        )


@videoapi.hookimpl
def load_model(spec):
    kind = spec.name.removeprefix("faulty-")
    if kind == "load-error":
        raise videoapi.ModelError("The weights are missing.")
    if kind == "load-slow":
        print("\rReading /srv/weights/wan.bin:  5 %\rReading /srv/weights/wan.bin: 40 %", end="")
        time.sleep(30)
    if kind == "parrot":
        print("the parrot wakes up")
    if kind == "load-crash":
        os.write(2, b"cannot map /secret/path/weights.bin\n")
        os.abort()
    return FaultyPipeline(kind)


class FaultyPipeline:
    def __init__(self, kind):
        self.kind = kind

    def generate(self, request, progress):
        import numpy as np

        if self.kind == "parrot":
            print(request.prompt, end=" ")
            ctypes.CDLL(None).printf(b"in C")
        if self.kind == "careful":
            for warning in request.prompt.split("|"):
                progress.warn(warning)
        progress.phase("denoising")
        steps = request.num_inference_steps
        for step in range(steps):
            if self.kind in ("slow", "deaf", "stubborn"):
                time.sleep(0.1)
            if self.kind in ("deaf", "stubborn"):
                continue
            if self.kind == "greedy" and steps > 1:
                bytearray(2**60)
            if self.kind == "hungry" and steps > 1:
                np.ones(2**29, np.uint8)
            progress.step(step + 1, steps)
            if self.kind == "slow":
                progress.preview(lambda step=step: np.full((6, 8, 3), 100 + step % 100, np.uint8))
            if self.kind == "blind":
                progress.preview(lambda: np.zeros(0)[1])
            if step == steps // 2:
                fail(self.kind)
        progress.phase("decoding")
        count = request.num_frames - 2 if self.kind == "short" else request.num_frames
        height = request.height // 2 if self.kind == "wrong-size" else request.height
        frames = []
        for index in range(count):
            frame = np.full((height, request.width, 3), (40 * index + request.seed) % 200 + 20, np.uint8)
            frame += np.uint8(request.params.get("brightness", 0))
            if self.kind == "nan":
                frame = np.full(frame.shape, np.nan, np.float32)
            if self.kind == "grainy":
                frame = np.random.default_rng(index).integers(0, 256, frame.shape, np.uint8)
            if self.kind == "black":
                frame = np.zeros_like(frame)
            frames.append(frame)
        for index, picture in enumerate(request.clip or ()):
            frames[index] = np.asarray(picture)
        if request.start_image is not None:
            frames[0] = np.asarray(request.start_image)
        if request.end_image is not None:
            frames[-1] = np.asarray(request.end_image)
        if self.kind in ("file", "torn-file"):
            return videoapi.Clip(file=write(frames, request.fps, is_torn=self.kind == "torn-file"))
        return videoapi.Clip(frames=linger(frames) if self.kind == "leisurely" else iter(frames))


def linger(frames):
    for frame in frames:
        time.sleep(0.4)
        yield frame


def write(frames, fps, is_torn):
    import av

    path = Path(tempfile.mkdtemp(prefix="engine-")) / "made.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        output.mux(stream.encode())
    if is_torn:
        path.write_bytes(path.read_bytes()[:-100])
    return path


def fail(kind):
    if kind == "raise":
        raise RuntimeError("cannot read /secret/path/weights.bin")
    if kind == "segfault":
        ctypes.string_at(0)
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "exit":
        os._exit(3)
    if kind == "refuse":
        raise videoapi.InvalidRequest("prompt", "This model has read enough of it.")
    if kind == "model-error":
        raise videoapi.ModelError("The numbers do not add up.")
    if kind == "noisy":
        print("x" * 200_000)
    if kind == "abort":
        logging.getLogger("faulty").error("the layers do not match")
        # As a library in C does, past Python's own stderr.
        os.write(2, b"/secret/path/wan.hpp:2198: invalid num_layers(10) of wan\n")
        os.abort()
    if kind == "starved":
        os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n")
        os.abort()
    if kind == "chatty":
        for number in range(50_000):
            os.write(1, b"%05d %s\n" % (number, b"x" * 94))
