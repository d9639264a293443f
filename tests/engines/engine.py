"""A real vLLM-Omni, for tests and benchmarks. The variable VIDEOAPI_TEST_VLLM_OMNI names its environment's folder."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

from tests.server import find_free_port, send

ENVIRONMENT = os.environ.get("VIDEOAPI_TEST_VLLM_OMNI", "")
START_SECONDS = 180
KEY = "secret"


class Engine:
    """A vLLM-Omni server of a model's folder, with a key."""

    def __init__(self, model: Path, log: Path, *arguments: str, served: str = "wan") -> None:
        self.port, self.served = find_free_port(), served
        self.url = f"http://127.0.0.1:{self.port}"
        self._model, self._log, self._arguments = model, log, arguments

    def start(self) -> None:
        command = [f"{ENVIRONMENT}/bin/vllm-omni", "serve", str(self._model), "--omni", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--served-model-name", self.served, "--api-key", KEY, *self._arguments]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
        end = time.monotonic() + START_SECONDS
        while not self.is_up():
            assert self.process.poll() is None, self._log.read_text()[-4000:]
            assert time.monotonic() < end, self._log.read_text()[-4000:]
            time.sleep(0.5)

    def is_up(self) -> bool:
        try:
            return send(urllib.request.Request(f"{self.url}/health"), timeout=2).status == 200
        except OSError:
            return False

    def kill(self) -> None:
        """With whatever it has started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
