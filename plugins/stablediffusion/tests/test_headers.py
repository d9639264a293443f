"""Headers of weight files: what they say, and every damage that the library would not survive."""

from __future__ import annotations

import ctypes
import io
import json
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from plugins.stablediffusion.tests.conftest import need_library
from plugins.stablediffusion.tests.entries import F16, Entry, write_gguf
from videoapi_stablediffusion.headers import GGML_TYPES, BadWeights, read_header


def gguf(*, tensors: int = 1, values: bytes = b"", count: int = 0, body: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, count) + values + body


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def info(name: str = "a", sizes: tuple[int, ...] = (4,), kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, kind, offset)


def safetensors(header: Any, data: bytes = b"") -> bytes:
    packed = json.dumps(header).encode()
    return struct.pack("<Q", len(packed)) + packed + data


def test_a_gguf_says_its_tensors(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "a.gguf", iter([Entry("a.weight", (256, 3), F16), Entry("a.bias", (3,))]))
    tensors = read_header(path)
    assert {name: (tensor.shape, tensor.memory) for name, tensor in tensors.items()} == {
        "a.weight": ((3, 256), 1536),
        "a.bias": ((3,), 12),
    }


def test_metadata_of_every_kind_is_passed_over(tmp_path: Path) -> None:
    values = (
        text("general.alignment")
        + struct.pack("<II", 4, 64)
        + text("tokens")
        + struct.pack("<IIQ", 9, 8, 2)
        + text("one")
        + text("two")
        + text("scores")
        + struct.pack("<IIQ2f", 9, 6, 2, 0.5, 1.5)
        + text("name")
        + struct.pack("<I", 8)
        + text("wan")
        + text("flag")
        + struct.pack("<IB", 7, 1)
    )
    path = tmp_path / "a.gguf"
    path.write_bytes(gguf(values=values, count=5, body=info()).ljust(256, b"\0") + b"\0" * 16)
    assert read_header(path)["a"].shape == (4,)


def test_safetensors_say_theirs_and_what_they_take_in_memory(tmp_path: Path) -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]},
        "b": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [12, 16]},
    }
    path = tmp_path / "a.safetensors"
    path.write_bytes(safetensors(header, b"\0" * 16))
    assert {name: (t.shape, t.memory) for name, t in read_header(path).items()} == {"a": ((2, 3), 12), "b": ((4,), 8)}


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"x" * 100)
    return buffer.getvalue()


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\x07" * 5000, "is neither GGUF nor safetensors; pickled"),
        (b"hello", "is neither GGUF nor safetensors; pickled"),
        (zipped(), "is neither GGUF nor safetensors; pickled"),
        (pickle.dumps({"a": 1}), "is neither GGUF nor safetensors; pickled"),
        (b"GGUF", "is cut off in its header"),
        (gguf(version=1), "is GGUF version 1; 2 and 3 are known"),
        (gguf(tensors=2**60), "is cut off in its header"),
        (gguf(tensors=0), "holds no tensors"),
        (gguf(count=2**60), "is cut off in its header"),
        (gguf(body=struct.pack("<Q", 2**62)), f"has a name of {2**62} bytes"),
        (gguf(body=text("a") + struct.pack("<I", 7)), "has a tensor of 7 dimensions: 'a'"),
        (gguf(body=info(kind=77)), "has a tensor of the unknown type 77: 'a'"),
        (gguf(body=info(sizes=(2**40, 2**40))), "is cut off: 'a' ends at byte"),
        (gguf(body=info()), "is cut off: 'a' ends at byte"),
        (gguf(count=1, values=text("k") + struct.pack("<I", 99)), "has a value of the unknown type 99"),
        (gguf(count=1, values=text("k") + struct.pack("<IIQ", 9, 9, 1)), "has a value of the unknown type 9"),
        (gguf(count=1, values=text("general.alignment") + struct.pack("<II", 4, 3)), "has an alignment of 3"),
        (safetensors([1]), "is neither GGUF nor safetensors"),
        (safetensors({"a": ONE}), "is cut off: 'a' ends at byte"),
        (safetensors({"a": {"shape": [1], "data_offsets": [0, 4]}}), "has a header that is not that of safetensors"),
        (safetensors({"a": {**ONE, "data_offsets": ["0", "4"]}}, b"1234"), "has a tensor whose shape or place is no"),
        (safetensors({"a": {**ONE, "data_offsets": [0.0, 4.0]}}, b"1234"), "has a tensor whose shape or place is no"),
        (safetensors({"a": {**ONE, "dtype": "C64"}}, b"1234"), "has a tensor of the unsupported type C64: 'a'"),
        (safetensors({"a": {**ONE, "shape": [2]}}, b"1234"), "has a tensor whose size does not fit its shape: 'a'"),
        (safetensors({"a": {**ONE, "shape": [-1]}}, b"1234"), "has a tensor whose shape or place is no number: 'a'"),
        (safetensors({"a": 1}), "has a header that is not that of safetensors"),
        (struct.pack("<Q", 100) + b"{}", "is cut off in its header"),
        (struct.pack("<Q", 5) + b'{"a":', "has a header that is not that of safetensors"),
        (safetensors({}), "holds no tensors"),
    ],
)
def test_a_damaged_file_is_refused_with_its_damage(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "weights"
    path.write_bytes(content)
    with pytest.raises(BadWeights) as error:
        read_header(path)
    assert str(error.value).startswith(problem)


@pytest.mark.parametrize(("name", "problem"), [("nothing", "does not exist"), ("", "is a folder")])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str, problem: str) -> None:
    with pytest.raises(BadWeights, match=problem):
        read_header(tmp_path / name)


def test_every_cut_of_a_file_is_noticed(tmp_path: Path) -> None:
    whole = write_gguf(tmp_path / "a.gguf", iter([Entry("a", (256,), F16), Entry("b", (8,))])).read_bytes()
    path = tmp_path / "cut.gguf"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        # What lies behind the last tensor is only room up to the alignment.
        if length < len(whole) - 32:
            with pytest.raises(BadWeights):
                read_header(path)


def test_the_sizes_of_types_are_the_librarys() -> None:
    from videoapi_stablediffusion.library import open_library

    need_library()
    functions = open_library().functions
    functions.ggml_type_name.restype = ctypes.c_char_p
    for number, (name, block, size) in GGML_TYPES.items():
        found = functions.ggml_type_name(number).decode(), functions.ggml_blck_size(number)
        assert (*found, functions.ggml_type_size(number)) == (name, block, size)
