"""A disk that runs full: while encoding, while storing, while accepting."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.images import base64_of, encode
from tests.server import Server
from tests.test_jobs import GOOD

# Random pixels: a clip of several megabytes.
LARGE = {"model": "faulty-grainy", "prompt": "anything", "size": "512x512", "num_frames": 33}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_full_while_encoding(small_disk: Path, tmp_path: Path, faulty_plugins: Path) -> None:
    settings = {"VIDEOAPI_PRELOAD": "", "VIDEOAPI_SCRATCH_DIR": str(small_disk / "scratch")}
    with Server(tmp_path, faulty_plugins, **settings) as server:
        answer = server.post(LARGE)
        assert (answer.status, answer.error["code"]) == (500, "encoding_failed")
        assert "No space left on device" in answer.error["message"]
        assert server.files() == []
        assert list((small_disk / "scratch").iterdir()) == []
        assert server.post(GOOD).status == 200


def test_a_disk_that_is_full_while_storing(small_disk: Path, tmp_path: Path, faulty_plugins: Path) -> None:
    settings = {
        "VIDEOAPI_PRELOAD": "",
        "VIDEOAPI_MEDIA_DIR": str(small_disk),
        "VIDEOAPI_SCRATCH_DIR": str(tmp_path / "s"),
    }
    with Server(tmp_path, faulty_plugins, **settings) as server:
        answer = server.post(LARGE)
        assert (answer.status, answer.error["code"]) == (500, "storage_failed")
        assert answer.error["message"] == "The video could not be stored: No space left on device."
        assert [path for path in small_disk.rglob("*") if path.is_file()] == []
        assert server.post(GOOD).status == 200


def test_a_disk_that_is_full_while_accepting(small_disk: Path, tmp_path: Path, faulty_plugins: Path) -> None:
    settings = {
        "VIDEOAPI_PRELOAD": "",
        "VIDEOAPI_MEDIA_DIR": str(small_disk),
        "VIDEOAPI_SCRATCH_DIR": str(tmp_path / "s"),
    }
    with Server(tmp_path, faulty_plugins, **settings) as server:
        (small_disk / "ballast").write_bytes(bytes(2**20 - 8192))
        import numpy as np

        noise = np.random.default_rng(0).integers(0, 256, (64, 512, 3), "uint8")
        answer = server.post({**GOOD, "start_image": base64_of(encode(Image.fromarray(noise))), "size": "512x64"})
        assert (answer.status, answer.error["code"]) == (500, "storage_failed")
        assert [path.name for path in small_disk.rglob("*") if path.is_file()] == ["ballast"]
        assert server.get("/video").json["data"] == []
        (small_disk / "ballast").unlink()
        assert server.post(GOOD).status == 200


def test_a_file_in_place_of_a_folder_is_a_storage_failure(tmp_path: Path, faulty_plugins: Path) -> None:
    """Neither can a file be stored in it nor deleted from it."""
    with Server(tmp_path, faulty_plugins, VIDEOAPI_PRELOAD="") as server:
        for name, request, what in (
            ("videos", GOOD, "video"),
            ("inputs", {**GOOD, "start_image": base64_of(encode(Image.new("RGB", (64, 48))))}, "image"),
        ):
            server.media.mkdir(exist_ok=True)
            (server.media / name).write_text("in the way")
            answer = server.post(request)
            assert (answer.status, answer.error["code"]) == (500, "storage_failed")
            assert answer.error["message"].startswith(f"The {what} could not be stored: ")
            assert "/" not in answer.error["message"]
            (server.media / name).unlink()
            assert server.files() == []
        assert server.post(GOOD).status == 200
