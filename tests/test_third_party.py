"""The plugin of plugins/README.md: built into a wheel, installed into a fresh environment, asked for a video."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import Server
from tests.test_contract import ROOT, documented_plugin
from tests.videos import read

BUILD = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("rainbow")
    readme = (ROOT / "plugins" / "README.md").read_text()
    (project,) = re.findall(r"```toml\n(.*?)```", readme, re.DOTALL)
    (source / "pyproject.toml").write_text(BUILD + project)
    (source / "videoapi_rainbow.py").write_text(documented_plugin())
    run("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "-w", source, source)
    return next(source.glob("*.whl"))


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Path:
    """The interpreter of a fresh environment that has the wheel, and this one's packages behind it."""
    folder = tmp_path_factory.mktemp("environment")
    run("-m", "venv", "--without-pip", folder)
    interpreter = folder / "bin" / "python"
    packages = folder / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    (packages / "base.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    run("-m", "pip", "--python", interpreter, "install", "--quiet", "--no-deps", "--no-index", wheel)
    return interpreter


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, python: Path) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"), python=python, VIDEOAPI_PRELOAD="rainbow")
    with made:
        yield made


def run(*arguments: object) -> None:
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_listed(server: Server) -> None:
    assert "rainbow  (videoapi-rainbow 1.0)\n  rainbow: text\n" in server.manage("plugins")
    assert "rainbow" in [model["id"] for model in server.get("/v1/models").json["data"]]


def test_it_makes_a_video(server: Server) -> None:
    answer = server.post({"model": "rainbow", "prompt": "all the colours", "num_frames": 6, "size": "96x64"})
    assert answer.status == 200
    video = read(server.get(answer.json["data"][0]["url"]).body)
    assert video.frames.shape == (6, 64, 96, 3)


def test_its_refusal_is_a_400_that_names_the_field(server: Server) -> None:
    answer = server.post({"model": "rainbow", "prompt": "grey"})
    assert (answer.status, answer.error["param"]) == (400, "prompt")
    assert answer.error["message"] == "A rainbow has no grey."


def test_what_it_cannot_do_is_a_400(server: Server) -> None:
    answer = server.post({"model": "rainbow", "prompt": "blue", "start_image": "AAAA"})
    assert (answer.status, answer.error["param"]) == (400, "start_image")
    assert answer.error["message"] == "Model 'rainbow' cannot use it. It takes: text."
