"""`POST /video` with the real stable-diffusion.cpp on weights of the true shapes: every variant, every fault."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from plugins.stablediffusion.tests import weights
from plugins.stablediffusion.tests.conftest import need_library
from tests.clips import encode_clip, greys
from tests.images import base64_of, plain
from tests.server import Answer, Server
from tests.videos import read

SMALL = {"prompt": "a cat", "size": "32x32", "num_frames": 5, "fps": 8, "step": 1, "cfg_scale": 1, "seed": 7}
RED, BLUE = base64_of(plain("red", 32, 32)), base64_of(plain("blue", 32, 32))
CLIP = base64_of(encode_clip(greys(5, 32, 32)))
HUGE = {"max_side": 16384, "max_pixels": 2**28, "max_prompt_length": 100_000}
MODELS: dict[str, dict[str, Any]] = {
    "t2v": {"limits": HUGE},
    "i2v": {"stablediffusion": {"clip_vision_path": "clip_vision.gguf"}},
    "vace": {},
    "ti2v": {"stablediffusion": {"taesd_path": "tiny_vae_48.gguf"}},
    "experts": {
        "parameters": {"model": "t2v.gguf"},
        "stablediffusion": {"high_noise_diffusion_model_path": "t2v.gguf"},
    },
    "localai": {
        "backend": "stablediffusion-ggml",
        "parameters": {"model": "t2v.gguf"},
        "options": ["diffusion_model", "taesd_path:tiny_vae.gguf", "without_text_encoder:true", "n_threads:1"],
    },
    "broken": {"parameters": {"model": "ten-blocks.gguf"}},
    "changing": {"parameters": {"model": "changing.gguf"}},
    "strange": {"parameters": {"model": "t2v.gguf"}, "stablediffusion": {"sampler": "magic"}},
}


def write_models(folder: Path) -> None:
    """Weights and model files of every variant."""
    folder.mkdir()
    weights.write_all(folder)
    weights.write_gguf(folder / "changing.gguf", weights.wan(weights.SHAPES["t2v"]))
    for name, keys in MODELS.items():
        data = {"name": name, "backend": "stablediffusion", "parameters": {"model": f"{name}.gguf"}, **keys}
        if "options" not in keys:
            ours = {"taesd_path": "tiny_vae.gguf", "without_text_encoder": True, "n_threads": 1}
            data["stablediffusion"] = ours | keys.get("stablediffusion", {})
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(data))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    need_library()
    folder = tmp_path_factory.mktemp("stablediffusion")
    models = folder / "models"
    write_models(models)
    settings = {"VIDEOAPI_MODELS_DIR": str(models), "VIDEOAPI_PRELOAD": "", "VIDEOAPI_CANCEL_SECONDS": "60"}
    with Server(folder, **settings) as server:
        yield server


def make(server: Server, model: str, **fields: Any) -> Any:
    """The frames of a video; the request must succeed."""
    answer = server.post({**SMALL, "model": model, **fields})
    assert answer.status == 200, (answer.body, server.log[-2000:])
    return read(server.get(answer.json["data"][0]["url"]).body)


def test_text_to_video_is_exactly_what_was_asked_for(server: Server) -> None:
    """Four frames are off the grid, and the size is not the model's own."""
    video = make(server, "t2v", size="48x32", num_frames=4, fps=12)
    assert (video.width, video.height, len(video.frames), video.rate) == (48, 32, 4, 12)
    assert len({frame.tobytes() for frame in video.frames}) == 4
    assert '"sampler": "euler"' in video.metadata["comment"]
    again = make(server, "localai", size="48x32", num_frames=4, fps=12)
    assert np.array_equal(video.frames, again.frames)


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        ("i2v", [{"start_image": RED}, {"start_image": RED, "end_image": BLUE}]),
        ("vace", [{}, {"start_image": RED}, {"input_reference": CLIP}, {"start_image": RED, "input_reference": CLIP}]),
        ("ti2v", [{}, {"start_image": RED}]),
    ],
)
def test_every_input_that_the_variant_takes_counts(server: Server, model: str, inputs: list[dict[str, Any]]) -> None:
    results = {make(server, model, **each).frames.tobytes() for each in inputs}
    assert len(results) == len(inputs)


def test_two_experts_report_one_row_of_steps(server: Server) -> None:
    answer = server.post({**SMALL, "model": "experts", "step": 3, "params": {"high_noise_step": 2}})
    assert answer.status == 200
    row = server.get(f"/video/{answer.json['id']}").json
    assert (row["step"], row["total_steps"]) == (3, 3)
    assert {"loading", "encoding prompt", "denoising", "decoding", "encoding", "storing"} <= set(answer.json["timings"])


