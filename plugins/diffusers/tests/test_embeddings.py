"""Texts that were encoded before are not encoded again, and make the same video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plugins.diffusers.tests.table import make_spec
from plugins.diffusers.tests.tiny import TINY
from videoapi import ConfigurationError, ModelFile
from videoapi_diffusers import load
from videoapi_diffusers.plugin import build_spec
from videoapi_diffusers.running.embeddings import EmbeddingCache, make_key

Folders = Callable[[str], Path]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
# One encoder, two of them, a language model that sees images, one that gives all its hidden states.
NAMES = (
    "wan_text",
    "hunyuan_text",
    "hunyuan_image",
    "hunyuan15_text",
    "ltx2",
    "cogvideox",
    "animatediff",
    "kandinsky5",
)


def count_calls(pipeline: Any) -> list[str]:
    """Filled with the name of a text encoder whenever its layers really work."""
    calls: list[str] = []
    for name, encoder in pipeline.components.items():
        if name.startswith("text_encoder") and isinstance(encoder, torch.nn.Module):
            parts = encoder.named_modules()
            reads = (part for path, part in parts if isinstance(part, torch.nn.Linear) and "vision" not in path)
            next(reads).register_forward_pre_hook(lambda *_, name=name: calls.append(name))
    return calls


def frames_of(pipeline: Any, request: Any, progress: Any) -> Any:
    return np.stack(list(pipeline.generate(request, progress()).frames))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_prompt_again_costs_no_encoder_and_makes_the_same(
    name: str, folders: Folders, make_request: Any, progress: Any
) -> None:
    spec = make_spec(folders(name))
    pipeline = load(**spec.settings)
    calls = count_calls(pipeline.pipeline)
    request = make_request(**TINY[name].ask(min(spec.modes), spec), num_inference_steps=2)
    first = frames_of(pipeline, request, progress)
    assert calls
    del calls[:]
    assert np.array_equal(first, frames_of(pipeline, request, progress))
    assert calls == []
    uncached = load(**{**spec.settings, "embeddings": {"memory_mib": 0}})
    assert np.array_equal(first, frames_of(uncached, request, progress))
    calls = count_calls(uncached.pipeline)
    frames_of(uncached, request, progress)
    assert calls


def test_each_text_is_remembered_by_itself(text_folder: Path, make_request: Any, progress: Any) -> None:
    pipeline = load(str(text_folder), "WanPipeline")
    calls = count_calls(pipeline.pipeline)
    counts = []
    for prompt, negative_prompt in (("a", "b"), ("c", "b"), ("a", "c"), ("d", "a")):
        frames_of(pipeline, make_request(prompt=prompt, negative_prompt=negative_prompt), progress)
        counts.append(len(calls))
    assert counts == [2, 3, 3, 4]


def test_another_length_is_another_text(text_folder: Path, make_request: Any, progress: Any) -> None:
    pipeline = load(str(text_folder), "WanPipeline")
    calls = count_calls(pipeline.pipeline)
    for length in (8, 16, 8):
        frames_of(pipeline, make_request(params={"max_sequence_length": length}), progress)
    assert len(calls) == 4


class Encoder(torch.nn.Module):
    """Answers with so many bytes, and counts how often."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.count = 0

    def forward(self, ids: torch.Tensor, **options: Any) -> tuple[torch.Tensor]:
        self.count += 1
        return (torch.full((self.size,), float(ids.sum()), dtype=torch.float16)[: self.size // 2],)


class Holder:
    def __init__(self, encoder: Encoder) -> None:
        self.components = {"text_encoder": encoder}


def ask(encoder: Encoder, *texts: int, **options: Any) -> list[float]:
    with torch.no_grad():
        return [encoder(torch.tensor([text]), **options)[0][0].item() for text in texts]


def test_the_least_recently_used_go_first() -> None:
    encoder = Encoder(400 * 2**10)
    EmbeddingCache(1).attach(Holder(encoder))
    assert ask(encoder, 1, 2, 1, 3, 1, 2) == [1, 2, 1, 3, 1, 2]
    assert encoder.count == 4, "2 was the oldest when 3 came"


def test_what_is_larger_than_all_room_is_not_kept() -> None:
    encoder = Encoder(2 * 2**20)
    EmbeddingCache(1).attach(Holder(encoder))
    assert ask(encoder, 1, 1) == [1, 1]
    assert encoder.count == 2


def test_a_hook_that_takes_itself_off_leaves_the_memory_alone() -> None:
    """As those of an offload by layers do in the first call."""
    encoder = Encoder(100)
    bare = encoder.forward

    def hooked(*positional: Any, **named: Any) -> Any:
        encoder.forward = bare  # type: ignore[method-assign]
        return bare(*positional, **named)

    encoder.forward = hooked  # type: ignore[method-assign]
    EmbeddingCache(1).attach(Holder(encoder))
    assert ask(encoder, 1, 1, 1) == [1, 1, 1]
    assert encoder.count == 1


def test_what_the_caller_changes_is_not_what_is_remembered() -> None:
    encoder = Encoder(100)
    EmbeddingCache(1).attach(Holder(encoder))
    with torch.no_grad():
        for _ in range(3):
            assert encoder(torch.tensor([7]))[0].add_(1)[0] == 8


@pytest.mark.parametrize("options", [{"past": object()}, {"adapter": None}])
def test_what_cannot_be_told_apart_is_not_remembered(options: dict[str, Any]) -> None:
    encoder = Encoder(100)
    EmbeddingCache(1).attach(Holder(encoder))
    if "adapter" in options:
        encoder.peft_config = {}
    ask(encoder, 1, 1, **options)
    assert encoder.count == 2


def test_a_key_is_the_whole_call() -> None:
    ids = torch.tensor([[1, 2]])
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
        ("text_encoder", (ids,), {}),
        ("text_encoder_2", (ids,), {}),
        ("text_encoder", (ids.T,), {}),
        ("text_encoder", (ids.int(),), {}),
        ("text_encoder", (), {"input_ids": ids}),
        ("text_encoder", (ids,), {"output_hidden_states": True}),
        ("text_encoder", (ids, None), {}),
    ]
    assert len({make_key(*call) for call in calls}) == len(calls)
    assert make_key(*calls[0]) == make_key("text_encoder", (torch.tensor([[1, 2]]),), {})


def test_the_room_is_the_files(text_folder: Path) -> None:
    keys = {"name": "wan", "backend": "diffusers", "parameters": {"model": str(text_folder)}}
    with pytest.raises(ConfigurationError, match=r"'diffusers\.text_embeddings_mib' must be 0 or more, not -1"):
        build_spec(ModelFile(Path("wan.yaml"), {**keys, "diffusers": {"text_embeddings_mib": -1}}))
    file = ModelFile(Path("wan.yaml"), {**keys, "diffusers": {"text_embeddings_mib": 9}})
    assert build_spec(file).settings["embeddings"] == {"memory_mib": 9}
