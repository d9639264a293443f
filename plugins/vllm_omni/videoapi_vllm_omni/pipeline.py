"""Has a vLLM-Omni server make a video and takes the file over."""

from __future__ import annotations

import io
import json
import logging
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL.Image import Image

from videoapi import Clip, GenerationRequest, InvalidRequest, ModelError, Progress
from videoapi_vllm_omni.engine import TESTED_VERSION, Engine, EngineRefusal, Job

logger = logging.getLogger(__name__)

# Between two looks at a job: often at first, for short ones.
FIRST_SECONDS, LAST_SECONDS, GROWTH = 0.05, 1.0, 1.3
# Our clients' words for the engine's fields.
FIELDS = {
    "num_inference_steps": "step",
    "guidance_scale": "cfg_scale",
    "num_frames": "num_frames",
    "fps": "fps",
    "size": "size",
    "seed": "seed",
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
}


def load(url: str, api_key: str, model: str, loras: Mapping[str, str]) -> EnginePipeline:
    """A pipeline around a running server. Raises ModelError when it does not serve the model."""
    engine = Engine(url, api_key)
    if reason := engine.why_unavailable(model):
        engine.close()
        raise ModelError(reason)
    if (version := engine.version()) != TESTED_VERSION:
        logger.warning("the engine is vllm-omni %s; tried was %s", version or "of no version", TESTED_VERSION)
    return EnginePipeline(engine, model, loras)


class EnginePipeline:
    """A videoapi pipeline whose work is done elsewhere."""

    def __init__(self, engine: Engine, model: str, loras: Mapping[str, str]) -> None:
        self.engine = engine
        self._model = model
        self._loras = loras

    def generate(self, request: GenerationRequest, progress: Progress) -> Clip:
        """Raises ModelError with the engine's words, and InvalidRequest for a field that it refuses."""
        try:
            job = self.engine.create(self._fields(request), self._files(request))
        except EngineRefusal as refusal:
            raise _explain(refusal) from refusal
        try:
            self._wait(job, progress)
            path = self._download(job)
        finally:
            # Done, failed or no longer wanted: the engine keeps it for ever otherwise.
            self.engine.delete(job["id"])
        return Clip(file=path)

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

    def _fields(self, request: GenerationRequest) -> dict[str, str]:
        fields = {
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt,
            "size": f"{request.width}x{request.height}",
            # Without it the engine makes one frame.
            "num_frames": str(request.num_frames),
            "fps": str(request.fps),
            "num_inference_steps": str(request.num_inference_steps),
            "guidance_scale": str(request.guidance_scale),
            "seed": str(request.seed),
        }
        if self._model:
            fields["model"] = self._model
        params = dict(request.params)
        if (choice := params.pop("lora", None)) is not None:
            fields["lora"] = json.dumps(self._lora(choice))
        return fields | {name: str(value) for name, value in params.items()}

    def _lora(self, choice: Mapping[str, Any]) -> dict[str, Any]:
        number = sorted(self._loras).index(choice["name"]) + 1
        path = self._loras[choice["name"]]
        return {"name": choice["name"], "path": path, "scale": choice.get("scale", 1.0), "int_id": number}

    def _files(self, request: GenerationRequest) -> dict[str, tuple[str, bytes, str]]:
        if request.start_image is None:
            return {}
        return {"input_reference": ("start.png", _to_png(request.start_image), "image/png")}


def _to_png(image: Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def _explain(refusal: EngineRefusal) -> Exception:
    """The engine's own check names a field in its second line; what it says otherwise is about this server."""
    lines = refusal.message.splitlines()
    field = lines[1].strip() if len(lines) > 2 else ""
    if refusal.status == 400 and field in FIELDS:
        return InvalidRequest(FIELDS[field], f"The engine refuses it: {lines[2].strip().partition(' [')[0]}.")
    return ModelError(f"The engine refuses the order: {' '.join(lines)}")
