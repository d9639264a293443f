"""Has a vLLM-Omni server make a video and takes the file over."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from videoapi import Cancelled, Clip, GenerationRequest, ModelError, Progress
from videoapi_vllm_omni.engine import Engine, EngineLost, EngineRefusal, EngineUnreachable, Job
from videoapi_vllm_omni.order import Orders, explain, files_of
from videoapi_vllm_omni.served import ServedEngine

# Between two looks at a job: often at first, for short ones.
FIRST_SECONDS, LAST_SECONDS, GROWTH = 0.02, 0.25, 1.1


class EnginePipeline:
    """A videoapi pipeline whose work is done elsewhere."""

    def __init__(self, engine: Engine, orders: Orders) -> None:
        self.engine = engine
        self._orders = orders

    def generate(self, request: GenerationRequest, progress: Progress) -> Clip:
        """Raises ModelError with the engine's words, and InvalidRequest for a field that it refuses."""
        try:
            job = self.engine.create(self._orders.fields(request), files_of(request))
        except EngineRefusal as refusal:
            raise explain(refusal) from refusal
        try:
            self._wait(job, progress)
            path = self._download(job)
        finally:
            # Done, failed or no longer wanted: the engine keeps it for ever otherwise.
            self.engine.delete(job["id"])
        return Clip(file=path)

    def close(self) -> None:
        self.engine.close()

    def _wait(self, job: Job, progress: Progress) -> None:
        """Until the engine is done. It reports no steps, so none are reported here."""
        seconds = FIRST_SECONDS
        while job["status"] in ("queued", "in_progress"):
            progress.phase("denoising" if job["status"] == "in_progress" else "loading")
            time.sleep(seconds)
            seconds = min(LAST_SECONDS, seconds * GROWTH)
            job = self.engine.find(job["id"])
        if job["status"] != "completed":
            error = job.get("error") or {}
            raise ModelError(f"The engine failed: {error.get('message') or 'it gives no reason'}")

    def _download(self, job: Job) -> Path:
        descriptor, name = tempfile.mkstemp(prefix="vllm-omni-", suffix=".mp4")
        os.close(descriptor)
        path = Path(name)
        try:
            self.engine.download(job["id"], path)
        except BaseException:
            path.unlink()
            raise
        return path


class ServedPipeline(EnginePipeline):
    """The same around an engine of our own, which is waited for when it is being started again."""

    def __init__(self, engine: Engine, orders: Orders, served: ServedEngine, *, kill_on_cancel: bool) -> None:
        super().__init__(engine, orders)
        self._served = served
        self._kill_on_cancel = kill_on_cancel

    def generate(self, request: GenerationRequest, progress: Progress) -> Clip:
        """Raises ModelError with the engine's last words when it dies."""
        try:
            return self._generate_once(request, progress)
        except EngineUnreachable:
            # It went down between its last answer and the order, so nothing has been ordered.
            return self._generate_once(request, progress)

    def _generate_once(self, request: GenerationRequest, progress: Progress) -> Clip:
        served = self._served
        served.wait_until_up(lambda: progress.phase("loading"))
        ends, self.engine.url = served.ends, served.url
        self.engine.is_gone = lambda: served.ends > ends
        try:
            return super().generate(request, progress)
        except Cancelled:
            if self._kill_on_cancel:
                served.restart()
            raise
        except EngineUnreachable:
            if not served.has_ended_since(ends):
                served.restart()
            raise
        except EngineLost as error:
            if served.has_ended_since(ends):
                raise ModelError(served.why_ended()) from error
            # It hangs.
            served.restart()
            raise

    def close(self) -> None:
        super().close()
        self._served.close()
