"""A backend whose models make several videos in one run, or fail at it. A video's grey tells its seed."""

import ctypes
import os
import signal
import time

import videoapi

# How many each makes in a run, and how long a request waits for others.
KINDS = {
    "good": {"max_batch_size": 3},
    "slow": {"max_batch_size": 3},
    "single": {},
    "waiting": {"max_batch_size": 3, "max_batch_wait": 600.0},
    "brief": {"max_batch_size": 3, "max_batch_wait": 0.5},
    "raise": {"max_batch_size": 3},
    "kill": {"max_batch_size": 3},
    "segfault": {"max_batch_size": 3},
    "hang": {"max_batch_size": 3},
    "greedy": {"max_batch_size": 3},
    "few": {"max_batch_size": 3},
    "torn": {"max_batch_size": 3},
    "black": {"max_batch_size": 3},
    "refuse": {"max_batch_size": 3},
    "telling": {"max_batch_size": 3},
    "incapable": {"max_batch_size": 2},
}


@videoapi.hookimpl
def register_models(register, configs):
    for kind, limits in KINDS.items():
        register(
            videoapi.ModelSpec(
                name=f"together-{kind}",
                modes=frozenset({"text", "first_frame"}),
                defaults=videoapi.Defaults(width=64, height=48, num_frames=5, fps=5, num_inference_steps=4),
                limits=videoapi.Limits(max_steps=10_000, **limits),
                frame_grid=videoapi.FrameGrid(step=4, offset=1),
                size_multiple=16,
                params={"sampler": {"enum": ["euler", "heun"]}},
            )
        )


@videoapi.hookimpl
def load_model(spec):
    kind = spec.name.removeprefix("together-")
    return Single(kind) if kind == "incapable" else Together(kind)


class Single:
    def __init__(self, kind):
        self.kind = kind

    def generate(self, request, progress):
        print("alone")
        self.work(request, progress)
        return videoapi.Clip(frames=paint(request))

    def work(self, request, progress):
        progress.phase("denoising")
        for step in range(request.num_inference_steps):
            if self.kind == "slow":
                time.sleep(0.05)
            if self.kind == "refuse" and request.prompt == "bad":
                raise videoapi.InvalidRequest("prompt", "This is no good.")
            progress.step(step + 1, request.num_inference_steps)
        progress.phase("decoding")


class Together(Single):
    def generate_batch(self, requests, progress):
        print(f"{len(requests)} together")
        self.fail(requests)
        if self.kind == "telling":
            self.tell(requests, progress)
        self.work(requests[0], progress)
        count = len(requests) - 1 if self.kind == "few" else len(requests)
        return [videoapi.Clip(frames=self.paint(request, index)) for index, request in enumerate(requests[:count])]

    def paint(self, request, index):
        for number, frame in enumerate(paint(request)):
            if self.kind == "torn" and (index, number) == (1, 3):
                raise RuntimeError("the decoder fell over")
            yield frame * 0 if self.kind == "black" and index == 1 else frame

    def tell(self, requests, progress):
        import numpy as np

        progress.warn("Said to all.")
        progress.preview(lambda: np.full((6, 8, 3), 250, np.uint8))
        for request, own in zip(requests, progress.each, strict=True):
            own.phase("encoding prompt")
            own.warn(f"Said to {request.seed}.")
            own.preview(lambda request=request: np.full((6, 8, 3), request.seed, np.uint8))
        for step in range(100):
            time.sleep(0.05)
            progress.each[0].step(step + 1, 100)

    def fail(self, requests):
        if self.kind == "raise":
            raise RuntimeError("the two do not go together")
        if self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "segfault":
            ctypes.string_at(0)
        if self.kind == "hang":
            time.sleep(60)
        if self.kind == "greedy":
            bytearray(2**60)
        if self.kind == "refuse":
            for request in requests:
                if request.prompt == "bad":
                    raise videoapi.InvalidRequest("prompt", "This is no good.")


def paint(request):
    import numpy as np

    for _ in range(request.num_frames):
        yield np.full((request.height, request.width, 3), max(20, request.seed % 256), np.uint8)
