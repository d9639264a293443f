from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bad_inputs.server import WatchedServer, start_watched


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedServer]:
    """One server for all bad inputs."""
    with start_watched(tmp_path_factory.mktemp("bad-inputs")) as running:
        yield running
