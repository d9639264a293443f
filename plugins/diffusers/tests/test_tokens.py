"""What is said of a prompt that is cut is what its pipeline really reads of it: to the token, for every family."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer, Qwen2Tokenizer, T5Tokenizer

from plugins.diffusers.tests.table import make_spec
from plugins.diffusers.tests.tiny import TINY, stand_in
from plugins.diffusers.tests.tiny.parts import make_tokenizer
from videoapi import Cancelled
from videoapi_diffusers import load
from videoapi_diffusers.running.tokens import Listener
from videoapi_diffusers.running.watch import find_denoiser

Folders = Callable[[str], Path]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
# More than every family reads.
MANY = 1300
WORDS = "abcdefg"
SENTENCE = re.compile(r"The (negative prompt|prompt) has (\d+) tokens; the model reads the first (\d+)\.")
# What HunyuanVideo's templates are made of: one of the pipelines looks for them.
MARKS = ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
# The words that each reads of a long prompt, where it is not what its tiny tokenizer's template leaves of that.
READ = {
    "wan_text": 511,
    "ltx": 127,
    "ltx_condition": 255,
    "ltx2": 1023,
    "cogvideox": 225,
    "mochi": 255,
    "allegro": 511,
    "latte": 119,
    "sana": 298,
    "helios": 511,
    "animatediff": 76,
    "modelscope": 76,
    "cosmos_text": 511,
}


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    stand_in()


def write(count: int, first: int = 0, *, changed: int | None = None) -> str:
    """A text of so many words, each one token; one of them may be another one."""
    words = [WORDS[(first + index) % len(WORDS)] for index in range(count)]
    if changed is not None:
        words[changed - 1] = "h"
    return " ".join(words)


class Model:
    """A loaded family, asked for nothing but the first step."""

    def __init__(self, name: str, folder: Path, make_request: Any, progress: Any) -> None:
        self.spec = make_spec(folder)
        self._tiny, self._make_request, self._progress = TINY[name], make_request, progress
        self.pipeline = load(**self.spec.settings)
        for part in self.pipeline.pipeline.components.values():
            if name.startswith("hunyuan_image") and hasattr(part, "add_special_tokens"):
                part.add_special_tokens({"additional_special_tokens": MARKS})

    def ask(self, mode: Any, prompt: str, negative_prompt: str = "", **params: Any) -> tuple[list[str], list[Any]]:
        """The warnings, and all tensors that the denoiser gets in the first step."""
        given: list[torch.Tensor] = []

        def keep(_: Any, positional: Any, named: Any) -> None:
            tensors = (value for value in (*positional, *named.values()) if isinstance(value, torch.Tensor))
            given.extend(tensor.clone() for tensor in tensors)

        asked = self._tiny.ask(mode, self.spec)
        if negative_prompt and "true_cfg_scale" in self.spec.params:
            params["true_cfg_scale"] = 3.0
        asked["params"] = {**asked["params"], **params}
        request = self._make_request(**asked, prompt=prompt, negative_prompt=negative_prompt, num_inference_steps=2)
        seen = self._progress(cancel_at=1)
        hook = find_denoiser(self.pipeline.pipeline).register_forward_pre_hook(keep, with_kwargs=True)
        with suppress(Cancelled):
            self.pipeline.generate(request, seen)
        hook.remove()
        return seen.warnings, given


@pytest.fixture
def make(folders: Folders, make_request: Any, progress: Any) -> Callable[[str], Model]:
    return lambda name: Model(name, folders(name), make_request, progress)


def is_same(some: list[Any], others: list[Any]) -> bool:
    return len(some) == len(others) and all(map(torch.equal, some, others))


def read(warnings: list[str]) -> dict[str, tuple[int, int]]:
    found = [SENTENCE.fullmatch(warning) for warning in warnings]
    return {match[1]: (int(match[2]), int(match[3])) for match in found if match}


def test_a_pipeline_that_cuts_nothing_warns_of_nothing(make: Any) -> None:
    """Cosmos 3 reads a text whatever its length."""
    model = make("cosmos3")
    warnings, plain = model.ask("text", write(MANY))
    assert read(warnings) == {}
    assert not is_same(plain, model.ask("text", write(MANY, changed=MANY))[1])


@pytest.mark.parametrize("name", [name for name in TINY if name not in ("stable_video", "cosmos3")])
def test_the_last_token_that_is_read_changes_the_video_and_the_next_one_does_not(name: str, make: Any) -> None:
    model = make(name)
    for mode in sorted(model.spec.modes):
        texts = [write(MANY), write(MANY, 3) if "negative_prompt" not in model.spec.unsupported else ""]
        warnings, plain = model.ask(mode, *texts)
        limits = read(warnings)
        assert list(limits) == ["prompt", "negative prompt"][: 2 if texts[1] else 1]
        assert limits["prompt"][1] == READ.get(name, limits["prompt"][1])
        for place, (count, limit) in enumerate(limits.values()):
            assert count == MANY
            for changed, is_read in ((limit, True), (limit + 1, False)):
                others = [*texts]
                others[place] = write(MANY, 3 * place, changed=changed)
                assert is_same(plain, model.ask(mode, *others)[1]) is not is_read, (mode, place, changed)


@pytest.mark.parametrize("name", ["wan_text", "latte", "hunyuan_image", "hunyuan15_text", "easyanimate", "cosmos25"])
def test_one_token_more_than_the_model_reads_is_a_warning_and_all_that_it_reads_is_none(name: str, make: Any) -> None:
    model = make(name)
    mode = min(model.spec.modes)
    ((_, limit),) = read(model.ask(mode, write(MANY))[0]).values()
    assert model.ask(mode, write(limit))[0] == []
    for more in (1, 2, 5):
        warnings, plain = model.ask(mode, write(limit + more))
        assert warnings == [f"The prompt has {limit + more} tokens; the model reads the first {limit}."]
        assert is_same(plain, model.ask(mode, write(limit + more, changed=limit + 1))[1])


@pytest.mark.parametrize("more", [1, 2, 3, 5, 8, 13])
def test_a_pipeline_that_cuts_the_text_itself_is_heard(more: int, make: Any) -> None:
    """Kandinsky takes as many characters off the end of its template and the prompt as it has decoded too many."""
    model = make("kandinsky5")
    count = 510 + more
    warnings, plain = model.ask("text", write(count))
    limit = read(warnings).get("prompt", (count, count))[1]
    assert not is_same(plain, model.ask("text", write(count, changed=limit))[1])
    assert limit == count or is_same(plain, model.ask("text", write(count, changed=limit + 1))[1])


def test_a_text_that_is_remembered_is_a_warning_too(make: Any) -> None:
    model = make("wan_text")
    first = model.ask("text", write(600), write(700))[0]
    assert first == [
        "The prompt has 600 tokens; the model reads the first 511.",
        "The negative prompt has 700 tokens; the model reads the first 511.",
    ]
    assert model.ask("text", write(600), write(700))[0] == first


def test_the_length_that_a_request_asks_for_is_what_is_read(make: Any) -> None:
    assert make("wan_text").ask("text", write(20), max_sequence_length=8)[0] == [
        "The prompt has 20 tokens; the model reads the first 7."
    ]


def test_a_tokenizer_without_a_limit_of_its_own_is_cut_by_its_pipeline(make: Any) -> None:
    model = make("hunyuan15_text")
    model.pipeline.pipeline.tokenizer.model_max_length = 10**30
    assert read(model.ask("text", write(MANY))[0])["prompt"][1] > 1000


def test_what_a_second_encoder_reads_less_of_is_no_warning(make: Any) -> None:
    """HunyuanVideo's second one makes one embedding of at most 77 tokens, its first one reads all of them."""
    assert make("hunyuan_text").ask("text", write(200))[0] == []


