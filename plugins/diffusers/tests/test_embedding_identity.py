"""Embeddings on disk are those of one encoder, as it was loaded."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from plugins.diffusers.tests.test_embeddings import count_calls, frames_of
from videoapi_diffusers import load
from videoapi_diffusers.running import embedding_files
from videoapi_diffusers.running.embedding_files import identify

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


def test_another_precision_or_storage_is_another_model(
    text_folder: Path, make_request: Any, progress: Any, tmp_path: Path
) -> None:
    quantized = {"quantization": {"scheme": "fp8", "components": ["text_encoder"]}}
    kept = {"memory_mib": 0, "folder": str(tmp_path), "folder_mib": 64}
    counts = []
    for options in ({}, {"dtype": "bfloat16"}, {"weights": quantized}, {}, {"dtype": "bfloat16"}):
        pipeline = load(str(text_folder), "WanPipeline", **options, embeddings=kept)
        calls = count_calls(pipeline.pipeline)
        frames_of(pipeline, make_request(), progress)
        counts.append(len(calls))
    assert counts == [2, 2, 2, 0, 0]


def test_an_identity_is_of_the_encoders_files_and_of_how_they_were_loaded(
    text_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load(str(text_folder), "WanPipeline").pipeline.text_encoder
    model = shutil.copytree(text_folder, tmp_path / "model")

    def find(weights: dict[str, Any] | None = None, name: str = "text_encoder") -> bytes | None:
        return identify(name, encoder, model, weights or {}, torch.device("cpu"))

    first = find()
    assert first == find({"quantization": {"scheme": "fp8", "components": ["transformer"]}})
    assert find(name="text_encoder_2") is None, "there are no such files"
    found = {first, find({"variant": "fp16"})}
    found.add(find({"quantization": {"scheme": "torchao_int8wo", "components": ["text_encoder"]}}))
    monkeypatch.setattr(embedding_files, "version", lambda package: "0.1")
    found.add(find())
    monkeypatch.undo()
    # Another file of the same name, size and date.
    path = model / "text_encoder" / "model.safetensors"
    status = path.stat()
    path.write_bytes(bytes(reversed(path.read_bytes())))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    found.add(find())
    encoder.to(torch.bfloat16)
    found.add(find())
    assert len(found) == 6
