"""What is run, and what it prints."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plugins.vllm_omni.tests.fake_vllm_omni import install
from videoapi import ModelError
from videoapi_vllm_omni.guarded import GuardedProcess
from videoapi_vllm_omni.served import find_command, find_version


def test_its_log_has_progress_as_it_comes_and_not_our_own_requests(capfd: pytest.CaptureFixture[str]) -> None:
    words = (
        "\\rshards: 10%\\rshards: 20%",
        "\\nValueError: no memory\\n",
        'INFO: 127.0.0.1:5 - "GET /v1/videos/a HTTP/1.1" 200 OK\\n',
        "leaked semaphore objects\\n",
    )
    process = GuardedProcess(["printf", "%b", "".join(words)], dict(os.environ))
    assert process.wait() == "ended with status 0. Its last words: ValueError: no memory"
    out = capfd.readouterr().out
    assert "shards: 20%" in out
    assert "leaked semaphore" in out
    assert "GET" not in out


def test_the_program_is_that_of_an_environment_or_any_command(tmp_path: Path) -> None:
    install(tmp_path)
    assert find_command(str(tmp_path)) == [f"{tmp_path}/bin/vllm-omni"]
    assert find_command("env A=1 vllm-omni") == ["env", "A=1", "vllm-omni"]
    with pytest.raises(ModelError, match=r"The vLLM-Omni that 'vllm_omni\.serve' of the model file names is not on"):
        find_command(str(tmp_path / "nothing"))


def test_the_version_of_an_environment_is_known_without_starting_it(tmp_path: Path) -> None:
    install(tmp_path)
    assert find_version(str(tmp_path)) == ""
    (tmp_path / "lib/python3.12/site-packages/vllm_omni-0.31.0.dist-info").mkdir(parents=True)
    assert find_version(str(tmp_path)) == "0.31.0"
