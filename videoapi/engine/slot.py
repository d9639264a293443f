"""One place in a worker: it runs one generation at a time and keeps one model warm."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.db import Error as DatabaseFailure
from django.db import close_old_connections

import videoapi
from videoapi.conf import Conf
from videoapi.encoding import VideoFormat
from videoapi.engine.machine import memory_mib
from videoapi.engine.outage import outlast
from videoapi.engine.process import PREVIEW, Message, ModelProcess, Patience
from videoapi.engine.registry import get_catalog
from videoapi.engine.repeat import whole_request
from videoapi.engine.storage import (
    copy_input,
    delete_preview,
    delete_unpublished,
    publish,
    release_inputs,
    scratch_name,
    store_preview,
)
from videoapi.engine.tasks import requeue
from videoapi.exceptions import Cancelled, VideoAPIError
from videoapi.models import EVERY_MODEL, Generation

logger = logging.getLogger(__name__)


REPORT_SECONDS = 0.5  # between two writes of progress
# How long the end of a generation is held while the database does not answer.
OUTAGE_SECONDS = 300.0


class HandedBack(Exception):
    """The worker stops before the generation is finished; another one runs it."""


class Slot:
    """Lives in one thread. From another one are set `stop_at`, the time when running work must be handed back,
    `load_requested` and `unload_requested`.
    """

    def __init__(self, name: str, conf: Conf, models: Sequence[str] = (EVERY_MODEL,)) -> None:
        self.name = name
        self.models = models
        self.stop_at = float("inf")
        self.running: Generation | None = None
        self._conf = conf
        self._process: ModelProcess | None = None
        self._used = time.monotonic()
        self.unload_requested = False
        self.load_requested: str | None = None
        self.is_free = False
        """It waits for work."""
        self.peers: Sequence[Slot] = ()
        """The other slots of its worker."""

    def serves(self, model: str) -> bool:
        return model in self.models or EVERY_MODEL in self.models

    @property
    def model(self) -> str | None:
        """The loaded one, or the one that it is loading."""
        process = self._process
        return process.model if process is not None else None

    @property
    def used(self) -> float:
        """When it last had work, by the steady clock; a slot without a model comes before all others."""
        return self._used if self._process is not None else 0.0

    def run_next(self, model: str) -> None:
        """Claim the model's next generation, make its video and publish it. Whatever goes wrong ends in its row."""
        generation = Generation.objects.claim_next(model, self.name)
        if generation is None:
            return
        self.running = generation
        if self._process is not None:
            # From here on its output is this generation's log; a process that is started for it begins with none.
            self._process.output.clear()
        try:
            self._generate_in_scratch(generation)
        except HandedBack:
            if requeue(generation, count_attempt=False):
                logger.warning("generation %s goes back to the queue: this worker stops", generation.pk)
        except VideoAPIError as error:
            logger.warning("generation %s: %s: %s", generation.pk, error.code, error.message)
            self._fail(generation, error)
        except Exception:
            logger.exception("generation %s failed in the worker", generation.pk)
            self._fail(generation, VideoAPIError("The worker failed; the server's log has the details."))
        finally:
            self.running = None
            self._used = time.monotonic()
            if self._process is not None and not self._process.is_alive:
                self.close()
        if generation.is_finished:
            release_inputs(generation)

    def preload(self, model: str) -> None:
        """Load a model before anyone asks for it. A failure is logged; a request will meet it again."""
        try:
            self._open(model).load(self._stop_preload, Patience(in_all=self._conf.load_seconds))
            logger.info("%s is loaded", model)
        except HandedBack:
            logger.info("%s is not loaded: this worker stops", model)
        except VideoAPIError as error:
            logger.error("%s cannot be loaded: %s", model, error.message)
        finally:
            self._used = time.monotonic()

    def rest(self) -> None:
        """Between two generations: unload what nobody has used for `idle_seconds`, and do what the operator asks."""
        idle = time.monotonic() - self._used
        if self._process is not None and (self.unload_requested or 0 < self._conf.idle_seconds < idle):
            logger.info("%s is unloaded after %.0f s without work", self._process.model, idle)
            self.close()
        self.unload_requested = False
        if (model := self.load_requested) is not None:
            self.load_requested = None
            self.preload(model)

    def describe(self) -> dict[str, Any] | None:
        """The loaded model and the memory that it holds, for the operator; None when there is none."""
        process = self._process
        if process is None or not process.is_loaded:
            return None
        return {"slot": self.name, "model": process.model, "memory_mib": memory_mib(process.pid)}

    def close(self) -> None:
        """End the model's process in good order."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _stop_preload(self, message: Message | None) -> bool:
        """Nobody waits for a preload, so it has no grace."""
        if self.stop_at != float("inf"):
            raise HandedBack
        return False

    def _fail(self, generation: Generation, error: VideoAPIError) -> None:
        log = self._log()
        if outlast(lambda: generation.fail(error, log), OUTAGE_SECONDS):
            delete_unpublished(generation)

    def last_line(self) -> str:
        """What the process has printed last, for a client; empty when it has printed nothing."""
        return self._process.output.last_line() if self._process is not None else ""

    def _log(self) -> str:
        """What the process has printed for the running generation."""
        return self._process.output.text() if self._process is not None else ""

    def _generate_in_scratch(self, generation: Generation) -> None:
        """In a folder of its own, which is gone before another worker can have the generation."""
        folder = self._conf.scratch_dir / scratch_name(generation)
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self._generate(generation, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            delete_preview(generation)

    def _generate(self, generation: Generation, folder: Path) -> None:
        monitor = Monitor(generation, self, folder / PREVIEW)
        started = time.monotonic()
        process = self._open(generation.model)
        if not process.is_loaded:
            monitor.enter("loading")
        conf, spec = self._conf, get_catalog().find(generation.model).spec
        after_cancel = conf.cancel_seconds if spec.interruptible else 0.0
        process.load(monitor, Patience(in_all=conf.load_seconds, after_cancel=after_cancel))
        loading = time.monotonic() - started
        output = folder / "video.mp4"
        video = VideoFormat(
            width=generation.width, height=generation.height, num_frames=generation.num_frames, fps=generation.fps
        )
        patience = Patience(
            in_all=spec.limits.max_runtime or conf.run_seconds, silent=conf.stall_seconds, after_cancel=after_cancel
        )
        done = process.generate(self._job(generation, folder, output, video), monitor, patience)
        timings = {"loading": round(loading, 4), **done["timings"]}
        if not monitor.enter("storing"):
            raise Cancelled("Cancelled by the client.")
        if publish(generation, output, video, timings, self._log(), OUTAGE_SECONDS):
            logger.info("generation %s completed in %.1f s", generation.pk, time.monotonic() - started)

    def _open(self, model: str) -> ModelProcess:
        """The warm process of the model, or a new one in place of another model's."""
        if self._process is not None and (self._process.model != model or not self._process.is_alive):
            self.close()
        if self._process is None:
            entry = get_catalog().find(model)
            self._process = ModelProcess(entry.plugin.name, model, self._conf.models_dir, self._conf.model_memory_mib)
        return self._process

    def _job(self, generation: Generation, folder: Path, output: Path, video: VideoFormat) -> Message:
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
            "max_pixels": self._conf.max_image_pixels,
            "output": str(output),
            "video": asdict(video),
            "ffmpeg": self._conf.ffmpeg,
            "metadata": self._metadata(generation) if self._conf.embed_metadata else None,
        }

    def _metadata(self, generation: Generation) -> dict[str, Any]:
        """Neither the time nor the id: the same request makes the same bytes."""
        plugin = get_catalog().find(generation.model).plugin
        return {
            "request": whole_request(generation),
            "software": f"videoapi {videoapi.__version__}",
            "backend": f"{plugin.distribution} {plugin.version}",
        }


