"""The model's process: loads one model and runs one job at a time. No Django here.

Started by the worker as `python -m videoapi.engine.model_process FD PLUGIN MODEL MODELS_DIR LOG_LEVEL`.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import resource
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from videoapi.catalog import load_catalog
from videoapi.encoding import ClipError, Encoder, VideoFormat, adopt, find_ffmpeg, read_clip, trim, write_thumbnail
from videoapi.engine.output import LOG_FORMAT, hide_paths
from videoapi.engine.parent import die_with_parent
from videoapi.engine.process import PREVIEW
from videoapi.exceptions import Cancelled, EncodingError, InvalidRequest, ModelError, OutOfMemory, VideoAPIError
from videoapi.types import GenerationRequest, Phase, Pipeline

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)


# Seconds that a plugin's `close` may take once the worker has hung up.
CLOSE_SECONDS = 3.0
# The least time between two signs of life while frames are made one by one, in seconds.
FRAME_SECONDS = 0.5
# The least time between two previews, in seconds.
PREVIEW_SECONDS = 1.0


class Channel:
    """The connection to the worker. When it ends, so does this process, whatever its main thread does."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self.jobs: queue.Queue[dict[str, Any] | None] = queue.Queue()
        """What the worker sends; None is the end."""
        self.cancelled = threading.Event()
        threading.Thread(target=self._read, name="channel", daemon=True).start()

    def send(self, **message: Any) -> None:
        with self._lock:
            self._connection.send_bytes(json.dumps(message).encode())

    def _read(self) -> None:
        while True:
            try:
                message = json.loads(self._connection.recv_bytes())
            except (EOFError, OSError):
                self.jobs.put(None)
                time.sleep(CLOSE_SECONDS)
                os._exit(0)
            if message["kind"] == "cancel":
                self.cancelled.set()
            else:
                self.cancelled.clear()
                self.jobs.put(message)


class Reporter:
    """The `progress` of a plugin's `generate`: sends reports, keeps the time of each phase, raises Cancelled."""

    def __init__(self, channel: Channel, preview: Path) -> None:
        self._channel = channel
        self._preview = preview
        self._preview_at = 0.0
        self._told = 0.0
        self._has_lost_preview = False
        self._phase = "generating"
        self._since = time.monotonic()
        self.timings: dict[str, float] = {}

    def step(self, done: int, total: int) -> None:
        self._channel.send(kind="step", done=done, total=total)
        self._check()

    def phase(self, name: Phase) -> None:
        self.close()
        self._phase = name
        self._channel.send(kind="phase", phase=name)
        self._check()

    def preview(self, make: Callable[[], NDArray[np.uint8]]) -> None:
        now = time.monotonic()
        if now >= self._preview_at:
            self._write_preview(make())
            # Never more than a small share of the work.
            self._preview_at = time.monotonic() + max(PREVIEW_SECONDS, 20 * (time.monotonic() - now))
        self._check()

    def _write_preview(self, frame: NDArray[np.uint8]) -> None:
        """It is not worth failing for."""
        # Complete under another name first: the worker may be reading the one before.
        unfinished = self._preview.with_suffix(".new.jpg")
        try:
            write_thumbnail(frame, unfinished, enlarge=True)
            unfinished.replace(self._preview)
        except (EncodingError, OSError):
            if not self._has_lost_preview:
                logger.warning("a preview could not be written and is left out", exc_info=True)
            self._has_lost_preview = True
        else:
            self._channel.send(kind="preview")

    def warn(self, message: str) -> None:
        self._channel.send(kind="warning", message=hide_paths(message))
        self._check()

    def close(self) -> None:
        """Book the time since the phase began."""
        now = time.monotonic()
        self.timings[self._phase] = round(self.timings.get(self._phase, 0.0) + now - self._since, 4)
        self._since = now

    def book(self, name: Phase, frames: Iterable[Any]) -> Iterator[Any]:
        """The same frames; the time that the model takes to make each counts as phase `name`.

        Says now and then that there are more, so that this is no silence. Raises Cancelled between two of them.
        """
        source = iter(frames)
        while True:
            outer = self._phase
            self.close()
            self._phase = name
            frame = next(source, None)
            self.close()
            self._phase = outer
            if frame is None:
                return
            if self._since - self._told >= FRAME_SECONDS:
                self._told = self._since
                self._channel.send(kind="frame")
            self._check()
            yield frame

    def _check(self) -> None:
        if self._channel.cancelled.is_set():
            raise Cancelled("Cancelled by the client.")


