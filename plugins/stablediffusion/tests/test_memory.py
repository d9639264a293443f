"""What a model and a request take: refused before any work, freed after it."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from typing import Any

import pytest

from plugins.stablediffusion.tests.conftest import run
from videoapi import OutOfMemory
from videoapi_stablediffusion import memory, pipeline

Load = Callable[..., tuple[Any, Any]]
Loaded = tuple[Any, Any]
Make = Callable[..., Any]


class MemoryInfo(ctypes.Structure):
    """glibc's mallinfo2."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def allocated() -> int:
    """Bytes that this process has taken by malloc and not given back."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = MemoryInfo
    info = mallinfo2()
    return int(info.uordblks + info.hblkhd)


def test_frames_are_freed(t2v: Loaded, make_request: Make, progress: Any) -> None:
    """By the C library's own count: the binding's class would keep 61 KB a call here."""
    spec, model = t2v
    size = {"width": 64, "height": 64}
    run(spec, model, progress, make_request, **size)
    before = allocated()
    for _ in range(2):
        run(spec, model, progress, make_request, **size)
    assert allocated() - before < 30_000


def test_weights_that_do_not_fit_are_refused_before_they_are_loaded(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "free_memory", lambda: 2**28)
    with pytest.raises(OutOfMemory, match=r"The model needs 0\.6 GiB of main memory, and 0\.2 GiB are free. Use files"):
        load()


def test_a_request_that_does_not_fit_is_refused_before_any_work(t2v: Loaded, make_request: Make, progress: Any) -> None:
    spec, model = t2v
    message = r"This needs about \d{3,}\.\d GiB beside the model, and \d+\.\d GiB are free; try a smaller width"
    with pytest.raises(OutOfMemory, match=message):
        run(spec, model, progress, make_request, width=8192, height=8192, num_frames=81)
    assert progress.phases == []


def test_what_the_library_cannot_allocate_is_an_error_and_the_next_request_works(
    t2v: Loaded, make_request: Make, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else can take the memory meanwhile."""
    spec, model = t2v
    with monkeypatch.context() as patch:
        patch.setattr(memory, "free_memory", lambda: 2**28)
        patch.setattr(memory, "HEADROOM", 0)
        with pytest.raises(OutOfMemory, match="There is not enough free memory for this; try a smaller width"):
            run(spec, model, progress, make_request, width=256, height=256)
    assert len(run(spec, model, progress, make_request)) == 5


def test_the_estimate_is_about_what_the_library_takes(
    t2v: Loaded, make_request: Make, progress: Any, caplog: pytest.LogCaptureFixture
) -> None:
    spec, model = t2v
    with caplog.at_level("DEBUG", "stable-diffusion.cpp"):
        run(spec, model, progress, make_request, width=128, height=128)
    text = "\n".join(record.getMessage() for record in caplog.records)
    buffers = [float(number) for number in re.findall(r"compute buffer size: ([\d.]+) MB", text)]
    need = model._plan(request=make_request(spec, width=128, height=128)).total / 2**20
    assert max(buffers) <= need < 1.1 * max(buffers)


def test_a_large_video_is_decoded_in_tiles_by_itself(t2v: Loaded, make_request: Make) -> None:
    spec, model = t2v
    plans = [
        model._plan(request=make_request(spec, width=width, height=480, num_frames=33, params=params))
        for width, params in ((128, {}), (832, {}), (832, {"vae_tiling": False}), (128, {"vae_tiling": True}))
    ]
    assert [plan.is_tiled for plan in plans] == [False, True, False, True]
    assert plans[2].total > 5 * plans[1].total
