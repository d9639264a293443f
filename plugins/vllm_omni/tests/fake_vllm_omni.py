"""What `vllm-omni serve` is to its caller: a program that takes its time, starts processes and answers over HTTP.

The folder in FAKE_FOLDER says how it behaves: a file `fails` ends it with that text, one named `stuck` makes it deaf to
SIGTERM, while there is one named `slow` no job gets done; what it was started with is written there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from plugins.vllm_omni.tests.engine import FakeEngine

ROOT = Path(__file__).parents[3]


def install(folder: Path) -> None:
    """Make the folder an environment with this program in it."""
    program = folder / "bin" / "vllm-omni"
    program.parent.mkdir(parents=True)
    start = "from plugins.vllm_omni.tests.fake_vllm_omni import main\nmain()\n"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n{start}")
    program.chmod(0o755)


def main() -> None:
    folder = Path(os.environ["FAKE_FOLDER"])
    words = sys.argv[1:]
    sys.stdout.write("\x1b[0;36m(DiffusionWorker pid=7)\x1b[0;0m INFO Loading shards: 50%\n")
    sys.stdout.flush()
    if (folder / "fails").exists():
        sys.exit((folder / "fails").read_text())
    if (folder / "stuck").exists():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # A worker in a session of its own, as some engines start them.
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    storage = os.environ["VLLM_OMNI_SERVER_STORAGE__PATH"]
    (Path(storage) / "leftover").touch()
    time.sleep(0.3)
    video = Path(folder / "video.mp4")
    engine = FakeEngine(video.read_bytes() if video.exists() else b"an mp4", int(words[words.index("--port") + 1]))
    engine.api_key = os.environ["VLLM_API_KEY"]
    engine.served = words[words.index("--served-model-name") + 1]
    engine.looks_until_done = 10_000
    started = {
        "pid": os.getpid(),
        "child": child.pid,
        "storage": storage,
        "words": words,
        "environment": dict(os.environ),
    }
    (folder / "started.new").write_text(json.dumps(started))
    (folder / "started.new").replace(folder / "started.json")
    while True:
        engine.looks_until_done = 10_000 if (folder / "slow").exists() else 2
        time.sleep(0.02)


if __name__ == "__main__":
    main()