class Monitor:
    """Listens to the model process for one generation: writes progress and heartbeats, reads the wish to cancel."""

    def __init__(self, generation: Generation, slot: Slot, preview: Path) -> None:
        self._generation = generation
        self._preview = preview
        self._slot = slot
        self._phase, self._step, self._total = "", 0, 0
        self._written = 0.0
        self._unwanted = False

    def enter(self, phase: str) -> bool:
        """Record the phase; False when the generation is no longer wanted here."""
        self._phase = phase
        self._write()
        return not self._unwanted

    def __call__(self, message: Message | None) -> bool:
        """True when the generation is no longer wanted. Raises HandedBack when the worker must stop now."""
        if message is not None and message["kind"] == "phase":
            self._phase = message["phase"]
        elif message is not None and message["kind"] == "step":
            self._step, self._total = message["done"], message["total"]
        elif message is not None and message["kind"] == "preview":
            store_preview(self._generation, self._preview)
        elif message is not None and message["kind"] == "warning":
            self._generation.warn(message["message"])
            self._written = 0.0  # now: the model may fail before the next report, and this may tell why
        now = time.monotonic()
        if now - self._written >= REPORT_SECONDS:
            self._write()
        if now > self._slot.stop_at:
            raise HandedBack
        return self._unwanted

    def _detail(self) -> str:
        """Loading has no steps, so what the process printed last tells how far it is."""
        return self._slot.last_line() if self._phase == "loading" else ""

    def _write(self) -> None:
        self._written = time.monotonic()
        rows = Generation.objects.filter(pk=self._generation.pk, cancel_requested=True)
        try:
            reported = self._generation.report(self._phase, self._step, self._total, self._detail())
            self._unwanted = not reported or rows.exists()
        except DatabaseFailure:
            # A long generation outlives a short outage; a long one makes the row stale, and it is run again.
            logger.exception("the progress of generation %s could not be written", self._generation.pk)
            close_old_connections()
