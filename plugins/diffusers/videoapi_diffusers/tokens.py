"""Says when a tokenizer cuts a prompt."""

from __future__ import annotations

import logging
from typing import Any

from videoapi import GenerationRequest
from videoapi_diffusers.signature import Signature

logger = logging.getLogger(__name__)

# Tokenizers without a limit have a number far above this one.
NO_LIMIT = 100_000


def warn_of_cut_prompts(pipeline: Any, request: GenerationRequest, signature: Signature) -> None:
    """Log every text that is longer than the model reads, with the number of its tokens."""
    tokenizer = getattr(pipeline, "tokenizer", None)
    asked = request.params.get("max_sequence_length") or signature.number("max_sequence_length")
    limit = int(asked) if asked else getattr(tokenizer, "model_max_length", NO_LIMIT)
    if tokenizer is None or limit >= NO_LIMIT or "prompt" not in signature.parameters:
        return
    for name, text in (("prompt", request.prompt), ("negative prompt", request.negative_prompt)):
        count = len(tokenizer(text)["input_ids"]) if text else 0
        if count > limit:
            logger.warning("The %s has %d tokens; the model reads the first %d.", name, count, limit)