@pytest.mark.parametrize(
    ("model", "fields", "param", "words"),
    [
        ("t2v", {"start_image": RED}, "start_image", "It takes: text."),
        ("t2v", {"input_reference": CLIP}, "input_reference", "It takes: text."),
        ("i2v", {}, "start_image", "needs a start image"),
        ("ti2v", {"start_image": RED, "end_image": BLUE}, "end_image", "It takes: first_frame, text."),
        ("t2v", {"size": "40x32"}, "size", "the nearest sizes to 40x32 are 32x32 and 48x32"),
        ("ti2v", {"size": "48x32"}, "size", "the nearest sizes to 48x32 are 32x32 and 64x32"),
        ("t2v", {"params": {"sampler": "sample_method_count"}}, "params.sampler", "is not one of ['euler', 'euler_a'"),
        ("t2v", {"params": {"scheduler": "scheduler_count"}}, "params.scheduler", "is not one of ['discrete'"),
        ("t2v", {"params": {"moe_boundary": 0.5}}, "params.moe_boundary", "Unknown. "),
        ("t2v", {"params": {"cache_threshold": 1}}, "params.cache_threshold", "no effect with cache_mode 'disabled'"),
        ("t2v", {"params": {"loras": [{"name": "/etc/passwd"}]}}, "params.loras", "Unknown. "),
        ("broken", {}, "model", "Unknown model 'broken'"),
    ],
)
def test_what_the_library_would_ignore_or_round_is_a_400(
    server: Server, model: str, fields: dict[str, Any], param: str, words: str
) -> None:
    answer = server.post({**SMALL, "model": model, **fields})
    assert (answer.status, answer.error["param"]) == (400, param), answer.body
    assert words in answer.error["message"]


def test_two_requests_at_once_are_made_one_after_the_other(server: Server) -> None:
    answers: list[Answer] = []
    threads = [
        threading.Thread(target=lambda seed=seed: answers.append(server.post({**SMALL, "model": "t2v", "seed": seed})))
        for seed in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200, 200]


def test_a_cancel_ends_the_process_at_once_and_the_next_request_loads_again(server: Server) -> None:
    """The library cannot be stopped; without the kill, a hundred steps of it would go on."""
    path = server.post({**SMALL, "model": "t2v", "step": 100}, Prefer="respond-async").headers["Location"]
    server.wait_until(lambda: server.get(path).json["step"] >= 1, "the first step")
    started = time.monotonic()
    server.delete(path)
    assert server.wait_for(path, "cancelled", "failed", "completed")["status"] == "cancelled"
    assert time.monotonic() - started < 20
    make(server, "t2v")


def test_a_fault_inside_the_library_is_its_requests_own(server: Server) -> None:
    """A prompt of tens of kilobytes, which the limits keep out by default, makes the library recurse to its death."""
    answer = server.post({**SMALL, "model": "t2v", "prompt": "x" * 60_000})
    assert (answer.status, answer.error["code"]) == (500, "model_crashed")
    assert answer.error["message"].startswith("The model's process was ended by SIGSEGV.")
    make(server, "t2v")


def test_more_than_the_memory_is_an_error_that_says_so(server: Server) -> None:
    """Whatever the operator's limits allow; without this, the system would kill somebody."""
    before = server.files()
    answer = server.post({**SMALL, "model": "t2v", "size": "8192x8192", "num_frames": 81})
    assert (answer.status, answer.error["code"]) == (500, "out_of_memory"), answer.body
    assert "smaller" in answer.error["message"]
    assert server.files() == before
    make(server, "t2v")


def test_an_abort_says_the_librarys_last_words(server: Server) -> None:
    make(server, "t2v")
    path = server.post({**SMALL, "model": "t2v", "step": 100}, Prefer="respond-async").headers["Location"]
    server.wait_until(lambda: server.get(path).json["step"] >= 1, "the first step")
    (pid,) = [pid for pid, command in server.processes() if "model_process" in command]
    os.kill(pid, signal.SIGABRT)
    error = server.wait_for(path, "failed", "completed")["error"]
    assert error["code"] == "model_crashed"
    assert "SIGABRT" in error["message"]
    assert "generate_video 32x32x5" in error["message"]
    make(server, "t2v")


def test_weights_that_are_replaced_by_worse_ones_fail_the_load_and_come_back(server: Server) -> None:
    path = server.folder / "models" / "changing.gguf"
    whole = path.read_bytes()
    for content, words in (
        (whole[: len(whole) // 2], "changing.gguf is cut off"),
        ((server.folder / "models" / "ten-blocks.gguf").read_bytes(), "has 10 blocks"),
        ((server.folder / "models" / "vace.gguf").read_bytes()[:100], "is cut off in its header"),
    ):
        path.write_bytes(content)
        answer = server.post({**SMALL, "model": "changing"})
        assert (answer.status, answer.error["code"]) == (500, "model_error")
        assert words in answer.error["message"]
    path.write_bytes(whole)
    make(server, "changing")


def test_the_library_speaks_in_the_log_and_nowhere_else(server: Server) -> None:
    make(server, "t2v", num_frames=1)
    assert "generate_video completed in" in server.log
    assert "OMP" not in server.log


def test_the_checks_name_what_is_wrong(server: Server) -> None:
    out = server.manage("check")
    assert "broken.yaml: 'parameters.model' has 10 blocks; a Wan model has 30 (1.3B, 5B) or 40 (14B)." in out
    assert "Model 'strange' refuses its own default of 'sampler' in params: 'magic' is not one of" in out
    assert "vace: clip, first_frame, text" in server.manage("plugins")
