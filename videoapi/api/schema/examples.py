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
STARTED = {
    "id": "1",
    "event": "progress",
    "data": '{"status": "in_progress", "phase": null, "attempt": 1, "at": "2026-11-23T07:54:45.386303+00:00"}',
}
MODELS = [
    {"id": name, "object": "model", "owned_by": "videoapi-starter", "available": True}
    for name in ("starter", "video-model")
]

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
    "One page", {"object": "list", "data": [COMPLETED], "first_id": ID, "last_id": ID, "has_more": False}
)
EVENT = OpenApiExample("It was started", STARTED, media_type="text/event-stream")
MODEL_LIST = OpenApiExample("The embedded model and its alias", {"object": "list", "data": MODELS})
