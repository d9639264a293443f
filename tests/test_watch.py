"""The worker's questions to the plugins whether their models can be served."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.distributions import write_remote
from tests.generations import until
from videoapi.engine import watch as watch_module
from videoapi.engine.registry import get_catalog
from videoapi.engine.watch import Watch

pytestmark = pytest.mark.usefixtures("faulty")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faulty: None) -> Iterator[Path]:
    """The file that says what the engine of the model `remote` does; its backend is installed in this process."""
    (tmp_path / "remote").mkdir()
    write_remote(tmp_path / "remote")
    monkeypatch.syspath_prepend(str(tmp_path / "remote"))
    path = tmp_path / "state"
    monkeypatch.setenv("REMOTE_STATE", str(path))
    get_catalog.cache_clear()
    yield path
    # A check that hangs ends when the file is gone.
    path.unlink(missing_ok=True)
    sys.modules.pop("remote", None)


@pytest.fixture
def start(configure: Callable[..., Any]) -> Iterator[Callable[..., Watch]]:
    """Watch over the models of slots, and stop at the end of the test."""
    made: list[Watch] = []

    def start(*slots: list[str], tell: Callable[[], None] = lambda: None) -> Watch:
        made.append(Watch(slots or [["*"]], configure(check_seconds=0.0), tell))
        made[-1].start()
        return made[-1]

    yield start
    for watch in made:
        watch.stop()


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if isinstance(thread, watch_module.ModelCheck)]


def test_without_a_plugin_that_has_the_hook_there_is_no_thread(start: Callable[..., Watch]) -> None:
    watch = start()
    assert (threads(), watch.look(), watch.withheld()) == ([], {}, set())


def test_only_the_models_that_the_worker_serves_are_asked_about(state: Path, start: Callable[..., Watch]) -> None:
    state.write_text("The engine is down.")
    assert start(["starter"], ["faulty-good"]).withheld() == set()
    assert threads() == []
    watch = start(["starter", "remote"])
    assert [(thread.name, thread.daemon) for thread in threads()] == [("check-remote", True)]
    until(watch.look)
    watch.stop()
    until(lambda: not threads())


def test_a_model_goes_and_comes_back(
    state: Path, start: Callable[..., Watch], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    changes = []
    watch = start(tell=lambda: changes.append(1))
    until(lambda: not watch.withheld())
    assert watch.look() == {}
    state.write_text("The engine\0 is down.")
    until(watch.look)
    assert (watch.look(), watch.withheld()) == ({"remote": "The engine is down."}, {"remote"})
    state.unlink()
    until(lambda: not watch.look())
    assert watch.withheld() == set()
    assert len(changes) == 3
    said = [record.getMessage() for record in caplog.records if record.name == watch_module.__name__]
    assert said == ["model remote is unavailable: The engine is down.", "model remote is available again"]


def test_a_model_waits_for_the_first_answer(state: Path, start: Callable[..., Watch]) -> None:
    state.write_text("HANG")
    watch = start()
    assert (watch.look(), watch.withheld()) == ({}, {"remote"})
    state.unlink()
    until(lambda: not watch.withheld())


def test_a_check_that_hangs_is_a_reason_until_it_answers(
    state: Path, start: Callable[..., Watch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "ANSWER_SECONDS", 0.3)
    changes = []
    watch = start(tell=lambda: changes.append(1))
    until(lambda: not watch.withheld())
    state.write_text("HANG")
    until(watch.look)
    assert watch.look() == {"remote": "The check of model 'remote' does not answer."}
    assert len(threads()) == 1
    state.unlink()
    until(lambda: len(changes) == 2)
    assert (watch.look(), watch.withheld()) == ({}, set())


@pytest.mark.parametrize(
    ("content", "error", "logged"),
    [
        ("RAISE", "ConnectionError", "no route to /secret/path"),
        ("NUMBER", "ConfigurationError", "Plugin 'remote' answered with a int, not with a text."),
    ],
)
def test_a_check_that_fails_is_a_reason_and_logged_once(
    state: Path, start: Callable[..., Watch], caplog: pytest.LogCaptureFixture, content: str, error: str, logged: str
) -> None:
    state.write_text(content)
    asked = threading.Event()
    watch = start(tell=asked.set)
    assert asked.wait(20)
    assert watch.look() == {"remote": f"The check of model 'remote' failed with {error}."}
    caplog.clear()
    state.write_text("The engine is down.")
    until(lambda: watch.look() == {"remote": "The engine is down."})
    state.write_text(content)
    until(lambda: error in watch.look()["remote"])
    asked.clear()
    # Some more checks, which fail alike.
    assert not asked.wait(0.5)
    failures = [record.exc_text or "" for record in caplog.records if record.exc_info]
    assert len(failures) == 1
    assert logged in failures[0]
