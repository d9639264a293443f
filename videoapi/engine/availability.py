"""Which models can be asked for now, by what the living workers say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from videoapi.conf import Conf
from videoapi.exceptions import ModelUnavailable, NoWorker, Refused
from videoapi.models import Worker


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """How a model is served now."""

    reason: str
    """Why a request for it would be refused; empty when it would be accepted."""
    workers: int | None = None
    """The living ones that serve it; None while nobody knows."""
    is_loaded: bool | None = None
    """One of them has it in memory."""


def require_worker(model: str, workers: Iterable[Worker]) -> None:
    """Raises NoWorker when none of the workers serves the model, ModelUnavailable when all that do say it is."""
    serving = [worker for worker in workers if worker.count_slots(model)]
    if not serving:
        raise NoWorker(f"No worker for model '{model}' is alive; the operator starts one with 'videoworker'.")
    reasons = [worker.unavailable.get(model, "") for worker in serving]
    if all(reasons):
        # Several workers that ask one engine say the same.
        raise ModelUnavailable(model, " ".join(dict.fromkeys(reasons)))


def find_services(models: Iterable[str], conf: Conf) -> dict[str, Service]:
    """How each of the models is served."""
    workers = list(Worker.objects.live(conf.stale_seconds))
    found = {}
    for model in models:
        reason = ""
        try:
            require_worker(model, workers)
        except Refused as refusal:
            reason = refusal.reason if isinstance(refusal, ModelUnavailable) else refusal.message
        found[model] = Service(
            reason=reason,
            workers=sum(1 for worker in workers if worker.count_slots(model)),
            is_loaded=any(worker.holds(model) for worker in workers),
        )
    return found


def find_unavailable(models: Iterable[str], conf: Conf) -> dict[str, str]:
    """Those of the models for which a request would be refused now, each with the reason."""
    return {model: service.reason for model, service in find_services(models, conf).items() if service.reason}
