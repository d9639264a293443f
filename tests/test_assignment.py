"""Which models a worker's slots serve and load at its start."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from videoapi.engine.assignment import choose_models
from videoapi.exceptions import InvalidRequest

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


def test_a_slot_for_a_model_that_is_not_installed_is_refused(configure: Callable[..., Any]) -> None:
    with pytest.raises(InvalidRequest, match="Unknown model 'wan'"):
        choose_models(dataclasses.replace(configure(), slots=("wan",)))
