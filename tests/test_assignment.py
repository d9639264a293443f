"""Which models a worker's slots serve and load at its start."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.test import Client

from videoapi.engine.assignment import choose_models, introduce, leave_to_others
from videoapi.engine.housekeeping import HouseKeeping
from videoapi.engine.registry import get_catalog
from videoapi.engine.slot import Slot
from videoapi.exceptions import InvalidRequest
from videoapi.models import issue_key

pytestmark = pytest.mark.usefixtures("faulty")


@pytest.mark.parametrize(
    ("slots", "preload", "expected"),
    [
        (("*",), (), [(["*"], None)]),
        (("*",), ("video-model",), [(["*"], "starter")]),
        (("*",), ("starter", "faulty-good"), [(["*"], "starter")]),
        (("*", "*"), ("starter", "faulty-good"), [(["*"], "starter"), (["*"], "faulty-good")]),
        (
            ("faulty-good, faulty-slow", "video-model"),
            ("starter", "faulty-slow"),
            [(["faulty-good", "faulty-slow"], "faulty-slow"), (["starter"], "starter")],
        ),
        (("*", "starter"), ("starter", "faulty-good"), [(["*"], "faulty-good"), (["starter"], "starter")]),
        (("faulty-good",), ("starter", "no-such-model"), [(["faulty-good"], None)]),
    ],
)
def test_each_preload_goes_to_the_first_free_slot_that_serves_it(
    configure: Callable[..., Any], slots: tuple[str, ...], preload: tuple[str, ...], expected: list[Any]
) -> None:
    assert choose_models(configure(slots=slots, preload=preload)) == expected


class Placed(Slot):
    """A slot that holds a model, last used at a time, and is free or not."""

    def __init__(self, model: str | None, used: float, *, free: bool = True, models: Sequence[str] = ("*",)) -> None:
        self.models, self.is_free = models, free
        self._facts = model, used

    model = property(lambda self: self._facts[0])
    used = property(lambda self: self._facts[1])


def test_a_loaded_model_and_the_least_recently_used_slot_come_first() -> None:
    first, second, empty = Placed("faulty-good", 10.0), Placed("faulty-slow", 20.0), Placed(None, 0.0)
    everything = {entry.spec.name for entry in get_catalog()}
    introduce([first, second])
    assert leave_to_others(first) == {"faulty-slow"}
    assert leave_to_others(second) == everything - {"faulty-slow"}
    introduce([first, second, empty])
    assert leave_to_others(empty) == {"faulty-good", "faulty-slow"}
    assert leave_to_others(first) == everything - {"faulty-good"}


def test_nothing_is_left_to_a_slot_that_is_busy_or_does_not_serve_it() -> None:
    mine = Placed("faulty-good", 20.0)
    introduce([mine, Placed("faulty-slow", 10.0, free=False)])
    assert leave_to_others(mine) == set()
    introduce([mine, Placed(None, 0.0, models=["starter"])])
    assert leave_to_others(mine) == {"starter"}


@pytest.mark.django_db(transaction=True)
def test_operators_load_and_unload_models(client: Client, slot: Slot) -> None:
    keys = {name: issue_key(name, may_operate=name == "operator")[1] for name in ("operator", "guest")}
    house = HouseKeeping(slot.name.rpartition("/")[0], [slot], slot._conf)

    def ask(action: str, who: str = "operator", model: str = "faulty-good") -> int:
        return client.post(f"/models/{model}/{action}", headers={"x-api-key": keys[who]}).status_code

    assert client.post("/models/faulty-good/load").status_code in (401, 403)
    assert ask("load", "guest") == 403
    assert ask("load") == 503
    house.run()
    assert ask("load", model="nobody") == 404
    for action, model in (("load", "faulty-good"), ("load", "faulty-good"), ("unload", None), ("load", "faulty-good")):
        assert ask(action) == 202
        house.run()
        slot.rest()
        assert slot.model == model


def test_a_slot_for_a_model_that_is_not_installed_is_refused(configure: Callable[..., Any]) -> None:
    with pytest.raises(InvalidRequest, match="Unknown model 'wan'"):
        choose_models(dataclasses.replace(configure(), slots=("wan",)))
