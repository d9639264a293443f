"""What the text encoders make of a text, remembered: the same prompt again costs nothing."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from videoapi_diffusers.components import is_text_encoder, modules_of
from videoapi_diffusers.running.embedding_files import EmbeddingFiles


class EmbeddingCache:
    """Outputs of text encoders by their inputs, in main memory; the least recently used ones go first.

    Those of an encoder with `files`, which are by its name, are on disk as well.
    """

    def __init__(self, limit_mib: int, files: Mapping[str, EmbeddingFiles] | None = None) -> None:
        self._limit = limit_mib * 2**20
        self._files = files or {}
        self._kept: OrderedDict[bytes, tuple[int, Any]] = OrderedDict()
        self._size = 0

    def attach(self, pipeline: Any) -> None:
        """From now on, the pipeline's text encoders are asked only for what is not remembered.

        After the offload's hooks are in place: an encoder that is not asked is not moved to its device either.
        """
        for name, encoder in modules_of(pipeline).items():
            if is_text_encoder(name) and (self._limit or name in self._files):
                # Above `forward`, which the hooks of an offload replace, also while it works.
                vars(encoder)["_call_impl"] = self._remembering(name, encoder, encoder._call_impl)

    def _remembering(self, name: str, encoder: Any, call: Callable[..., Any]) -> Callable[..., Any]:
        files = self._files.get(name)

        def remembered(*positional: Any, **named: Any) -> Any:
            # Adapters change what an encoder makes of the same text.
            key = None if hasattr(encoder, "peft_config") else make_key(name, positional, named)
            if key is None or torch.is_grad_enabled():
                return call(*positional, **named)
            if key in self._kept:
                self._kept.move_to_end(key)
                return _copy(self._kept[key][1], _find_device(positional, named))
            stored = files.read(key) if files else None
            output = call(*positional, **named) if stored is None else stored
            self._keep(key, output)
            if files and stored is None:
                files.write(key, _copy(output, torch.device("cpu")))
            return output if stored is None else _copy(stored, _find_device(positional, named))

        return remembered

    def _keep(self, key: bytes, output: Any) -> None:
        size = sum(tensor.nbytes for tensor in _tensors_of(output))
        if size > self._limit:
            return
        self._kept[key] = size, _copy(output, torch.device("cpu"))
        self._size += size
        while self._size > self._limit:
            self._size -= self._kept.popitem(last=False)[1][0]


def make_key(name: str, positional: tuple[Any, ...], named: dict[str, Any]) -> bytes | None:
    """The digest of a call; None for arguments that are neither tensors nor plain values."""
    digest = hashlib.blake2b(name.encode(), digest_size=32)
    for place, value in [*enumerate(positional), *sorted(named.items())]:
        if isinstance(value, torch.Tensor):
            digest.update(f"|{place}:{value.dtype}{tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().flatten().contiguous().view(torch.uint8).numpy().tobytes())
        elif value is None or isinstance(value, (bool, int, float, str, torch.dtype)):
            digest.update(f"|{place}:{value!r}".encode())
        else:
            return None
    return digest.digest()


def _copy(output: Any, device: torch.device) -> Any:
    """Another output with its own tensors there, and without anything but tensors, such as a language model's cache."""
    if isinstance(output, torch.Tensor):
        return output.detach().to(device, copy=True)
    if isinstance(output, (tuple, list)):
        return type(output)(_copy(each, device) for each in output)
    if isinstance(output, dict):
        return type(output)(
            **{key: made for key, value in output.items() if (made := _copy(value, device)) is not None}
        )
    return None


def _tensors_of(output: Any) -> Iterator[torch.Tensor]:
    if isinstance(output, torch.Tensor):
        yield output
    for each in output.values() if isinstance(output, dict) else output if isinstance(output, (tuple, list)) else ():
        yield from _tensors_of(each)


def _find_device(positional: tuple[Any, ...], named: dict[str, Any]) -> torch.device:
    """Where the call's own tensors are."""
    tensors = [value for value in (*positional, *named.values()) if isinstance(value, torch.Tensor)]
    return tensors[0].device if tensors else torch.device("cpu")
