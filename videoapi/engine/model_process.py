"""The model's process: loads one model and runs one job at a time. No Django here.

Started by the worker as `python -m videoapi.engine.model_process FD PLUGIN MODEL MODELS_DIR LOG_LEVEL MEMORY_MIB`.
"""

from __future__ import annotations

import logging
import resource
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from PIL import Image

from videoapi.catalog import Catalog, load_catalog
from videoapi.encoding import ClipError, Encoder, VideoFormat, adopt, find_ffmpeg, read_clip, trim
from videoapi.engine.channel import Channel, Reporter
from videoapi.engine.output import LOG_FORMAT, hide_paths
from videoapi.engine.parent import die_with_parent
from videoapi.engine.process import PREVIEW
from videoapi.exceptions import EncodingError, InvalidRequest, ModelError, OutOfMemory, VideoAPIError
from videoapi.types import BatchPipeline, Clip, GenerationRequest, Pipeline

logger = logging.getLogger(__name__)


class Making:
    """The video of one generation of a job, from its request to its file."""

    def __init__(self, part: dict[str, Any], job: dict[str, Any]) -> None:
        self.output = Path(part["output"])
        self.request = GenerationRequest(
            **part["request"],
            start_image=_open(part["start_image"]),
            end_image=_open(part["end_image"]),
            clip=_read_clip(part, job),
        )
        self._video = VideoFormat(**part["video"])
        self._executable = find_ffmpeg(job["ffmpeg"])
        self._metadata = part["metadata"]
        self._keep_last = self.request.end_image is not None

    def start(self) -> Encoder:
        return Encoder(self.output, self._video, self._executable, self._metadata)

    def encode(self, clip: Clip, encoder: Encoder, reporter: Reporter) -> None:
        assert clip.frames is not None
        made, wanted = self.request.num_frames, self._video.num_frames
        frames = trim(clip.frames, made, wanted, keep_last=self._keep_last)
        clip = replace(clip, frames=reporter.book("decoding", frames))
        reporter.phase("encoding")
        encoder.encode(clip)

    def adopt(self, file: Path, reporter: Reporter) -> None:
        with _take_over(file, self.output.with_suffix(".engine.mp4")) as taken:
            reporter.phase("encoding")
            adopt(taken, self.output, self._video, self._executable, self._metadata, keep_last=self._keep_last)


def run_job(
    pipeline: Pipeline, job: dict[str, Any], channel: Channel, *, expects_file: bool = False
) -> tuple[dict[str, float], bool]:
    """Generate and encode; returns the seconds that each phase took, and whether a clip was a file.

    ffmpeg is started before the frames are made, so that its start costs no time; `expects_file` says that it is
    probably not needed.
    """
    makings = [Making(part, job) for part in job["generations"]]
    reporter = Reporter(channel, [making.output.with_name(PREVIEW) for making in makings])
    with ExitStack() as files:
        with ExitStack() as stack:
            encoders = [None if expects_file else stack.enter_context(making.start()) for making in makings]
            clips = _generate(pipeline, [making.request for making in makings], reporter)
            files.callback(_delete_files, clips)
            for index, (making, clip) in enumerate(zip(makings, clips, strict=True)):
                with _unless_dropped(index, channel) as is_wanted:
                    if is_wanted and clip.frames is not None:
                        making.encode(clip, encoders[index] or stack.enter_context(making.start()), reporter)
        for index, (making, clip) in enumerate(zip(makings, clips, strict=True)):
            with _unless_dropped(index, channel) as is_wanted:
                if is_wanted and clip.file is not None:
                    making.adopt(clip.file, reporter)
    reporter.close()
    return reporter.timings, any(clip.file is not None for clip in clips)


def _generate(pipeline: Pipeline, requests: Sequence[GenerationRequest], reporter: Reporter) -> Sequence[Clip]:
    if len(requests) == 1:
        return [pipeline.generate(requests[0], reporter)]
    assert isinstance(pipeline, BatchPipeline), "it was checked when it was loaded"
    clips = pipeline.generate_batch(requests, reporter)
    if len(clips) != len(requests):
        raise ModelError(f"The model made {len(clips)} videos of {len(requests)}.")
    return clips


@contextmanager
def _unless_dropped(index: int, channel: Channel) -> Iterator[bool]:
    """Whether the generation is wanted still. Once it is not, its folder may be gone, and no failure counts."""
    try:
        yield index not in channel.dropped
    except (ModelError, EncodingError, OSError):
        if index not in channel.dropped:
            raise


def _delete_files(clips: Iterable[Clip]) -> None:
    """Those of engines that were not taken over."""
    for clip in clips:
        if clip.file is not None and clip.file.is_file():
            clip.file.unlink()


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
        taken.unlink(missing_ok=True)


def _open(path: str | None) -> Image.Image | None:
    if path is None:
        return None
    with Image.open(path) as image:
        return image.convert("RGB")


def _read_clip(part: dict[str, Any], job: dict[str, Any]) -> tuple[Image.Image, ...] | None:
    if part["clip"] is None:
        return None
    target = {name: part["request"][name] for name in ("width", "height", "num_frames", "fps")}
    try:
        return read_clip(Path(part["clip"]), **target, max_pixels=job["max_pixels"])
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


def _load(catalog: Catalog, model: str) -> Pipeline:
    """Raises ModelError, also for a model whose runs are to make more videos than it can."""
    pipeline = catalog.load_model(model)
    size = catalog.find(model).spec.limits.max_batch_size
    if size > 1 and not isinstance(pipeline, BatchPipeline):
        raise ModelError(f"'limits.max_batch_size' is {size}, but this model makes one video at a time.")
    return pipeline


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
        pipeline = _load(load_catalog(models_dir, only=plugin), model)
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
