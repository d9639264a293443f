"""The contract of plugins: light, complete, and what the documentation says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import videoapi

ROOT = Path(__file__).parent.parent
SILENCE = videoapi.Audio(samples=np.zeros((1, 1), np.float32), sample_rate=8000)


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_importing_the_contract_imports_neither_django_nor_anything_heavy() -> None:
    loaded = run_python("import sys, videoapi; print(*sys.modules)").split()
    assert not {"django", "numpy", "PIL", "torch", "diffusers", "yaml"} & set(loaded)


def test_registering_all_models_imports_neither_torch_nor_django() -> None:
    loaded = run_python(
        "import sys, pathlib; from videoapi.catalog import load_catalog; "
        "assert list(load_catalog(pathlib.Path('settings/models'))); print(*sys.modules)"
    ).split()
    assert not {"django", "torch", "diffusers", "transformers"} & set(loaded)


def test_the_web_and_the_worker_import_no_torch() -> None:
    loaded = run_python(
        "import sys, os; os.environ['DJANGO_SETTINGS_MODULE'] = 'settings.dev'; import django; django.setup(); "
        "import videoapi.urls, videoapi.engine.worker; from videoapi.engine.registry import get_catalog; "
        "get_catalog(); print(*sys.modules)"
    ).split()
    assert not {"torch", "diffusers", "transformers"} & set(loaded)


def test_everything_exported_exists() -> None:
    assert all(hasattr(videoapi, name) for name in videoapi.__all__)


@pytest.mark.parametrize(
    ("grid", "asked", "made"),
    [
        ((1, 0), 7, 7),
        ((4, 1), 1, 1),
        ((4, 1), 2, 5),
        ((4, 1), 16, 17),
        ((4, 1), 17, 17),
        ((8, 1), 24, 25),
        ((2, 0), 5, 6),
    ],
)
def test_a_frame_grid_rounds_up(grid: tuple[int, int], asked: int, made: int) -> None:
    assert videoapi.FrameGrid(step=grid[0], offset=grid[1]).next_up(asked) == made


@pytest.mark.parametrize(
    "make",
    [
        lambda: videoapi.Defaults(fps=0),
        lambda: videoapi.Defaults(width=-16),
        lambda: videoapi.Limits(max_frames=0),
        lambda: videoapi.FrameGrid(step=0),
        lambda: videoapi.ModelSpec(name="x", size_multiple=0),
        lambda: videoapi.ModelSpec(name="x", size_multiple=7),
        lambda: videoapi.ModelSpec(name="x", size_multiple=16, native_sizes=((832, 470),)),
        lambda: videoapi.ModelSpec(name="x", native_sizes=((0, 0),)),
    ],
)
def test_numbers_that_no_video_can_have_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(videoapi.ConfigurationError):
        make()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "either frames or a file"),
        ({"frames": [], "file": Path("x.mp4")}, "either frames or a file"),
        ({"file": Path("x.mp4"), "audio": SILENCE}, "in the file"),
    ],
)
def test_a_clip_is_frames_or_a_file(values: Any, message: str) -> None:
    with pytest.raises(videoapi.ConfigurationError, match=message):
        videoapi.Clip(**values)


def test_the_documented_plugin_has_under_forty_lines() -> None:
    source = documented_plugin()
    assert len(source.splitlines()) < 40


def documented_plugin() -> str:
    """The Python source in plugins/README.md."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "plugins" / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 1
    return str(blocks[0])