def run_job(
    pipeline: Pipeline, job: dict[str, Any], channel: Channel, *, expects_file: bool = False
) -> tuple[dict[str, float], bool]:
    """Generate and encode; returns the seconds that each phase took, and whether the clip was a file.

    ffmpeg is started before the frames are made, so that its start costs no time; `expects_file` says that it is
    probably not needed.
    """
    reporter = Reporter(channel, Path(job["output"]).with_name(PREVIEW))
    request = GenerationRequest(
        **job["request"],
        start_image=_open(job["start_image"]),
        end_image=_open(job["end_image"]),
        clip=_read_clip(job),
    )
    output, video, keep_last = Path(job["output"]), VideoFormat(**job["video"]), request.end_image is not None
    executable = find_ffmpeg(job["ffmpeg"])
    with ExitStack() as stack:
        start = partial(Encoder, output, video, executable, job["metadata"])
        encoder = None if expects_file else stack.enter_context(start())
        clip = pipeline.generate(request, reporter)
        if clip.frames is not None:
            frames = trim(clip.frames, request.num_frames, video.num_frames, keep_last=keep_last)
            clip = replace(clip, frames=reporter.book("decoding", frames))
            reporter.phase("encoding")
            (encoder or stack.enter_context(start())).encode(clip)
    if clip.file is not None:
        with _take_over(clip.file, output.with_suffix(".engine.mp4")) as file:
            reporter.phase("encoding")
            adopt(file, output, video, executable, job["metadata"], keep_last=keep_last)
    reporter.close()
    return reporter.timings, clip.file is not None


@contextmanager
def _take_over(file: Path, taken: Path) -> Iterator[Path]:
    """The plugin's file among this job's own, which go when the job does, even if this process is killed."""
    if not file.is_file():
        raise ModelError("The engine's file does not exist.")
    try:
        try:
            shutil.move(file, taken)
        except OSError as error:
            raise EncodingError(f"The engine's file could not be taken over: {error.strerror}.") from error
        yield taken
    finally:
        for path in (file, taken):
            path.unlink(missing_ok=True)


def _open(path: str | None) -> Image.Image | None:
    if path is None:
        return None
    with Image.open(path) as image:
        return image.convert("RGB")


def _read_clip(job: dict[str, Any]) -> tuple[Image.Image, ...] | None:
    if job["clip"] is None:
        return None
    target = {name: job["request"][name] for name in ("width", "height", "num_frames", "fps")}
    try:
        return read_clip(Path(job["clip"]), **target, max_pixels=job["max_pixels"])
    except ClipError as error:
        raise InvalidRequest("input_reference", str(error)) from error


def _send_error(channel: Channel, error: Exception) -> None:
    if isinstance(error, MemoryError):
        error = OutOfMemory(OutOfMemory.ADVICE)
    if not isinstance(error, VideoAPIError):
        # A plugin's own code: its words are not for the client, who gets the type. The log gets everything.
        logger.exception("the model failed")
        error = ModelError(f"The model failed with {type(error).__name__}; the server's log has the details.")
    elif error.__cause__ is not None:
        logger.error("%s", error.message, exc_info=error)
    field = error.field if isinstance(error, InvalidRequest) else ""
    channel.send(kind="error", code=error.code, message=hide_paths(error.message), field=field)


def limit_memory(mebibytes: int) -> None:
    """What is taken beyond it fails as if the machine had no more.

    Of data alone: the addresses that a GPU's driver reserves without using them are not counted. Weights are, twice
    while they are read from a file that is mapped.
    """
    limit = mebibytes * 2**20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def main(descriptor: int, plugin: str, model: str, models_dir: Path, level: int, memory_mib: int) -> None:
    die_with_parent()
    if memory_mib:
        limit_memory(memory_mib)
    logging.basicConfig(level=level, format=LOG_FORMAT.format(model=model), stream=sys.stderr)
    channel = Channel(Connection(descriptor))
    try:
        pipeline = load_catalog(models_dir, only=plugin).load_model(model)
    except Exception as error:
        _send_error(channel, error)
        return
    channel.send(kind="ready")
    makes_files = False
    while (job := channel.jobs.get()) is not None:
        try:
            timings, makes_files = run_job(pipeline, job, channel, expects_file=makes_files)
        except Exception as error:
            _send_error(channel, error)
        else:
            channel.send(kind="done", timings=timings)
    close = getattr(pipeline, "close", None)
    if close is not None:
        close()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6]))