def test_a_prompt_that_the_pipeline_cleans_is_found(make: Any) -> None:
    model = make("wan_text")
    for prompt in (write(600).replace(" ", "\n  "), write(600).replace("a", "a &amp;"), "“" + write(600) + "!”"):
        ((count, limit),) = read(model.ask("text", prompt)[0]).values()
        assert (count >= 600, limit) == (True, 511)
    assert read(make("latte").ask("text", write(200).upper())[0]) == {"prompt": (200, 119)}
    assert read(make("animatediff").ask("text", f" {write(100)} ")[0]) == {"prompt": (100, 76)}


def listen(tokenizer: Any, *texts: str, prompt: str, **options: Any) -> list[str]:
    """The warnings about the prompt after the tokenizer was given the texts."""
    listener = Listener(0)
    warnings: list[str] = []
    with listener.listening(SimpleNamespace(components={"tokenizer": tokenizer})):
        for text in texts:
            tokenizer(text, truncation=True, **options)
    listener.warn([SimpleNamespace(prompt=prompt, negative_prompt="")], [SimpleNamespace(warn=warnings.append)])  # type: ignore[list-item]
    return warnings


def make_clip_tokenizer() -> Any:
    letters = sorted(ByteLevel.alphabet())
    names = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={name: place for place, name in enumerate(names)}, merges=[])


