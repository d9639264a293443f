"""What a model's process prints is the log of its generation, and of no other."""

from __future__ import annotations

from typing import Any

import pytest

from tests import generations
from videoapi.engine import slot as slot_module
from videoapi.engine.slot import Slot
from videoapi.models import State

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("faulty")]


def test_what_the_process_printed_is_the_log_of_its_generation_alone(
    slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    first, second = (
        generations.make("faulty-parrot", prompt="a secret"),
        generations.make("faulty-parrot", prompt="two"),
    )
    other = generations.make("faulty-good")
    for row in (first, second, other):
        slot.run_next(row.model)
        row.refresh_from_db()
    # Only the first one had to wait for the model.
    assert [row.log for row in (first, second, other)] == ["the parrot wakes up\na secret in C", "two in C", ""]


def test_a_preload_is_no_part_of_a_log(slot: Slot) -> None:
    slot.preload("faulty-parrot")
    generation = generations.make("faulty-parrot")
    slot.run_next(generation.model)
    generation.refresh_from_db()
    assert generation.log == "anything in C"


def test_a_generation_that_fails_before_its_model_is_asked_has_no_log_of_another(
    slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot.run_next(generations.make("faulty-parrot", prompt="a secret").model)
    generation = generations.make("faulty-parrot")

    def fail(*arguments: Any) -> str:
        raise OSError("disk full")

    monkeypatch.setattr(slot_module, "scratch_name", fail)
    slot.run_next(generation.model)
    generation.refresh_from_db()
    assert (generation.state, generation.log) == (State.FAILED, "")


def test_a_failed_generation_has_its_log_whole(slot: Slot) -> None:
    crashed, raised = generations.make("faulty-abort"), generations.make("faulty-raise")
    for row in (crashed, raised):
        slot.run_next(row.model)
        row.refresh_from_db()
    assert crashed.error_message.endswith("the layers do not match | wan.hpp:2198: invalid num_layers(10) of wan")
    assert crashed.log.endswith("\n/secret/path/wan.hpp:2198: invalid num_layers(10) of wan")
    assert raised.log.endswith("RuntimeError: cannot read /secret/path/weights.bin")


def test_the_log_of_a_model_that_prints_without_end_is_its_end(slot: Slot) -> None:
    generation = generations.make("faulty-chatty")
    slot.run_next(generation.model)
    generation.refresh_from_db()
    lines = generation.log.split("\n")
    assert generation.state == State.COMPLETED
    assert (lines[-1][:5], {len(line) for line in lines}) == ("49999", {100})
    assert 15_000 < len(generation.log) <= 16_384
