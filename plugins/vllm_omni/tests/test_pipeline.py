"""What an engine is asked for, and what comes of its answers."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from plugins.vllm_omni.tests.engine import FakeEngine
from videoapi import Cancelled, GenerationRequest, InvalidRequest, ModelError
from videoapi_vllm_omni import engine as client
from videoapi_vllm_omni.loading import load
from videoapi_vllm_omni.pipeline import EnginePipeline

VIDEO = b"an mp4, for the engine's part" * 1000


class Progress:
    """Keeps the phases; cancels at the one that it is told."""

    def __init__(self, cancel_at: str = "") -> None:
        self.phases: list[str] = []
        self.cancel_at = cancel_at

    def phase(self, name: str) -> None:
        self.phases.append(name)
        if name == self.cancel_at:
            raise Cancelled("Cancelled by the client.")

    def step(self, done: int, total: int) -> None:
        raise AssertionError("the engine reports no steps")

    def preview(self, make: object) -> None: ...


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    made = FakeEngine(VIDEO)
    yield made
    made.close()


@pytest.fixture
def pipeline(engine: FakeEngine) -> Iterator[EnginePipeline]:
    loras = {"style": "/engine/style", "other": "/engine/other"}
    loaded = load(url=engine.url, model="wan", loras=loras, extra=["mood"])
    yield loaded
    loaded.close()


def request(**fields: Any) -> GenerationRequest:
    plain = {"prompt": "a cat", "negative_prompt": "dull", "width": 64, "height": 48, "num_frames": 9, "fps": 8}
    return GenerationRequest(**{**plain, "num_inference_steps": 2, "guidance_scale": 4.0, "seed": 0, **fields})


def test_every_field_is_sent_and_the_file_comes_back(engine: FakeEngine, pipeline: EnginePipeline) -> None:
    progress = Progress()
    params = {"flow_shift": 3.0, "boundary_ratio": 0.9, "lora": {"name": "style", "scale": 0.5}}
    image = Image.new("RGB", (64, 48), "red")
    clip = pipeline.generate(request(start_image=image, params=params), progress)
    assert clip.file is not None
    assert clip.file.read_bytes() == VIDEO
    (order,) = engine.orders
    picture = order.pop("input_reference")
    assert Image.open(io.BytesIO(picture)).size == (64, 48)
    assert json.loads(order.pop("lora")) == {"name": "style", "path": "/engine/style", "scale": 0.5, "int_id": 2}
    assert order == {
        "model": "wan",
        "prompt": "a cat",
        "negative_prompt": "dull",
        "size": "64x48",
        "num_frames": "9",
        "fps": "8",
        "num_inference_steps": "2",
        "guidance_scale": "4.0",
        "seed": "0",
        "flow_shift": "3.0",
        "boundary_ratio": "0.9",
    }
    assert progress.phases == ["loading", "denoising"]
    assert engine.deleted == ["video_gen_1"]


def test_a_first_and_a_last_frame_are_two_files_in_this_order(engine: FakeEngine, pipeline: EnginePipeline) -> None:
    images = {"start_image": Image.new("RGB", (64, 48), "red"), "end_image": Image.new("RGB", (64, 48), "blue")}
    pipeline.generate(request(**images), Progress())
    pictures = [Image.open(io.BytesIO(data)) for data in engine.orders[0]["input_references"]]
    assert [picture.getpixel((0, 0)) for picture in pictures] == [(255, 0, 0), (0, 0, 255)]
    assert "input_reference" not in engine.orders[0]


def test_what_the_operator_allows_is_sent_among_extra_params(engine: FakeEngine, pipeline: EnginePipeline) -> None:
    pipeline.generate(request(params={"mood": [1, "calm"], "flow_shift": 3.0}), Progress())
    assert json.loads(engine.orders[0]["extra_params"]) == {"mood": [1, "calm"]}
    assert engine.orders[0]["flow_shift"] == "3.0"


def test_a_failed_job_comes_with_an_http_error_and_is_a_failure_with_its_words(
    engine: FakeEngine, pipeline: EnginePipeline
) -> None:
    engine.failure = "CUDA out of memory"
    with pytest.raises(ModelError, match="The engine failed: CUDA out of memory"):
        pipeline.generate(request(), Progress())
    assert engine.deleted == ["video_gen_1"]


def test_a_field_that_the_engine_refuses_is_the_clients_by_its_own_name(
    engine: FakeEngine, pipeline: EnginePipeline
) -> None:
    engine.refusal = (
        "1 validation error for VideoGenerationRequest\nnum_inference_steps\n"
        "  Input should be less than or equal to 200 [type=less_than_equal, input_value=999, input_type=int]"
    )
    with pytest.raises(InvalidRequest) as refusal:
        pipeline.generate(request(), Progress())
    assert refusal.value.field == "step"
    assert refusal.value.message == "The engine refuses it: Input should be less than or equal to 200."
    engine.refusal = "Model mismatch: request specifies 'wan' but server is running 'ltx'."
    with pytest.raises(ModelError, match="The engine refuses the order: Model mismatch"):
        pipeline.generate(request(), Progress())


def test_a_cancel_deletes_the_job(engine: FakeEngine, pipeline: EnginePipeline) -> None:
    engine.looks_until_done = 1000
    with pytest.raises(Cancelled):
        pipeline.generate(request(), Progress(cancel_at="denoising"))
    assert engine.deleted == ["video_gen_1"]


def test_an_engine_that_was_restarted_has_forgotten_the_job(engine: FakeEngine, pipeline: EnginePipeline) -> None:
    engine.forgets = True
    with pytest.raises(ModelError, match="The engine has forgotten the job; it has probably been restarted"):
        pipeline.generate(request(), Progress())


def test_a_file_that_breaks_off_is_an_error(engine: FakeEngine, pipeline: EnginePipeline) -> None:
    engine.breaks_off = True
    with pytest.raises(ModelError, match="The engine broke off while it sent the video"):
        pipeline.generate(request(), Progress())


def test_a_job_that_is_still_being_cancelled_is_deleted_a_moment_later(
    engine: FakeEngine, pipeline: EnginePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "BACKOFF", (0.01, 0.01))
    engine.conflicts = 2
    pipeline.generate(request(), Progress())
    assert engine.deleted == ["video_gen_1"]


def test_an_engine_that_hangs_up_on_an_order_is_not_sent_it_again(engine: FakeEngine, pipeline: EnginePipeline) -> None:
    engine.hangs_up = True
    with pytest.raises(ModelError, match=r"The engine closed the connection while it took the order\."):
        pipeline.generate(request(), Progress())
    assert not engine.orders


def test_an_engine_that_does_not_answer_an_order_is_not_sent_it_again(
    engine: FakeEngine, pipeline: EnginePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "READ_SECONDS", 0.2)
    engine.delay = 1.0
    with pytest.raises(ModelError, match=r"The engine did not take the order: ReadTimeout\."):
        pipeline.generate(request(), Progress())
    assert len(engine.orders) <= 1


def test_a_key_that_is_no_longer_accepted_is_an_error(engine: FakeEngine, pipeline: EnginePipeline) -> None:
    engine.api_key = "new"
    with pytest.raises(ModelError, match=r"The engine refuses the order: Unauthorized"):
        pipeline.generate(request(), Progress())


def test_nobody_at_the_door_is_tried_again_and_nothing_is_ordered_twice(
    engine: FakeEngine, pipeline: EnginePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "BACKOFF", (0.1, 0.2, 0.4, 0.8))
    port = engine.port
    engine.close()
    with pytest.raises(ModelError, match=r"The engine does not answer\."):
        pipeline.generate(request(), Progress())
    later: list[FakeEngine] = []

    def come_back() -> None:
        time.sleep(0.5)
        later.append(FakeEngine(VIDEO, port))

    thread = threading.Thread(target=come_back)
    thread.start()
    pipeline.generate(request(), Progress())
    thread.join()
    assert len(later[0].orders) == 1
    later[0].close()


def test_another_version_than_was_tried_is_a_warning_in_the_log(
    engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    load(url=engine.url, model="wan", loras={}, extra=[]).close()
    assert not caplog.records
    engine.version = "0.31.0"
    load(url=engine.url, model="wan", loras={}, extra=[]).close()
    assert caplog.messages == ["the engine is vllm-omni 0.31.0; tried was 0.30.0"]


def test_an_engine_that_does_not_serve_the_model_cannot_be_loaded(engine: FakeEngine) -> None:
    with pytest.raises(ModelError, match="The engine serves wan, not ltx"):
        load(url=engine.url, model="ltx", loras={}, extra=[])
