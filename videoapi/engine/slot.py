"""One place in a worker: it makes one run of a model at a time and keeps one model warm."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from videoapi.conf import Conf
from videoapi.engine.batching import claim_batch
from videoapi.engine.job import OUTPUT, make_job, video_format
from videoapi.engine.machine import memory_mib
from videoapi.engine.monitor import HandedBack, Monitor
from videoapi.engine.outage import outlast
from videoapi.engine.process import Message, ModelProcess, Patience
from videoapi.engine.registry import get_catalog
from videoapi.engine.storage import delete_preview, delete_unpublished, publish, release_inputs, scratch_name
from videoapi.engine.tasks import requeue
from videoapi.exceptions import Cancelled, VideoAPIError
from videoapi.models import BY_CLIENT, EVERY_MODEL, Generation

logger = logging.getLogger(__name__)


# How long the end of a generation is held while the database does not answer.
OUTAGE_SECONDS = 300.0


class Slot:
    """Lives in one thread. From another one are set `stop_at`, the time when running work must be handed back,
    `load_requested` and `unload_requested`.
    """

    def __init__(self, name: str, conf: Conf, models: Sequence[str] = (EVERY_MODEL,)) -> None:
        self.name = name
        self.models = models
        self.stop_at = float("inf")
        self.running: Sequence[Generation] = ()
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
        """Claim the model's next generation, and those that share its run; make and publish their videos.

        Whatever goes wrong ends in their rows.
        """
        generations = claim_batch(model, self.name, lambda: self.is_stopping)
        if not generations:
            return
        self.running = generations
        if self._process is not None:
            # From here on its output is these generations' log; a process that is started for them begins with none.
            self._process.output.clear()
        try:
            with self._ending(generations), self._scratch(generations):
                self._generate(generations)
        finally:
            self.running = ()
            self._used = time.monotonic()
            if self._process is not None and not self._process.is_alive:
                self.close()
        for generation in generations:
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

    @property
    def is_stopping(self) -> bool:
        """Its worker stops."""
        return self.stop_at != float("inf")

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

    def folder(self, generation: Generation) -> Path:
        """Of the unfinished files of the running attempt."""
        return self._conf.scratch_dir / scratch_name(generation)

    def drop(self, index: int) -> None:
        """That generation of the running job has ended; the others go on."""
        if self._process is not None:
            self._process.drop(index)

    def last_line(self) -> str:
        """What the process has printed last, for a client; empty when it has printed nothing."""
        return self._process.output.last_line() if self._process is not None else ""

    def log(self) -> str:
        """What the process has printed for the running generations."""
        return self._process.output.text() if self._process is not None else ""

    def _stop_preload(self, message: Message | None) -> bool:
        """Nobody waits for a preload, so it has no grace."""
        if self.is_stopping:
            raise HandedBack
        return False

    @contextmanager
    def _ending(self, generations: Sequence[Generation]) -> Iterator[None]:
        """What goes wrong within ends in the rows of these generations, as far as they have not ended yet."""
        try:
            yield
        except HandedBack:
            self._hand_back(generations, "this worker stops")
        except VideoAPIError as error:
            self._fail(generations, error)
        except Exception:
            logger.exception("%s failed in the worker", _name(generations))
            self._fail(generations, VideoAPIError("The worker failed; the server's log has the details."))

    def _fail(self, generations: Sequence[Generation], error: VideoAPIError) -> None:
        logger.warning("%s: %s: %s", _name(generations), error.code, error.message)
        was_run = self._process is not None and self._process.is_loaded
        if len(generations) > 1 and was_run and not isinstance(error, Cancelled):
            self._hand_back(generations, "it is run alone after a batch that failed")
            return
        log = self.log()
        for generation in generations:
            if outlast(partial(generation.fail, error, log), OUTAGE_SECONDS):
                delete_unpublished(generation)

    def _hand_back(self, generations: Sequence[Generation], why: str) -> None:
        outage = 0.0 if self.is_stopping else OUTAGE_SECONDS
        for generation in generations:
            if outlast(partial(requeue, generation, count_attempt=False), outage):
                logger.warning("generation %s goes back to the queue: %s", generation.pk, why)

    @contextmanager
    def _scratch(self, generations: Sequence[Generation]) -> Iterator[None]:
        """A folder for each, which is gone before another worker can have the generation."""
        try:
            for generation in generations:
                folder = self.folder(generation)
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
            yield
        finally:
            for generation in generations:
                self._clear(generation)

    def _clear(self, generation: Generation) -> None:
        shutil.rmtree(self.folder(generation), ignore_errors=True)
        delete_preview(generation)

    def _generate(self, generations: Sequence[Generation]) -> None:
        started = time.monotonic()
        model = generations[0].model
        process, monitor = self._open(model), Monitor(generations, self)
        if not process.is_loaded:
            monitor.enter("loading")
        conf, spec = self._conf, get_catalog().find(model).spec
        after_cancel = conf.cancel_seconds if spec.interruptible else 0.0
        process.load(monitor, Patience(in_all=conf.load_seconds, after_cancel=after_cancel))
        loading = time.monotonic() - started
        # Some may have been cancelled meanwhile.
        generations = [generation for generation in generations if not generation.is_finished]
        monitor = Monitor(generations, self)
        patience = Patience(
            in_all=spec.limits.max_runtime or conf.run_seconds, silent=conf.stall_seconds, after_cancel=after_cancel
        )
        job = make_job({generation: self.folder(generation) for generation in generations}, conf)
        done = process.generate(job, monitor, patience)
        timings = {"loading": round(loading, 4), **done["timings"]}
        for generation in generations:
            if not generation.is_finished:
                with self._ending([generation]):
                    self._publish(generation, monitor, timings)

    def _publish(self, generation: Generation, monitor: Monitor, timings: Mapping[str, float]) -> None:
        output, video, own = self.folder(generation) / OUTPUT, video_format(generation), dict(timings)
        try:
            monitor.enter("storing")
            if not monitor.wants(generation):
                raise Cancelled(BY_CLIENT)
            if publish(generation, output, video, own, self.log(), OUTAGE_SECONDS):
                logger.info("generation %s completed in %.1f s", generation.pk, sum(own.values()))
        finally:
            self._clear(generation)

    def _open(self, model: str) -> ModelProcess:
        """The warm process of the model, or a new one in place of another model's."""
        if self._process is not None and (self._process.model != model or not self._process.is_alive):
            self.close()
        if self._process is None:
            entry = get_catalog().find(model)
            self._process = ModelProcess(entry.plugin.name, model, self._conf.models_dir, self._conf.model_memory_mib)
        return self._process


def _name(generations: Sequence[Generation]) -> str:
    """For the log."""
    return f"{'generation' if len(generations) == 1 else 'batch of'} {', '.join(str(each.pk) for each in generations)}"
