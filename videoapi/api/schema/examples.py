"""Requests that the embedded model takes, and what a server has answered to some of them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

ID = "6c153225-8bde-4788-8fe6-16e2527054d8"
PLACE = "/generated-videos/6c153225-8bde-4788-8fe6-16e2527054d8.mp4"
REQUEST = {"model": "starter", "prompt": "a yellow star spinning on a blue background", "seed": 7}
VIDEO: dict[str, Any] = {
    "created": 1795420485,
    "id": ID,
    "data": [{"url": PLACE}],
    "model": "starter",
    "seed": 7,
    "width": 512,
    "height": 512,
    "num_frames": 16,
    "fps": 8,
    "seconds": 2.0,
    "timings": {
        "queued": 0.0076,
        "loading": 0.0,
        "generating": 0.4024,
        "encoding prompt": 0.1545,
        "denoising": 0.6146,
        "decoding": 0.7533,
        "encoding": 0.094,
        "storing": 0.0106,
        "total": 2.0516,
    },
    "warnings": ["Made at 128x128 and enlarged to 512x512."],
}
NOT_STARTED = {"status": "queued", "phase": None, "detail": None, "step": 0, "total_steps": 0, "progress": 0}
ACCEPTED = {
    **VIDEO,
    **NOT_STARTED,
    "data": [],
    "timings": {},
    "warnings": [],
    "cancel_requested": False,
    "error": None,
}
RUNNING = {
    **ACCEPTED,
    "request": {
        **REQUEST,
        "negative_prompt": "",
        "width": 512,
        "height": 512,
        "num_frames": 16,
        "fps": 8,
        "step": 12,
        "cfg_scale": 4.0,
        "params": {},
    },
    "timings": {"queued": 0.0076},
    "warnings": VIDEO["warnings"],
    "status": "in_progress",
    "phase": "denoising",
    "step": 2,
    "total_steps": 12,
    "progress": 16,
    "queue_position": None,
    "eta_seconds": None,
}
COMPLETED = {**VIDEO, "status": "completed", "phase": None, "detail": None, "step": 12, "total_steps": 12}
COMPLETED |= {"progress": 100, "cancel_requested": False, "error": None}
LISTED = {**COMPLETED, "prompt": REQUEST["prompt"]}
STARTED = {
    "id": "1",
    "event": "progress",
    "data": '{"status": "in_progress", "phase": null, "attempt": 1, "at": "2026-11-23T07:54:45.386303+00:00"}',
}
MODELS: list[dict[str, Any]] = [
    {
        "id": name,
        "object": "model",
        "created": 1795424239,
        "owned_by": "videoapi-starter",
        "modes": ["text", "first_frame", "first_and_last_frame"],
        "available": True,
    }
    for name in ("starter", "video-model")
]
STARTER = {
    **MODELS[0],
    "loaded": True,
    "workers": 1,
    "backend": {"name": "starter", "distribution": "videoapi-starter", "version": "0.1.0"},
    "aliases": ["video-model"],
    "description": "A coloured shape that moves over a plain background, as the prompt says. Small enough for any CPU: "
    "it works at 128x128, 160x96 or 96x160 and at 9 to 65 frames, and resizes what it makes.",
    "defaults": {
        "width": 512,
        "height": 512,
        "num_frames": 16,
        "fps": 8,
        "step": 12,
        "cfg_scale": 4.0,
        "negative_prompt": "",
    },
    "size_multiple": 2,
    "audio": False,
    "native_sizes": ["128x128", "160x96", "96x160"],
    "frame_grid": {"step": 4, "offset": 1},
    "limits": {
        "max_side": 1280,
        "max_pixels": 1638400,
        "max_frames": 241,
        "max_fps": 60,
        "max_step": 100,
        "max_cfg_scale": 50.0,
        "max_prompt_length": 4000,
        "max_seed": 9223372036854775807,
        "min_priority": -100,
        "max_priority": 0,
        "max_runtime": 14400.0,
        "max_body_bytes": 33554432,
    },
    "inputs": {
        "image": {
            "formats": ["png", "jpeg", "webp"],
            "max_bytes": 20971520,
            "max_pixels": 40000000,
            "min_side": 8,
            "max_frames": 1000,
        },
        "urls": True,
    },
    "unsupported": [],
    "params": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    },
    "interruptible": True,
}
OPENAI_ACCEPTED: dict[str, Any] = {
    "id": ID,
    "object": "video",
    "model": "starter",
    "status": "queued",
    "progress": 0,
    "created_at": 1795424261,
    "completed_at": None,
    "expires_at": None,
    "prompt": "a yellow star spinning on a blue background",
    "size": "160x96",
    "seconds": "2",
    "remixed_from_video_id": None,
    "error": None,
    "seed": 7,
    "num_frames": 16,
    "fps": 8,
    "warnings": [],
}
OPENAI_COMPLETED = {**OPENAI_ACCEPTED, "status": "completed", "progress": 100, "completed_at": 1795424264}
MESSAGE = {
    "id": "evt_6c1532258bde47888fe616e2527054d8_4",
    "object": "event",
    "type": "video.completed",
    "timestamp": "2026-11-23T08:57:44.306807+00:00",
    "created_at": 1795424264,
    "data": LISTED,
}

REQUESTS = [
    OpenApiExample("A prompt", REQUEST, request_only=True),
    OpenApiExample(
        "LocalAI's example",
        {
            "model": "video-model",
            "prompt": "a red circle moving to the right on a white background",
            "width": 512,
            "height": 512,
            "num_frames": 16,
            "fps": 8,
        },
        request_only=True,
    ),
    OpenApiExample(
        "OpenAI's words",
        {"model": "starter", "prompt": "a green square on a black background", "size": "160x96", "seconds": "1.5"},
        request_only=True,
    ),
    OpenApiExample("The file itself", {**REQUEST, "size": "64x64", "response_format": "b64_json"}, request_only=True),
]
VIDEO_DONE = OpenApiExample("Completed", VIDEO)
JOB_ACCEPTED = OpenApiExample("Accepted", ACCEPTED)
JOB_RUNNING = OpenApiExample("Running", RUNNING)
JOB_LIST = OpenApiExample(
    "One page", {"object": "list", "data": [LISTED], "first_id": ID, "last_id": ID, "has_more": False}
)
EVENT = OpenApiExample("It was started", STARTED, media_type="text/event-stream")
MODEL_LIST = OpenApiExample("The embedded model and its alias", {"object": "list", "data": MODELS})
MODEL = OpenApiExample("The embedded model", STARTER)
OPENAI_REQUEST = OpenApiExample(
    "A prompt, a size and a duration", {**REQUEST, "size": "160x96", "seconds": "2"}, request_only=True
)
OPENAI_VIDEO = OpenApiExample("Accepted", OPENAI_ACCEPTED)
OPENAI_VIDEO_DONE = OpenApiExample("Completed", OPENAI_COMPLETED)
OPENAI_LIST = OpenApiExample(
    "One page", {"object": "list", "data": [OPENAI_COMPLETED], "first_id": ID, "last_id": ID, "has_more": False}
)
WEBHOOK = OpenApiExample("It is completed", MESSAGE)
