"""Where the command line writes a video: pipes, links, names, and an output that takes no more."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import environment, run
from tests.server import Server
from tests.videos import read

GOOD = ("generate", "anything", "--model", "faulty-good")


def test_a_named_pipe_stays_one_and_gets_the_video(faulty_server: Server, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
    reader.start()
    done = run(*GOOD, "-o", "pipe", "--server", faulty_server.url, cwd=tmp_path)
    reader.join(30)
    assert done.returncode == 0, done.stderr
    assert len(read(heard[0]).frames) == 5
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_link_stays_one_and_its_file_gets_the_video(faulty_server: Server, tmp_path: Path) -> None:
    target = tmp_path / "folder" / "real.mp4"
    target.parent.mkdir()
    target.write_text("old")
    link = tmp_path / "link.mp4"
    link.symlink_to(target)
    assert run(*GOOD, "-o", "link.mp4", "--server", faulty_server.url, cwd=tmp_path).returncode == 1
    assert run(*GOOD, "-o", "link.mp4", "--force", "--server", faulty_server.url, cwd=tmp_path).returncode == 0
    assert link.is_symlink()
    assert len(read(target.read_bytes()).frames) == 5
    assert [path.name for path in target.parent.iterdir()] == ["real.mp4"]


def test_a_name_as_long_as_a_name_can_be(faulty_server: Server, tmp_path: Path) -> None:
    name = "a" * 251 + ".mp4"
    assert run(*GOOD, "-o", name, "--server", faulty_server.url, cwd=tmp_path).returncode == 0
    assert len(read((tmp_path / name).read_bytes()).frames) == 5
    done = run(*GOOD, "-o", f"a{name}", "--server", faulty_server.url, cwd=tmp_path)
    assert (done.returncode, done.stderr.decode()) == (
        1,
        f"videoapi: 'a{name}' cannot be written: File name too long.\n",
    )


def _run_into(output: Any, server: Server, folder: Path) -> str:
    """What it says, with that as its stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "videoapi.cli", *GOOD, "-o", "-", "--server", server.url],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.PIPE,
        timeout=120,
    )
    assert done.returncode == 1
    return done.stderr.decode()


def test_an_output_that_nobody_reads_is_a_sentence(faulty_server: Server, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as output:
        said = _run_into(output, faulty_server, tmp_path)
    assert "videoapi: '-' cannot be written: Broken pipe. The video is at http" in said
    assert "Traceback" not in said
    assert "Exception ignored" not in said


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full, which Linux has")
def test_a_full_disk_behind_stdout_is_a_sentence(faulty_server: Server, tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as output:
        said = _run_into(output, faulty_server, tmp_path)
    assert "videoapi: '-' cannot be written: No space left on device. The video is at http" in said
    assert "Traceback" not in said
    assert "Exception ignored" not in said
