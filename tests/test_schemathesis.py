"""schemathesis sends what the schema allows and what it does not, and holds every answer against it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import ROOT, Server

REQUEST = {"model": "starter", "prompt": "a red circle on a white background", "size": "64x64", "step": 1}


@pytest.fixture
def environment(tmp_path: Path, faulty_plugins: Path) -> Iterator[dict[str, str]]:
    """Of a real server that wants keys, with an operator's key, a completed generation and a model for clips."""
    server = Server(tmp_path, faulty_plugins, VIDEOAPI_ALLOW_ANONYMOUS="0", VIDEOAPI_SLOTS="*;*")
    server.manage("migrate", "--verbosity", "0")
    key = server.manage("createkey", "schemathesis", "--operate").splitlines()[0]
    server.start()
    try:
        identifier = server.post(REQUEST, x_api_key=key).json["id"]
        named = {"URL": server.url, "KEY": key, "ID": identifier}
        yield server.environment | {f"VIDEOAPI_TEST_{name}": value for name, value in named.items()}
    finally:
        server.stop()


@pytest.mark.slow
def test_the_server_answers_as_the_schema_says(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(ROOT / "tests" / "schemathesis.toml")),
            *("run", f"{environment['VIDEOAPI_TEST_URL']}/schema", "--checks", "all", "--no-color"),
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    selected, tested = re.search(r"Selected: (\d+)/\d+\s+Tested: (\d+)", done.stdout).groups()  # type: ignore[union-attr]
    assert selected == tested
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert f"✅ {phase}" in done.stdout, done.stdout
