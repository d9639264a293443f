"""What the text encoders make of a text, on disk: it outlives the process, and several share it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sys
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from transformers.utils.generic import ModelOutput

from videoapi_diffusers.components import is_text_encoder, modules_of
from videoapi_diffusers.weights.quantization import SCHEMES

logger = logging.getLogger(__name__)

# Of nothing else in the folder anything is known, and nothing else in it is deleted.
NAME = re.compile(r"[0-9a-f]{64}(\.safetensors|-\w+\.unfinished)", re.ASCII)
LIBRARIES = ("torch", "transformers", "diffusers", "safetensors")


class EmbeddingFiles:
    """One text encoder's outputs, a safetensors file each; beyond the limit, those that were used longest ago go.

    Encoders and processes may share the folder. A failure costs a line in the log and no request.
    """

    def __init__(self, folder: Path, limit_mib: int, identity: bytes) -> None:
        """What another `identity` has written is never read; the limit is for all of them together."""
        self._folder = folder
        self._limit = limit_mib * 2**20
        self._identity = identity

    def read(self, key: bytes) -> Any:
        """The output that was written under the key; None where there is none, or none that is whole."""
        path = self._find_path(key)
        try:
            # At once: another process may delete it, and the library would open it twice.
            data = path.read_bytes()
            tensors, said = load(data), _read_metadata(data)
            if said["checksum"] != _sum(tensors):
                raise ValueError("its values are not those that were written")
            output = _build(json.loads(said["outline"]), tensors)
        except FileNotFoundError:
            return None
        # A file that is not ours may be anything.
        except (OSError, SafetensorError, RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
            logger.warning("an embedding on disk is not used and will be written again: %s", error)
            return None
        # A folder that may only be read has no order of use.
        with suppress(OSError):
            os.utime(path)
        return output

    def write(self, key: bytes, output: Any) -> None:
        """Keep a copy of an output, which has its tensors in main memory and nothing but tensors."""
        tensors: dict[str, torch.Tensor] = {}
        outline = json.dumps(_outline(output, tensors))
        if sum(tensor.nbytes for tensor in tensors.values()) > self._limit:
            return
        said = {"outline": outline, "checksum": _sum(tensors)}
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(self._find_path(key), tensors, said)
            self._make_room()
        except (OSError, SafetensorError) as error:
            logger.warning("an embedding could not be kept on disk: %s", error)

    def _find_path(self, key: bytes) -> Path:
        name = hashlib.blake2b(self._identity + key, digest_size=32).hexdigest()
        return self._folder / f"{name}.safetensors"

    def _write(self, path: Path, tensors: dict[str, torch.Tensor], said: dict[str, str]) -> None:
        """Whole or not at all: under another name first, which no other process has."""
        descriptor, name = tempfile.mkstemp(prefix=f"{path.stem}-", suffix=".unfinished", dir=self._folder)
        unfinished = Path(name)
        try:
            # Not by the library, which has another unfinished file beside it.
            with os.fdopen(descriptor, "wb") as file:
                file.write(save(tensors, metadata=said))
            # Another process may have taken it for what is used least, and made room.
            with suppress(FileNotFoundError):
                unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    def _make_room(self) -> None:
        """What a process that was killed has left unfinished becomes the oldest, and goes like the others."""
        files = sorted(self._list(), reverse=True)
        size = 0
        for _, bytes_taken, path in files:
            size += bytes_taken
            if size > self._limit:
                path.unlink(missing_ok=True)

    def _list(self) -> Iterator[tuple[int, int, Path]]:
        """The time of the last use, the bytes and the path of each."""
        for path in self._folder.iterdir():
            # Another process may delete it meanwhile.
            with suppress(FileNotFoundError):
                if NAME.fullmatch(path.name):
                    status = path.stat()
                    yield status.st_mtime_ns, status.st_size, path


def open_files(
    pipeline: Any, settings: Mapping[str, Any], model: Path, weights: Mapping[str, Any], device: torch.device
) -> dict[str, EmbeddingFiles]:
    """For each text encoder of the pipeline, with the settings of `embeddings.read`; empty where nothing is kept.

    `model` is the folder that the pipeline was loaded from, with the `weights` of `read_weights`.
    """
    if "folder" not in settings:
        return {}
    encoders = {name: module for name, module in modules_of(pipeline).items() if is_text_encoder(name)}
    found = {name: identify(name, encoder, model, weights, device) for name, encoder in encoders.items()}
    folder, limit = Path(settings["folder"]), settings["folder_mib"]
    return {name: EmbeddingFiles(folder, limit, identity) for name, identity in found.items() if identity}


def identify(name: str, encoder: Any, model: Path, weights: Mapping[str, Any], device: torch.device) -> bytes | None:
    """What makes this encoder's outputs its own: its files, how they were loaded, what calculates and where.

    None where its files are not known.
    """
    files = sorted(path for path in (model / name).rglob("*") if path.is_file())
    if not files:
        return None
    quantization = weights.get("quantization", {})
    scheme = quantization["scheme"] if name in quantization.get("components", ()) else ""
    packages = [*LIBRARIES, SCHEMES[scheme].package if scheme else ""]
    find_name = getattr(torch.get_device_module(device), "get_device_name", lambda _: "")
    facts = [
        name,
        # To read all weights would take longer than most texts. No tool sets the time of a file's change, so that a
        # later one of the same name, size and date is another one.
        [_identify_file(path, model) for path in files],
        [weights.get("variant", ""), scheme, str(encoder.dtype)],
        str(getattr(encoder.config, "_attn_implementation", "")),
        [f"{package} {version(package)}" for package in packages if package],
        [device.type, find_name(device), torch.backends.cpu.get_cpu_capability()],
    ]
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=32).digest()


def _identify_file(path: Path, model: Path) -> list[Any]:
    status = path.stat()
    return [str(path.relative_to(model)), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _read_metadata(data: bytes) -> dict[str, str]:
    """Of a safetensors file: eight bytes with the length of the header, and the header in JSON."""
    found: dict[str, str] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    return found


def _sum(tensors: Mapping[str, torch.Tensor]) -> str:
    """A checksum of all values, in the order of the names."""
    found = 0
    for name in sorted(tensors):
        found = zlib.crc32(tensors[name].flatten().view(torch.uint8).numpy().data, found)
    return f"{found:08x}"


def _outline(output: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The output's structure as JSON, with names for its tensors, which are put into `tensors`."""
    if output is None:
        return None
    if isinstance(output, torch.Tensor):
        name = str(len(tensors))
        tensors[name] = output.contiguous()
        return name
    kind = type(output)
    items = output.items() if isinstance(output, dict) else enumerate(output)
    return {
        "class": [kind.__module__, kind.__qualname__],
        "items": [[key, _outline(value, tensors)] for key, value in items],
    }


def _build(outline: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """The output of that structure. Raises LookupError or ValueError for one that is none."""
    if outline is None or isinstance(outline, str):
        return None if outline is None else tensors[outline]
    module, name = outline["class"]
    items = [(key, _build(value, tensors)) for key, value in outline["items"]]
    # Nothing is imported for a file: the classes of an encoder that is loaded are there.
    kind = getattr(sys.modules[module], name)
    if kind in (tuple, list):
        return kind(value for _, value in items)
    if kind is not dict and not (isinstance(kind, type) and issubclass(kind, ModelOutput)):
        raise ValueError(f"{name} is no output of a text encoder")
    return kind(**dict(items))
