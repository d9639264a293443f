"""Which models can be asked for now, by what the living workers say."""

from __future__ import annotations

from collections.abc import Iterable

from videoapi.conf import Conf
from videoapi.exceptions import ModelUnavailable, NoWorker, Refused
from videoapi.models import Worker


def require_worker(model: str, workers: Iterable[Worker]) -> None:
    """Raises NoWorker when none of the workers serves the model, ModelUnavailable when all that do say it is."""
    serving = [worker for worker in workers if worker.count_slots(model)]
    if not serving:
        raise NoWorker(f"No worker for model '{model}' is alive; the operator starts one with 'videoworker'.")
    reasons = [worker.unavailable.get(model, "") for worker in serving]
    if all(reasons):
        # Several workers that ask one engine say the same.
        raise ModelUnavailable(model, " ".join(dict.fromkeys(reasons)))


def find_unavailable(models: Iterable[str], conf: Conf) -> dict[str, str]:
    """Those of the models for which a request would be refused now, each with the reason."""
    workers = list(Worker.objects.live(conf.stale_seconds))
    found = {}
    for model in models:
        try:
            require_worker(model, workers)
        except Refused as refusal:
            found[model] = refusal.reason if isinstance(refusal, ModelUnavailable) else refusal.message
    return found
