"""Text and image encoders, which transformers loads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from videoapi import ModelError

# Of a language model that is read for what it makes of a text, and not for the next word.
UNUSED = "lm_head."


@contextmanager
def whole_encoders() -> Iterator[None]:
    """Within it, an encoder whose files lack weights is a ModelError.

    transformers fills them with random numbers and says so in its log alone; diffusers does not do so with its own.
    """
    import transformers

    base: Any = transformers.PreTrainedModel
    original: Any = vars(base)["from_pretrained"]

    def load(cls: Any, *positional: Any, **named: Any) -> Any:
        model, report = original.__func__(cls, *positional, **{**named, "output_loading_info": True})
        missing = sorted(name for name in report["missing_keys"] if not name.startswith(UNUSED))
        if missing:
            raise ModelError(f"A {cls.__name__} of the model lacks {len(missing)} weights, such as {missing[0]}.")
        return model

    base.from_pretrained = classmethod(load)
    try:
        yield
    finally:
        base.from_pretrained = original
