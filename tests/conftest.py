from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
import urllib3.util.connection

from tests.distributions import write_distribution, write_faulty
from tests.hosts import serve
from tests.server import Server

if TYPE_CHECKING:
    from videoapi.engine.slot import Slot

CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
STRICT = os.environ.get("VIDEOAPI_TEST_STRICT") == "1"


def need(program: str, package: str) -> str:
    """The program's path; skips the test with a reason when it is missing, or fails it where nothing may be skipped."""
    path = shutil.which(program)
    if path is None:
        missing(program, package)
    return path


def missing(program: str, package: str) -> NoReturn:
    """Skip the test with a reason, or fail it where nothing may be skipped."""
    if STRICT:
        pytest.fail(f"needs {program}: apt-get install {package}")
    pytest.skip(f"needs {program}: apt-get install {package}")


@pytest.fixture(scope="session")
def faulty_plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the backend `faulty` and one that does not import."""
    folder = tmp_path_factory.mktemp("plugins")
    write_faulty(folder)
    broken = Path(__file__).parent / "plugins" / "broken.py"
    write_distribution(folder, "videoapi-broken", "broken", broken.read_text())
    return folder


@pytest.fixture
def clean_catalog() -> Iterator[None]:
    """The catalog is built anew in the test and after it."""
    from videoapi.engine.registry import get_catalog

    get_catalog.cache_clear()
    yield
    get_catalog.cache_clear()


@pytest.fixture
def faulty(faulty_plugins: Path, clean_catalog: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The backend `faulty`, in this process and in model processes."""
    monkeypatch.syspath_prepend(str(faulty_plugins))
    monkeypatch.setenv("PYTHONPATH", str(faulty_plugins))
    yield
    sys.modules.pop("faulty", None)


@pytest.fixture
def configure(settings: Any, tmp_path: Path) -> Callable[..., Any]:
    """Change keys of settings.VIDEOAPI; scratch and media are the test's own from the start."""
    from videoapi.conf import get_conf

    settings.MEDIA_ROOT = str(tmp_path / "media")
    base = {**settings.VIDEOAPI, "scratch_dir": tmp_path / "media" / "scratch", "models_dir": tmp_path / "models"}
    (tmp_path / "models").mkdir(exist_ok=True)

    def change(**values: Any) -> Any:
        settings.VIDEOAPI = {**base, **values}
        return dataclasses.replace(get_conf())

    change()
    return change


@pytest.fixture
def slot(configure: Callable[..., Any]) -> Iterator[Slot]:
    """A slot with its own scratch folder, and a short patience with models that do not heed a cancel."""
    from videoapi.engine.slot import Slot

    made = Slot("host:1/0", configure(cancel_seconds=0.5))
    yield made
    made.close()


@pytest.fixture(scope="module")
def faulty_server(tmp_path_factory: pytest.TempPathFactory, faulty_plugins: Path) -> Iterator[Server]:
    """A real server with the faulty models."""
    with Server(tmp_path_factory.mktemp("server"), faulty_plugins, VIDEOAPI_PRELOAD="faulty-good") as server:
        yield server


@pytest.fixture(scope="session")
def starter_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A real server with the real starter model, loaded."""
    with Server(tmp_path_factory.mktemp("starter"), VIDEOAPI_FETCH_PRIVATE="1") as server:
        server.wait_until(lambda: "starter is loaded" in server.log, "the starter to load", seconds=120)
        yield server


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    """A page of a real browser."""
    chromium = need("chromium", "chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        yield browser.new_page(viewport={"width": 1280, "height": 900})
        browser.close()


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The addresses to which a connection is tried; each leads to the hostile server instead."""
    from tests.hostile_host import HostileHandler  # it takes a moment

    tried: list[Any] = []
    with serve(HostileHandler) as url:
        port = int(url.rpartition(":")[2])

        def connect(address: Any, timeout: float, *args: Any, **kwargs: Any) -> socket.socket:
            tried.append(address[0])
            connection = socket.socket()
            connection.settimeout(timeout)
            connection.connect(("127.0.0.1", port))
            return connection

        monkeypatch.setattr(urllib3.util.connection, "create_connection", connect)
        yield tried


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the names have these addresses, one answer after the other; the last one stays."""

    def set_answers(*answers: list[str]) -> None:
        left = list(answers)

        def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
            addresses = left.pop(0) if len(left) > 1 else left[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port or 0)) for each in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return set_answers
