"""What schemathesis sends is made to fit the models that are there, where the schema allows more."""

from __future__ import annotations

import json
import os
import zlib
from typing import Any

import schemathesis

from tests.clips import encode_clip, greys
from tests.images import base64_of, data_uri, plain

IDENTIFIER = os.environ["VIDEOAPI_TEST_ID"]
MODEL = "faulty-clip"
IMAGE = plain("red")
CLIP = encode_clip(greys(5), 5)
# Any number is one of these: a video takes moments.
NUMBERS = {
    "width": range(16, 81, 16),
    "height": range(16, 81, 16),
    "num_frames": range(1, 10),
    "fps": range(1, 9),
    "step": range(1, 4),
}
IMAGES = ("start_image", "end_image", "input_reference")
# Of a video that is there; in the stateful phase it is the one that a link leads to, but for the remix: one that was
# made from an image has none.
OF_A_VIDEO = ("GET /v1/videos/{id}", "GET /v1/videos/{id}/content", "POST /v1/videos/{id}/remix")
CREATE, REMIX = "POST /v1/videos", OF_A_VIDEO[-1]
STARTING = (CREATE, "POST /v1/videos/edits", "POST /v1/videos/extensions")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """What was made wrong on purpose stays wrong."""
    if case.meta is None or case.meta.generation.mode.is_negative:
        return
    label = case.operation.label
    if label == REMIX or (label in OF_A_VIDEO and case.meta.phase.name != "stateful"):
        case.path_parameters["id"] = IDENTIFIER
    if isinstance(case.body, dict) and label in ("POST /video", *STARTING, REMIX):
        if label == "POST /video":
            case.body = fit(case.body, "starter")
        elif label in STARTING:
            case.body = fit_openai(label, case.body)
            if case.media_type == "multipart/form-data":
                # The body itself stays of texts: one with bytes in it is taken for one that was made wrong.
                kwargs["files"] = as_form(case.body)
        if case.headers and "Idempotency-Key" in case.headers:
            # As a client has them: one for each body.
            body = json.dumps([label, case.body], sort_keys=True)
            case.headers["Idempotency-Key"] = str(zlib.crc32(body.encode()))
    if label == "POST /video" and case.query and "model" in case.query:
        case.query["model"] = "starter"
    if label in ("GET /video", "GET /v1/videos") and case.query:
        # An id that no generation has is a 400.
        case.query.pop("after", None)


def as_form(fields: dict[str, Any]) -> dict[str, tuple[str | None, Any]]:
    """Its parts, with the files themselves."""
    files = {"input_reference": IMAGE, "video": CLIP}
    return {name: (name, files[name]) if name in files else (None, str(value)) for name, value in fields.items()}


def fit_openai(label: str, body: dict[str, Any]) -> dict[str, Any]:
    """The same, by the model that takes clips."""
    fields = fit(body, MODEL)
    small = {name: value for name, value in fields.items() if name not in IMAGES}
    if label == CREATE and len(small) < len(fields):
        by_address = isinstance(body.get("input_reference"), dict)
        small["input_reference"] = {"image_url": data_uri(IMAGE)} if by_address else base64_of(IMAGE)
    elif label != CREATE:
        small["video"] = {"id": IDENTIFIER} if isinstance(body["video"], dict) else base64_of(CLIP)
    return small


def fit(body: dict[str, Any], model: str) -> dict[str, Any]:
    """The same fields, with values that the model takes and that go together."""
    sent = {name: value for name, value in body.items() if value not in (None, "")}
    small: dict[str, Any] = {"model": model, "prompt": sent["prompt"][:100].strip() or "x"}
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
    small |= {name: sent[name] for name in ("seed", "n", "priority", "response_format") if name in sent}
    # The seeds of several are not to go over the largest.
    small["seed"] = min(small.get("seed", 0), 2**62)
    images = [name for name in IMAGES if name in sent]
    if images:
        small["start_image" if "start_image" in images else "input_reference"] = base64_of(IMAGE)
    if "end_image" in images:
        small["end_image"] = base64_of(IMAGE)
    return small
