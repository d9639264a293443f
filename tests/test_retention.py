"""Results that are too old or too many."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from tests import generations
from tests.generations import stored_files
from videoapi.engine import retention
from videoapi.engine.cancel import delete
from videoapi.engine.reaper import sweep
from videoapi.engine.slot import Slot
from videoapi.models import Generation, State

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("faulty")]


@pytest.fixture
def three(slot: Slot) -> list[Generation]:
    """Finished now, one day ago and two days ago."""
    rows = [generations.make(seed=seed) for seed in range(3)]
    for age, row in enumerate(rows):
        slot.run_next(row.model)
        Generation.objects.filter(pk=row.pk).update(finished_at=timezone.now() - timedelta(days=age))
    return list(Generation.objects.order_by("-finished_at"))


def states() -> list[str]:
    return list(Generation.objects.order_by("-finished_at").values_list("state", flat=True))


def test_the_size_is_that_of_the_file(three: list[Generation]) -> None:
    assert [row.file_size for row in three] == [row.video.size for row in three]
    assert three[0].file_size > 500


def test_without_limits_everything_is_kept(three: list[Generation], configure: Callable[..., Any]) -> None:
    assert retention.prune(configure()) == (0, 0)
    assert states() == ["completed"] * 3


def test_old_results_go_and_say_so(three: list[Generation], configure: Callable[..., Any], client: Client) -> None:
    assert retention.prune(configure(keep_days=0.5)) == (2, sum(row.file_size for row in three[1:]))
    assert states() == ["completed", "expired", "expired"]
    assert stored_files() == [three[0].thumbnail.name, three[0].video.name]
    for path in (f"/generated-videos/{three[1].pk}.mp4", f"/thumbnails/{three[1].pk}.jpg"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (410, "expired")
    body = client.get(f"/video/{three[1].pk}").json()
    assert (body["status"], body["progress"], body["data"]) == ("expired", 100, [])


def test_a_key_whose_video_has_expired_is_410(slot: Slot, client: Client) -> None:
    request = {"model": "faulty-good", "prompt": "anything"}
    headers = {"Idempotency-Key": "k", "Prefer": "respond-async"}
    generations.add_worker()
    pk = client.post("/video", request, "application/json", headers=headers).json()["id"]
    slot.run_next("faulty-good")
    assert Generation.objects.get(pk=pk).expire()
    assert client.post("/video", request, "application/json", headers={"Idempotency-Key": "k"}).status_code == 410


def test_the_oldest_go_when_there_is_too_much(three: list[Generation], configure: Callable[..., Any]) -> None:
    retention.prune(configure(keep_bytes=three[0].file_size + three[1].file_size))
    assert states() == ["completed", "completed", "expired"]


def test_a_heap_of_them_goes_in_batches(
    three: list[Generation], configure: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    conf = configure(keep_bytes=1)
    assert [retention.prune(conf)[0] for _ in range(3)] == [2, 1, 0]


def test_a_video_whose_file_is_gone_is_404(three: list[Generation], client: Client) -> None:
    three[0].video.storage.delete(three[0].video.name)
    for path in (f"/generated-videos/{three[0].pk}.mp4", f"/video/{three[0].pk}?response_format=b64_json"):
        assert client.get(path).status_code == 404


def test_a_dry_run_deletes_nothing(
    three: list[Generation], configure: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("prune")
    configure(keep_days=1.5)
    call_command("prune", "--dry-run")
    assert states() == ["completed"] * 3
    call_command("prune")
    assert states() == ["completed", "completed", "expired"]
    out = capsys.readouterr().out
    assert "Everything is kept" in out
    assert f"{three[2].pk}  " in out
    assert "1 would go" in out
    assert "Freed" in out


def test_a_process_that_was_killed_while_it_pruned_leaves_nothing(
    three: list[Generation], configure: Callable[..., Any]
) -> None:
    for row in three:
        assert row.expire()
    sweep(configure())
    assert stored_files() == []
    assert not Generation.objects.exclude(state=State.EXPIRED).exists()


def test_a_video_that_is_completed_while_it_is_deleted_leaves_no_file(
    slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker publishes between the look at the row and the end of the delete."""
    row = generations.make()
    monkeypatch.setattr("videoapi.engine.cancel.cancel", lambda generation: slot.run_next(generation.model))
    delete(row)
    row.refresh_from_db()
    assert (row.state, row.deleted, stored_files()) == ("expired", True, [])


def test_a_video_that_is_completed_after_its_delete_goes_in_the_next_clearing_up(
    slot: Slot, configure: Callable[..., Any]
) -> None:
    row = generations.make()
    row.hide()
    slot.run_next(row.model)
    assert len(stored_files()) == 2
    assert retention.prune(configure())[0] == 1
    assert stored_files() == []
