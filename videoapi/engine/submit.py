"""Accepts a validated request: from here on it is in the database and will not be lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction

from videoapi.conf import Conf, get_conf
from videoapi.engine.admission import admit, require_room
from videoapi.engine.storage import delete_inputs, store_clip, store_image
from videoapi.engine.tasks import deliver
from videoapi.engine.webhooks import choose_url
from videoapi.exceptions import IdempotencyConflict, Refused
from videoapi.models import APIKey, Event, Generation, WebhookDelivery
from videoapi.types import GenerationRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class Idempotency:
    """A client's name for one request, so that sending it again does not make another video."""

    key: str
    digest: str
    """Of the request's body."""

    def find(self) -> Generation | None:
        """The generation of that key. Raises IdempotencyConflict when it came from another body."""
        generation = Generation.objects.filter(idempotency_key=self.key).first()
        if generation is not None and generation.request_digest != self.digest:
            message = "This Idempotency-Key was sent with another request; use a new one."
            raise IdempotencyConflict("Idempotency-Key", message)
        return generation


def submit(
    model: str,
    request: GenerationRequest,
    num_frames: int,
    warnings: Sequence[str],
    *,
    n: int = 1,
    clip: bytes | None = None,
    inputs: Mapping[str, Any] | None = None,
    idempotency: Idempotency | None = None,
    client: str = "",
    api_key: APIKey | None = None,
    priority: int = 0,
    remixed_from: Generation | None = None,
    webhook_url: str = "",
) -> Generation:
    """Store the request and queue it, both or neither; or return the one that has its idempotency key already.

    `num_frames` is what the client asked for; `request.num_frames` is what the model will make. `clip` is the client's
    file, of which the model's process makes `request.clip`; `inputs` is what is known of each file that it sent, by the
    field. Of `n` videos, each with the next seed, the first is returned. Those of a higher priority come first; among
    equals, clients take turns. Their events are sent to `webhook_url`, else to the key's. Raises Refused,
    IdempotencyConflict and InvalidRequest.
    """
    conf = get_conf()
    values: dict[str, Any] = {
        "model": model,
        "client": client,
        "api_key": api_key,
        "priority": priority,
        "prompt": request.prompt,
        "parameters": {
            "negative_prompt": request.negative_prompt,
            "num_inference_steps": request.num_inference_steps,
            "guidance_scale": request.guidance_scale,
            "generated_frames": request.num_frames,
            "params": dict(request.params),
            # The files themselves are gone once it has ended.
            **({"inputs": dict(inputs)} if inputs else {}),
        },
        "width": request.width,
        "height": request.height,
        "num_frames": num_frames,
        "fps": request.fps,
        "warnings": list(warnings),
        "remixed_from": remixed_from,
        "webhook_url": choose_url(webhook_url, api_key, conf),
    }
    first = Generation(
        **values,
        seed=request.seed,
        idempotency_key=idempotency.key if idempotency else None,
        request_digest=idempotency.digest if idempotency else "",
    )
    others = [Generation(**values, seed=request.seed + number, first=first) for number in range(1, n)]
    generations = [first, *others]
    require_room(first, n, conf)
    try:
        for generation in generations:
            _store_inputs(generation, request, clip)
        with transaction.atomic():
            for generation in generations:
                _accept(generation, conf)
    except BaseException as error:
        for generation in generations:
            delete_inputs(generation)
        # The same request at the same time: the other one was first, and is what fills the queue or the limit.
        if isinstance(error, IntegrityError | Refused) and idempotency and (known := idempotency.find()):
            return known
        raise
    return first


def _store_inputs(generation: Generation, request: GenerationRequest, clip: bytes | None) -> None:
    for field, image in (
        (generation.start_image, request.start_image),
        (generation.end_image, request.end_image),
    ):
        if image is not None:
            store_image(field, image)
    if clip is not None:
        store_clip(generation.clip, clip)


def _accept(generation: Generation, conf: Conf) -> None:
    generation.events = generation.log_event(generation.state, "")
    admit(generation, conf)
    generation.turn = Generation.objects.next_turn(generation.model, generation.client, generation.priority)
    generation.save(force_insert=True)
    if generation.webhook_url:
        WebhookDelivery.objects.add(generation, Event.CREATED)
    deliver(generation.model)
