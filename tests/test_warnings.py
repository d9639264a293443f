"""What a model says to the client about its video: from `progress.warn` to the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests import generations
from tests.server import Server
from videoapi.engine.slot import Slot
from videoapi.models import Generation, State

# Says what its prompt says, each part between two bars as a warning of its own.
CAREFUL = "faulty-careful"


def run(slot: Slot, prompt: str, *, frames: int = 5) -> Generation:
    generation = generations.make(CAREFUL, prompt=prompt, frames=frames)
    slot.run_next(generation.model)
    generation.refresh_from_db()
    return generation


def test_the_answers_hold_what_the_model_has_warned_of_after_the_servers_own_words(faulty_server: Server) -> None:
    request = {"model": CAREFUL, "prompt": "Too small.|Too red.", "negative_prompt": "dull", "cfg_scale": 1}
    body = faulty_server.post(request).json
    own = "negative_prompt has no effect with cfg_scale 1; it needs more than 1."
    assert body["warnings"] == [own, "Too small.", "Too red."]
    assert faulty_server.get(f"/video/{body['id']}").json["warnings"] == body["warnings"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("faulty")
class TestTheRow:
    def test_has_each_warning_once_and_twenty_at_most_each_cut_to_its_length(self, slot: Slot) -> None:
        parts = ["Twice.", "Twice.", "x" * 400, *(f"Warning {number}." for number in range(30))]
        row = run(slot, "|".join(parts))
        assert row.state == State.COMPLETED
        assert row.warnings == ["Twice.", "x" * 300, *(f"Warning {number}." for number in range(18))]

    def test_keeps_the_warnings_of_a_generation_that_fails(self, slot: Slot) -> None:
        row = run(slot, "It cannot end well.", frames=50)  # more than the model makes
        assert (row.state, row.warnings) == (State.FAILED, ["It cannot end well."])

    def test_has_no_folder_and_nothing_that_a_database_refuses(self, slot: Slot) -> None:
        assert run(slot, "Not in /secret/path/words.txt.|a\0b").warnings == ["Not in words.txt.", "ab"]

    def test_does_not_repeat_them_after_another_attempt(self, slot: Slot) -> None:
        row = Generation.objects.claim(str(generations.make(CAREFUL, prompt="Again.").pk), "host:2/0")
        assert row is not None
        row.warn("Again.")
        assert row.report("denoising", 1, 4)
        assert row.requeue(count_attempt=False)
        slot.run_next(CAREFUL)
        row.refresh_from_db()
        assert (row.state, row.warnings) == (State.COMPLETED, ["Again."])

    def test_is_shown_in_the_admin_with_them(
        self, slot: Slot, admin_client: Client, configure: Callable[..., Any]
    ) -> None:
        row = run(slot, "It does not know <cat>.")
        html = admin_client.get(f"/admin/videoapi/generation/{row.pk}/change/").content.decode()
        assert "It does not know &lt;cat&gt;." in html
