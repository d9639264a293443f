"""Says when a tokenizer cuts a prompt."""

from __future__ import annotations

from typing import Any

from videoapi import GenerationRequest, Progress
from videoapi_diffusers.signature import Signature

# Tokenizers without a limit have a number far above this one.
NO_LIMIT = 100_000


def warn_of_cut_prompts(pipeline: Any, request: GenerationRequest, signature: Signature, progress: Progress) -> None:
    """Tell the client of every text that is longer than the model reads, with the number of its tokens."""
    tokenizer = getattr(pipeline, "tokenizer", None)
    asked = request.params.get("max_sequence_length") or signature.number("max_sequence_length")
    limit = int(asked) if asked else getattr(tokenizer, "model_max_length", NO_LIMIT)
    if tokenizer is None or limit >= NO_LIMIT or "prompt" not in signature.parameters:
        return
    for name, text in (("prompt", request.prompt), ("negative prompt", request.negative_prompt)):
        count = len(tokenizer(text)["input_ids"]) if text else 0
        if count > limit:
            progress.warn(f"The {name} has {count} tokens; the model reads the first {limit}.")
