from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distributions import write_together
from tests.server import Server


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the backend `together`."""
    folder = tmp_path_factory.mktemp("together")
    write_together(folder)
    return folder


@pytest.fixture(autouse=True)
def together(plugins: Path, clean_catalog: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The backend in this process and in model processes."""
    monkeypatch.syspath_prepend(str(plugins))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(plugins), os.environ.get("PYTHONPATH", "")]))
    yield
    sys.modules.pop("together", None)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, plugins: Path) -> Iterator[Server]:
    """A real server with the models that make several videos in one run."""
    with Server(tmp_path_factory.mktemp("server"), plugins, VIDEOAPI_PRELOAD="together-slow") as server:
        yield server
