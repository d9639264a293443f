"""What Prometheus is told of the generations and the workers: read from the rows at each scrape, so that every web
server of a database tells the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from videoapi.conf import Conf
from videoapi.engine.availability import find_unavailable
from videoapi.models import Generation, State, Tally, Worker
from videoapi.models.tally import TOTAL

Values = dict[tuple[str, ...], float]

OUTCOMES = (State.COMPLETED, State.FAILED, State.CANCELLED)


class RowCollector(Collector):
    """Of the `models` that are installed, and of every other one that has been counted.

    It reads the tallies, what is unfinished and the living workers, never what has ended: a scrape costs the same after
    a year. `collect` raises Django's database errors.
    """

    def __init__(self, models: Iterable[str], conf: Conf) -> None:
        self._models = list(models)
        self._conf = conf

    def collect(self) -> Iterator[Metric]:
        yield from self._read_tallies()
        yield from self._read_queue()
        yield from self._read_workers()

    def _read_tallies(self) -> Iterator[Metric]:
        ended = CounterMetricFamily("videoapi_generations", "Generations that have ended.", labels=("model", "outcome"))
        frames = CounterMetricFamily("videoapi_frames", "Frames of completed generations.", labels=("model",))
        phases = HistogramMetricFamily(
            "videoapi_phase_seconds", "Time of completed generations in each phase.", labels=("model", "phase")
        )
        totals = HistogramMetricFamily(
            "videoapi_generation_seconds", "Time from acceptance to completion.", labels=("model",)
        )
        # Prometheus sees the first of a kind only if there were none before.
        none = {model: Tally(model=model) for model in self._models}
        for model, tally in (none | {tally.model: tally for tally in Tally.objects.all()}).items():
            for outcome in OUTCOMES:
                ended.add_metric((model, outcome.value), tally.outcomes.get(outcome, 0))
            frames.add_metric((model,), tally.frames)
            for phase, duration in tally.durations.items():
                buckets = [(floatToGoString(bound), float(count)) for bound, count in tally.cumulate(phase)]
                if phase == TOTAL:
                    totals.add_metric((model,), buckets, duration["seconds"])
                else:
                    phases.add_metric((model, phase), buckets, duration["seconds"])
        yield from (ended, frames, phases, totals)

    def _read_queue(self) -> Iterator[Metric]:
        waiting, running, oldest = (Values({(model,): 0.0 for model in self._models}) for _ in range(3))
        groups = Generation.objects.unfinished().values_list("model", "state").order_by()
        for model, state, count, first in groups.annotate(Count("pk"), Min("created_at")):
            if state == State.QUEUED:
                waiting[model,] = count
                oldest[model,] = max(0.0, (timezone.now() - first).total_seconds())
            else:
                running[model,] = count
        yield _gauge("videoapi_queue_length", "Generations that wait.", waiting)
        yield _gauge("videoapi_queue_oldest_seconds", "How long the oldest of them has waited.", oldest)
        yield _gauge("videoapi_in_progress", "Generations that run.", running)

    def _read_workers(self) -> Iterator[Metric]:
        unavailable = find_unavailable(self._models, self._conf)
        available = Values({(model,): model not in unavailable for model in self._models})
        yield _gauge("videoapi_model_available", "1 where a request would be accepted now.", available)
        workers = list(Worker.objects.live(self._conf.stale_seconds))
        yield GaugeMetricFamily("videoapi_workers", "Living workers.", len(workers))
        processes, memory = (defaultdict[tuple[str, ...], float](float) for _ in range(2))
        for worker in workers:
            for loaded in worker.loaded:
                processes[worker.name, loaded["model"]] += 1
                memory[worker.name, loaded["model"]] += loaded["memory_mib"] * 2**20
        labels = ("worker", "model")
        yield _gauge("videoapi_model_loaded", "Processes that hold the model.", processes, labels)
        yield _gauge("videoapi_model_memory_bytes", "Main memory of these processes.", memory, labels)


def _gauge(name: str, meaning: str, values: Values, labels: Sequence[str] = ("model",)) -> Metric:
    gauge = GaugeMetricFamily(name, meaning, labels=labels)
    for label_values, value in values.items():
        gauge.add_metric(label_values, value)
    return gauge
