"""What schemathesis sends is made to fit the embedded model, where the schema allows more."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import schemathesis

from tests.images import plain

IMAGE = base64.b64encode(plain("red")).decode()
# Any number is one of these: a video takes moments.
NUMBERS = {
    "width": range(16, 81, 16),
    "height": range(16, 81, 16),
    "num_frames": range(1, 10),
    "fps": range(1, 9),
    "step": range(1, 4),
}
IMAGES = ("start_image", "end_image", "input_reference")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """What was made wrong on purpose stays wrong."""
    if case.meta is None or case.meta.generation.mode.is_negative:
        return
    if case.operation.label == "POST /video" and isinstance(case.body, dict):
        case.body = fit(case.body)
        if case.headers and "Idempotency-Key" in case.headers:
            # As a client has them: one for each body.
            case.headers["Idempotency-Key"] = str(zlib.crc32(json.dumps(case.body, sort_keys=True).encode()))
    if case.operation.label == "GET /video" and case.query:
        # An id that no generation has is a 400.
        case.query.pop("after", None)


def fit(body: dict[str, Any]) -> dict[str, Any]:
    """The same fields, with values that the embedded model takes and that go together."""
    sent = {name: value for name, value in body.items() if value is not None}
    small: dict[str, Any] = {"model": "starter", "prompt": sent["prompt"][:100].strip() or "x"}
    for name, values in NUMBERS.items():
        small[name] = values[int(sent.get(name, 0)) % len(values)]
    if "size" in sent:
        small["size"] = f"{small['width']}x{small['height']}"
    if "seconds" in sent:
        small["seconds"] = type(sent["seconds"])(1)
        small["num_frames"] = small["fps"]
    if "cfg_scale" in sent:
        small["cfg_scale"] = min(sent["cfg_scale"], 50)
    if "negative_prompt" in sent:
        small["negative_prompt"] = sent["negative_prompt"][:100]
    small |= {name: sent[name] for name in ("seed", "priority", "response_format") if name in sent}
    images = [name for name in IMAGES if name in sent]
    if images:
        small["start_image" if "start_image" in images else "input_reference"] = IMAGE
    if "end_image" in images:
        small["end_image"] = IMAGE
    return small