def make_qwen_tokenizer() -> Any:
    names = [*sorted(ByteLevel.alphabet()), "<|endoftext|>"]
    return Qwen2Tokenizer(vocab={name: place for place, name in enumerate(names)}, merges=[])


def make_t5_tokenizer() -> Any:
    pieces = ["<pad>", "</s>", "<unk>", "\u2581", *"acht"]
    return T5Tokenizer(vocab=[(piece, -float(place)) for place, piece in enumerate(pieces)], extra_ids=0)


@pytest.mark.parametrize(
    ("make_real", "count", "limit"),
    [(make_clip_tokenizer, 40, 18), (make_qwen_tokenizer, 49, 20), (make_t5_tokenizer, 50, 19)],
)
def test_the_kinds_of_tokenizers_of_released_models_are_heard(make_real: Any, count: int, limit: int) -> None:
    """One takes a beginning and an end of the text, one none, one an end; two count the spaces, one also the first."""
    prompt = " ".join(["chat"] * 10)
    assert listen(make_real(), prompt, prompt=prompt, max_length=20) == [
        f"The prompt has {count} tokens; the model reads the first {limit}."
    ]


def test_the_end_of_a_template_may_be_cut_and_is_not_counted() -> None:
    tokenizer = make_tokenizer()
    assert listen(tokenizer, "red ball a b c blue ball", prompt="a b c", max_length=6) == []
    assert listen(tokenizer, "red ball a b c blue ball", prompt="a b c", max_length=5) == [
        "The prompt has 3 tokens; the model reads the first 2."
    ]


def test_a_text_with_the_prompt_in_it_is_another_one() -> None:
    tokenizer = make_tokenizer()
    assert listen(tokenizer, "a b", "d e f g a b", "a", prompt="a b", max_length=4) == []
    assert listen(tokenizer, "d e f g", prompt="a b", max_length=2) == []


def test_a_negative_prompt_that_nothing_reads_is_not_looked_for_in_the_prompt() -> None:
    """Without guidance."""
    tokenizer, warnings = make_tokenizer(), list[str]()
    listener = Listener(0)
    with listener.listening(SimpleNamespace(components={"tokenizer": tokenizer})):
        tokenizer(["a b c d e f"], max_length=4, truncation=True)
    request = SimpleNamespace(prompt="a b c d e f", negative_prompt="e f")
    listener.warn([request], [SimpleNamespace(warn=warnings.append)])  # type: ignore[list-item]
    assert warnings == ["The prompt has 6 tokens; the model reads the first 3."]


def test_a_tokenizer_in_a_processor_is_heard() -> None:
    tokenizer = make_tokenizer()
    listener, processor = Listener(0), SimpleNamespace(tokenizer=tokenizer)
    with listener.listening(SimpleNamespace(components={"tokenizer": processor})):
        tokenizer(["a b c", "d"], max_length=3, truncation=True)
    warnings: list[str] = []
    listener.warn([SimpleNamespace(prompt="a b c", negative_prompt="d")], [SimpleNamespace(warn=warnings.append)])  # type: ignore[list-item]
    assert warnings == ["The prompt has 3 tokens; the model reads the first 2."]


def test_afterwards_a_tokenizer_is_what_it_was() -> None:
    tokenizer = make_tokenizer()
    kind, before = type(tokenizer), tokenizer("a b c").input_ids
    with pytest.raises(ZeroDivisionError), Listener(0).listening(SimpleNamespace(components={"tokenizer": tokenizer})):
        assert isinstance(tokenizer, kind)
        assert tokenizer("a b c").input_ids == before
        raise ZeroDivisionError
    assert type(tokenizer) is kind
