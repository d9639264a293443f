"""Embeddings on disk outlive the process, are never another model's, and cost no request."""

from __future__ import annotations

import json
import logging
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.hooks import CpuOffload
from safetensors.torch import save, save_file

from plugins.diffusers.tests.table import make_spec
from plugins.diffusers.tests.test_embeddings import NAMES, Encoder, Holder, ask, count_calls, frames_of
from plugins.diffusers.tests.tiny import TINY
from videoapi import ConfigurationError, ModelFile
from videoapi_diffusers import embeddings, load, placement
from videoapi_diffusers.running import embedding_files
from videoapi_diffusers.running.embedding_files import EmbeddingFiles
from videoapi_diffusers.running.embeddings import EmbeddingCache

Folders = Callable[[str], Path]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
CPU = torch.device("cpu")
KIB = 2**10
# Makes one video in a process of its own, and prints how often the encoder worked and a digest of the frames.
ONE_VIDEO = """
import hashlib, sys
from pathlib import Path
from plugins.diffusers.tests.conftest import RecordingProgress
from plugins.diffusers.tests.test_embeddings import count_calls
from videoapi import GenerationRequest
from videoapi_diffusers import load
pipeline = load(sys.argv[1], "WanPipeline", embeddings={"memory_mib": 0, "folder": sys.argv[2], "folder_mib": 1})
calls = count_calls(pipeline.pipeline)
request = GenerationRequest(prompt="a b c", negative_prompt="d", width=48, height=32, num_frames=5, fps=8,
                            num_inference_steps=2, guidance_scale=4.0, seed=1)
frames = pipeline.generate(request, RecordingProgress()).frames
print(len(calls), hashlib.sha256(b"".join(frame.tobytes() for frame in frames)).hexdigest())
"""
# Writes and reads the same embeddings as the other processes, more than there is room for, and in no order: what is
# written in turn would be gone whenever its turn comes again.
MANY = """
import random, sys
from pathlib import Path
import torch
from videoapi_diffusers.running.embedding_files import EmbeddingFiles
files = EmbeddingFiles(Path(sys.argv[1]), 1, b"model")
found = 0
for _ in range(300):
    number = random.randrange(7)
    kept = files.read(bytes([number]))
    if kept is None:
        files.write(bytes([number]), (torch.full((50_000,), float(number)),))
    else:
        found += 1
        assert kept[0].shape == (50_000,) and (kept[0] == number).all()
print(found)
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def in_folder(folder: Path, memory_mib: int = 0) -> dict[str, Any]:
    return {"memory_mib": memory_mib, "folder": str(folder), "folder_mib": 64}


@pytest.fixture
def files(tmp_path: Path) -> EmbeddingFiles:
    return EmbeddingFiles(tmp_path / "kept", 1, b"model")


def output_of(size: int = 100, value: float = 1.0) -> tuple[torch.Tensor]:
    """So many KiB."""
    return (torch.full((size * KIB // 4,), value),)


def test_a_restart_keeps_what_was_encoded(text_folder: Path, tmp_path: Path) -> None:
    said = []
    for folder in ("kept", "kept", "other"):
        output, errors = start(ONE_VIDEO, text_folder, tmp_path / folder).communicate(timeout=300)
        assert output, errors
        said.append(output.split())
    assert [calls for calls, _ in said] == ["2", "0", "2"]
    assert len({digest for _, digest in said}) == 1
    assert len(files_in(tmp_path / "kept")) == 2
    assert (tmp_path / "kept").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in files_in(tmp_path / "kept"))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_from_disk_makes_the_same(
    name: str, folders: Folders, make_request: Any, progress: Any, tmp_path: Path
) -> None:
    spec = make_spec(folders(name))
    request = make_request(**TINY[name].ask(min(spec.modes), spec), num_inference_steps=2)
    plain = frames_of(load(**{**spec.settings, "embeddings": {"memory_mib": 0}}), request, progress)
    for memory_mib in (0, 0, 64):
        pipeline = load(**{**spec.settings, "embeddings": in_folder(tmp_path, memory_mib)})
        calls = count_calls(pipeline.pipeline)
        for _ in range(2):
            assert np.array_equal(plain, frames_of(pipeline, request, progress))
    assert calls == []


def test_an_encoder_that_is_not_asked_is_not_moved(
    text_folder: Path, make_request: Any, progress: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[Any] = []
    before = CpuOffload.pre_forward
    monkeypatch.setattr(
        CpuOffload, "pre_forward", lambda hook, module, *a, **k: moved.append(module) or before(hook, module, *a, **k)
    )
    counts = []
    for _ in range(2):
        pipeline = load(str(text_folder), "WanPipeline", embeddings=in_folder(tmp_path))
        placement.PLACES["model"](pipeline.pipeline, CPU)
        frames_of(pipeline, make_request(), progress)
        counts.append(sum(module is pipeline.pipeline.text_encoder for module in moved))
        assert pipeline.pipeline.transformer in moved
        del moved[:]
    assert counts == [2, 0]


@pytest.mark.parametrize("harm", ["cut", "empty", "changed", "alien", "outline", "class"])
def test_a_broken_file_is_passed_over_and_written_again(
    harm: str, files: EmbeddingFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files.write(b"text", output_of())
    (path,) = files_in(tmp_path / "kept")
    whole = path.read_bytes()
    tensors = {"0": output_of()[0]}
    if harm in ("cut", "empty"):
        path.write_bytes(whole[: 5000 if harm == "cut" else 0])
    elif harm == "changed":
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    elif harm == "alien":
        save_file(tensors, path)
    else:
        kind = ["subprocess", "Popen"] if harm == "class" else ["nowhere", "Output"]
        outline = {"class": kind, "items": [["args", "0"]]}
        said = {"outline": json.dumps(outline), "checksum": embedding_files._sum(tensors)}
        save_file(tensors, path, metadata=said)
    assert files.read(b"text") is None
    assert "an embedding on disk is not used and will be written again" in caplog.text
    files.write(b"text", output_of())
    assert torch.equal(files.read(b"text")[0], output_of()[0])


def test_processes_share_the_folder(tmp_path: Path) -> None:
    started = [start(MANY, tmp_path / "kept") for _ in range(2)]
    for process in started:
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        assert not errors
        assert int(output) > 0
    sizes = [path.stat().st_size for path in files_in(tmp_path / "kept")]
    assert sum(sizes) <= 2**20
    assert {path.suffix for path in files_in(tmp_path / "kept")} == {".safetensors"}


def test_a_file_whose_room_another_process_took_is_not_kept_and_no_error(
    files: EmbeddingFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def save_slowly(*arguments: Any, **named: Any) -> bytes:
        for path in files_in(tmp_path / "kept"):
            path.unlink()
        return save(*arguments, **named)

    monkeypatch.setattr(embedding_files, "save", save_slowly)
    files.write(b"text", output_of())
    assert (files_in(tmp_path / "kept"), caplog.text) == ([], "")


def test_those_used_longest_ago_go_and_other_files_stay(files: EmbeddingFiles, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    model = kept / "model.safetensors"
    model.write_bytes(b"0" * 2**20)
    os.utime(model, (1, 1))
    unfinished = kept / f"{'0' * 64}-abc.unfinished"
    unfinished.write_bytes(b"0" * 300 * KIB)
    os.utime(unfinished, (1, 1))
    for number in range(3):
        files.write(bytes([number]), output_of(300))
        for path in files_in(kept):
            os.utime(path, ns=(0, path.stat().st_mtime_ns - 10**9))
    assert not unfinished.exists()
    assert files.read(b"\0") is not None
    files.write(b"\3", output_of(300))
    assert [files.read(bytes([number])) is not None for number in range(4)] == [True, False, True, True]
    assert model.exists()


def test_what_is_larger_than_all_room_is_not_written(files: EmbeddingFiles, tmp_path: Path) -> None:
    files.write(b"text", output_of(2000))
    assert not (tmp_path / "kept").exists()


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of more than 64 KiB can be written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * KIB, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_costs_a_line_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    encoder = Encoder(100 * KIB)
    files = EmbeddingFiles(tmp_path, 1, b"model")
    EmbeddingCache(0, {"text_encoder": files}).attach(Holder(encoder))
    with caplog.at_level(logging.WARNING):
        assert ask(encoder, 5, 5) == [5, 5]
    assert encoder.count == 2
    assert caplog.text.count("an embedding could not be kept on disk") == 2
    assert files_in(tmp_path) == []


def test_a_folder_that_cannot_be_made_costs_a_line_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    EmbeddingFiles(tmp_path / "file" / "kept", 1, b"model").write(b"text", output_of())
    assert "an embedding could not be kept on disk" in caplog.text


def test_adapters_in_the_encoder_are_neither_written_nor_read(tmp_path: Path) -> None:
    encoder = Encoder(100)
    EmbeddingCache(0, {"text_encoder": EmbeddingFiles(tmp_path, 1, b"model")}).attach(Holder(encoder))
    ask(encoder, 1, 1)
    assert encoder.count == 1
    encoder.peft_config = {}  # type: ignore[assignment]
    ask(encoder, 1, 2)
    assert encoder.count == 3
    assert len(files_in(tmp_path)) == 1


def test_the_folder_is_the_files(tmp_path: Path) -> None:
    def read(**keys: Any) -> dict[str, Any]:
        return embeddings.read(ModelFile(tmp_path / "wan.yaml", {"name": "wan", "backend": "x", "diffusers": keys}))

    assert read() == {"memory_mib": 512}
    kept = {"memory_mib": 512, "folder": str(tmp_path / "kept"), "folder_mib": 4096}
    assert read(text_embeddings_dir="kept") == kept
    assert read(text_embeddings_dir=str(tmp_path / "kept"), text_embeddings_dir_mib=9) == {**kept, "folder_mib": 9}
    with pytest.raises(ConfigurationError, match=r"'diffusers\.text_embeddings_dir_mib' must be 1 or more, not 0; lea"):
        read(text_embeddings_dir="kept", text_embeddings_dir_mib=0)
    (tmp_path / "kept").touch()
    with pytest.raises(ConfigurationError, match=r"'diffusers\.text_embeddings_dir' is no folder: kept"):
        read(text_embeddings_dir="kept")
