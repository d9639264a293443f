"""Says how much of a prompt a model does not read, by what its pipeline asks of its tokenizers."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from videoapi import GenerationRequest, Progress

Span = tuple[int, int]
"""The places of the first character and of the one after the last; a token that stands for none has two equal ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """A text that a tokenizer was given, and where in it the tokens are that it gave back and that it left away."""

    text: str
    kept: Sequence[Span]
    cut: Sequence[Span]


class Listener:
    """Hears what a pipeline has its tokenizers read during one call, templates and all, and tells what was cut."""

    def __init__(self, lost: int) -> None:
        """`lost` is how many tokens the pipeline itself leaves away at the end of a text that was cut."""
        self._lost = lost
        self._heard: dict[int, list[Heard]] = {}

    @contextmanager
    def listening(self, pipeline: Any) -> Iterator[None]:
        """Within it, what the pipeline's tokenizers are given is heard."""
        with ExitStack() as stack:
            for tokenizer in _find_tokenizers(pipeline):
                stack.enter_context(_overheard(tokenizer, self._heard.setdefault(id(tokenizer), [])))
            yield

    def warn(self, requests: Sequence[GenerationRequest], each: Sequence[Progress]) -> None:
        """Tell each request's client of every text of which no tokenizer gave all to the model."""
        said = {text for request in requests for text in (request.prompt, request.negative_prompt)}
        for request, progress in zip(requests, each, strict=True):
            for name, text in (("prompt", request.prompt), ("negative prompt", request.negative_prompt)):
                longer = [other for other in said if text in other and text.strip() != other.strip()]
                counts = [self._count(_leave_out(heard, longer), text) for heard in self._heard.values()]
                # A second encoder of a summary reads less than the first one of all details.
                count, limit = max(counts, key=lambda found: found[1] / (found[0] or 1), default=(0, 0))
                if limit < count:
                    progress.warn(f"The {name} has {count} tokens; the model reads the first {limit}.")

    def _count(self, heard: Sequence[Heard], prompt: str) -> tuple[int, int]:
        """The prompt's own tokens for one tokenizer, and how many of them it gave back; none where it never had it."""
        places = [(each, span) for each in heard if (span := _find(prompt, each.text))]
        places = places or [(each, span) for each in heard if (span := _find_changed(prompt, each.text))]
        if not places:
            return 0, 0
        # Another text may have this one in it.
        own, (start, end) = min(places, key=lambda place: len(place[0].text))
        has_template = bool(own.text[end:].strip())
        limit = count = _count_within((*own.kept, *own.cut), (start, end))
        for each in heard:
            # Some pipelines cut the text themselves; without a template it may be another prompt.
            if each.text == own.text or (has_template and own.text.startswith(each.text)):
                kept = each.kept[: -self._lost] if self._lost and each.cut and has_template else each.kept
                limit = min(limit, _count_within(kept, (start, end)))
        return count, limit


def _leave_out(heard: Sequence[Heard], prompts: Sequence[str]) -> Sequence[Heard]:
    """Those of the texts that have none of the prompts in them."""
    return [each for each in heard if not any(_find(prompt, each.text) for prompt in prompts)]


def _find_tokenizers(pipeline: Any) -> list[Any]:
    """Also those that are a processor's."""
    parts = [part for each in pipeline.components.values() for part in (each, getattr(each, "tokenizer", None))]
    return list({id(part): part for part in parts if isinstance(part, PreTrainedTokenizerBase)}.values())


@contextmanager
def _overheard(tokenizer: Any, heard: list[Heard]) -> Iterator[None]:
    """Within it, each text that the tokenizer is given is put into the list. One in Python has no places of tokens; in
    diffusers none of these reads a prompt.
    """
    kind = type(tokenizer)

    def call(self: Any, text: Any = None, *positional: Any, **named: Any) -> Any:
        result = kind.__call__(self, text, *positional, **named)
        texts = [text] if isinstance(text, str) else text or ()
        for said, encoding in zip(texts, getattr(result, "encodings", None) or (), strict=False):
            cut = [span for piece in encoding.overflowing for span in piece.offsets]
            heard.append(Heard(text=said, kept=encoding.offsets, cut=cut))
        return result

    # Python looks for `__call__` in the class alone.
    tokenizer.__class__ = type(kind.__name__, (kind,), {"__call__": call})
    try:
        yield
    finally:
        tokenizer.__class__ = kind


def _count_within(tokens: Sequence[Span], span: Span) -> int:
    return sum(max(start, span[0]) < min(end, span[1]) for start, end in tokens)


def _find(prompt: str, text: str) -> Span | None:
    """Where the prompt is in the text, without the spaces around it."""
    said = prompt.strip()
    place = text.find(said) if said else -1
    return (place, place + len(said)) if place >= 0 else None


def _find_changed(prompt: str, text: str) -> Span | None:
    """Where the prompt is in a text for which its pipeline has changed it: small letters, other spaces and quotation
    marks, or what was written for HTML.
    """
    there = _read_letters(text)
    letters = "".join(letter for letter, _ in there)
    for said in (prompt.strip(), html.unescape(html.unescape(prompt)).strip()):
        wanted = _read_letters(said)
        place = letters.find("".join(letter for letter, _ in wanted)) if wanted else -1
        if place >= 0:
            first, last = there[place][1], there[place + len(wanted) - 1][1]
            # With the signs before its first letter and after its last one.
            return max(0, first - wanted[0][1]), min(len(text), last + len(said) - wanted[-1][1])
    return None


def _read_letters(text: str) -> list[tuple[str, int]]:
    """Letters and digits in their plainest form, each with the place of the character that it is from."""
    return [
        (letter, place)
        for place, character in enumerate(text)
        for letter in unicodedata.normalize("NFKD", character).casefold()
        if letter.isalnum()
    ]
