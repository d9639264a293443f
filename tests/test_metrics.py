"""`/metrics`: what Prometheus reads, beside the rows that it comes from."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

import videoapi
from tests.server import Server
from tests.test_jobs import GOOD, SLOW

DASHBOARD = Path(__file__).parent.parent / "settings" / "grafana.json"
# Grafana's names of them, and one of our own.
UNITS = ("short", "s", "bytes", "percentunit", "cpm", "reqps", "suffix: frames/s")
# As Prometheus asks.
OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> Samples:
    """Every sample by its name and its labels, each once."""
    samples = [
        ((sample.name, frozenset(sample.labels.items())), sample.value)
        for family in parse(text)
        for sample in family.samples
    ]
    assert len(dict(samples)) == len(samples)
    return dict(samples)


def scrape(server: Server) -> Samples:
    answer = server.get("/metrics")
    assert answer.status == 200, answer.body
    return read(answer.body.decode())


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def ended(samples: Samples, model: str) -> dict[str, float]:
    outcomes = ("completed", "failed", "cancelled")
    return {outcome: value(samples, "videoapi_generations_total", model=model, outcome=outcome) for outcome in outcomes}


def test_the_counters_are_those_of_the_rows_and_never_fall(
    faulty_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = faulty_server
    before = scrape(server)
    assert ended(before, "faulty-slow") == {"completed": 0, "failed": 0, "cancelled": 0}
    for seed in range(2):
        assert server.post({**GOOD, "seed": seed}).status == 200
    assert server.post({**GOOD, "model": "faulty-model-error"}).status == 500
    running = server.post(SLOW, Prefer="respond-async").headers["Location"]
    server.wait_until(lambda: server.get(running).json["step"] > 0, "the generation to run")
    waiting = [server.post(SLOW, Prefer="respond-async").headers["Location"] for _ in range(2)]
    now = scrape(server)
    assert value(now, "videoapi_queue_length", model="faulty-slow") == 2
    assert value(now, "videoapi_queue_oldest_seconds", model="faulty-slow") > 0
    assert value(now, "videoapi_queue_oldest_seconds", model="faulty-good") == 0
    assert value(now, "videoapi_in_progress", model="faulty-slow") == 1
    for path in (*waiting, running):
        server.delete(path)
    server.wait_for(running, "cancelled")
    after = scrape(server)
    rows = server.get("/video?limit=100").json["data"]
    for model in ("faulty-good", "faulty-model-error", "faulty-slow"):
        states = Counter(row["status"] for row in rows if row["model"] == model)
        assert ended(after, model) == {state: states[state] for state in ("completed", "failed", "cancelled")}
        assert value(after, "videoapi_queue_length", model=model) == 0
    done = [row for row in rows if row["status"] == "completed"]
    assert value(after, "videoapi_frames_total", model="faulty-good") == sum(row["num_frames"] for row in done)
    for phase in done[0]["timings"].keys() - {"total"}:
        seconds = value(after, "videoapi_phase_seconds_sum", model="faulty-good", phase=phase)
        assert seconds == pytest.approx(sum(row["timings"][phase] for row in done))
        assert value(after, "videoapi_phase_seconds_count", model="faulty-good", phase=phase) == len(done)
    total = value(after, "videoapi_generation_seconds_sum", model="faulty-good")
    assert total == pytest.approx(sum(row["timings"]["total"] for row in done))
    monkeypatch.setitem(server.environment, "VIDEOAPI_KEEP_BYTES", "1")
    assert "Freed" in server.manage("prune")
    assert {row["status"] for row in server.get("/video?model=faulty-good").json["data"]} == {"expired"}
    pruned = scrape(server)
    for series in (name for name in before.keys() | after.keys() if name[0].endswith(("_total", "_bucket", "_count"))):
        assert before.get(series, 0) <= after.get(series, 0) <= pruned.get(series, 0), series
    assert ended(pruned, "faulty-good") == ended(after, "faulty-good")


def test_workers_models_memory_answers_and_the_version_are_told(faulty_server: Server) -> None:
    faulty_server.wait_until(
        lambda: any(name == "videoapi_model_loaded" for name, _ in scrape(faulty_server)), "a model to be loaded"
    )
    samples = scrape(faulty_server)
    assert value(samples, "videoapi_workers") == 1
    (loaded,) = [dict(labels) for name, labels in samples if name == "videoapi_model_loaded"]
    assert value(samples, "videoapi_model_loaded", **loaded) == 1
    assert value(samples, "videoapi_model_memory_bytes", **loaded) > 2**20
    assert value(samples, "videoapi_model_available", model=loaded["model"]) == 1
    assert value(samples, "videoapi_build_info", version=videoapi.__version__) == 1
    assert value(samples, "process_resident_memory_bytes") > 2**20
    assert faulty_server.get("/nowhere").status == 404
    unknown = value(scrape(faulty_server), "videoapi_http_answers_total", method="GET", route="other", status="404")
    assert unknown == 1


def test_openmetrics_is_spoken_to_whom_asks_for_it(faulty_server: Server) -> None:
    answer = faulty_server.get("/metrics", Accept=OPENMETRICS)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in parse_openmetrics(answer.body.decode())}
    assert {"videoapi_generations", "videoapi_workers", "videoapi_build"} <= names
    for accepted in ("*/*", "text/plain;version=0.0.4", "text/plain; version=x"):
        answer = faulty_server.get("/metrics", Accept=accepted)
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_every_metric_of_the_dashboard_is_there(faulty_server: Server) -> None:
    assert faulty_server.post(GOOD).status == 200
    faulty_server.wait_until(
        lambda: any(name == "videoapi_model_loaded" for name, _ in scrape(faulty_server)), "a model to be loaded"
    )
    names = {name for name, _ in scrape(faulty_server)}
    dashboard = json.loads(DASHBOARD.read_text())
    used = set(re.findall(r"(?:videoapi|process)_\w+", json.dumps(dashboard)))
    assert len(used) > 10
    assert used <= names


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["id"] is None
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["query"] == "prometheus"
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set[tuple[int, int]]()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["type"] in ("timeseries", "stat", "table")
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
        for target in panel["targets"]:
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= {*variables, "__rate_interval"}
            assert target["expr"].count("(") == target["expr"].count(")")
