"""Every family, with a tiny instance of each: what its spec promises is what its pipeline makes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from plugins.diffusers.tests.table import SOUND, make_row, make_spec, read_rows
from plugins.diffusers.tests.tiny import TINY, stand_in
from videoapi import Cancelled, InvalidRequest, ModelError
from videoapi_diffusers import load
from videoapi_diffusers.families import FAMILIES, find_family
from videoapi_diffusers.inputs import find_problem
from videoapi_diffusers.signature import known_pipelines, read_signature

GREY = Image.new("RGB", (48, 32), "grey")

# diffusers and torch warn about models of their own and about having no GPU.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    import torch

    stand_in()
    # Two that wait for each other are slower than one with networks as small as these.
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", TINY)
def test_a_family_makes_what_its_spec_says(name: str, folders: Any, make_request: Any, progress: Any) -> None:
    tiny = TINY[name]
    spec = make_spec(folders(name))
    assert make_row(tiny, spec) in read_rows(), "python -m plugins.diffusers.tests.table writes the README's table anew"
    assert (tiny.width % spec.size_multiple, tiny.height % spec.size_multiple) == (0, 0)
    assert spec.frame_grid.next_up(tiny.num_frames) == tiny.num_frames
    pipeline = load(**spec.settings)
    requests = [make_request(**tiny.ask(mode, spec), num_inference_steps=2) for mode in sorted(spec.modes)]
    for request in requests:
        seen = progress()
        clip = pipeline.generate(request, seen)
        frames = np.stack(list(clip.frames))
        assert (frames.shape, frames.dtype) == ((tiny.num_frames, tiny.height, tiny.width, 3), np.uint8)
        assert seen.phases == ["encoding prompt", "denoising", "decoding"]
        total = seen.steps[-1][1]
        assert seen.steps == [(done, total) for done in range(1, total + 1)]
        assert (clip.audio is not None) is spec.audio is (spec.settings["pipeline_class"] in SOUND)
    with pytest.raises(Cancelled):
        pipeline.generate(requests[-1], progress(cancel_at=1))


@pytest.mark.parametrize(
    "name",
    [
        "anyflow",
        "cogvideox",
        "cogvideox_image",
        "cosmos3",
        "kandinsky5",
        "kandinsky5_image",
        "kandinsky6",
        "motif",
        "stable_video",
        "wan_text",
    ],
)
def test_a_length_after_another_one_has_a_preview(name: str, folders: Any, make_request: Any, progress: Any) -> None:
    """Latents have their channels in one place or another, and the map to a picture is one for all lengths."""
    tiny = TINY[name]
    spec = make_spec(folders(name))
    pipeline = load(**spec.settings)
    mode = "text" if "text" in spec.modes else "first_frame"
    for more in (0, 1, 2):
        asked = {**tiny.ask(mode, spec), "num_frames": tiny.num_frames + more * spec.frame_grid.step}
        seen = progress()
        clip = pipeline.generate(make_request(**asked, num_inference_steps=3), seen)
        assert len(list(clip.frames)) == asked["num_frames"]
        shapes = {picture.shape for picture in seen.previews}
        assert shapes == ({(tiny.height // 8, tiny.width // 8, 3)} if more else set())


def test_every_pipeline_that_is_taken_was_run(folders: Any) -> None:
    settings = [make_spec(folders(name)).settings for name in TINY]
    ran = {name for each in settings for name in (each["pipeline_class"], *each["modes"].values())}
    signatures = [signature for name in known_pipelines() if (signature := read_signature(name)) is not None]
    assert {each.name for each in signatures if not find_problem(each)} == ran


@pytest.mark.parametrize(
    ("name", "fact", "asked"),
    [
        ("mochi", {"min_steps": 1}, {"num_inference_steps": 1}),
        ("cosmos25", {"min_clip": 1}, {"clip": [GREY] * 4}),
        ("skyreels_forcing", {"min_given_frames": 1}, {"start_image": GREY, "num_frames": 1}),
        ("cogvideox15", {"check": None}, {"width": 2416}),
        ("cosmos2_video", {"check": None}, {"start_image": GREY, "height": 272}),
    ],
)
def test_less_or_more_than_a_family_can_make_is_refused_because_it_fails(
    name: str, fact: Any, asked: Any, folders: Any, make_request: Any, progress: Any, monkeypatch: Any
) -> None:
    spec = make_spec(folders(name))
    pipeline = load(**spec.settings)
    request = make_request(**{"num_frames": 9, "num_inference_steps": 2, **asked})
    with pytest.raises(InvalidRequest):
        pipeline.generate(request, progress())
    for used in spec.settings["modes"].values():
        monkeypatch.setitem(FAMILIES, used, replace(find_family(used), **fact))
    with pytest.raises((RuntimeError, ValueError, ZeroDivisionError, ModelError)):
        pipeline.generate(request, progress())


def test_a_first_frame_is_left_out_of_a_single_frame_of_motif_and_cosmos_3(
    folders: Any, make_request: Any, progress: Any, monkeypatch: Any
) -> None:
    for name in ("motif", "cosmos3"):
        spec = make_spec(folders(name))
        pipeline, used = load(**spec.settings), spec.settings["modes"]["first_frame"]
        requests = [make_request(start_image=image, num_frames=1) for image in (GREY, Image.new("RGB", (48, 32)))]
        with pytest.raises(InvalidRequest, match="makes at least 5 frames, not 1"):
            pipeline.generate(requests[0], progress())
        monkeypatch.setitem(FAMILIES, used, replace(find_family(used), min_given_frames=1))
        one, other = (np.stack(list(pipeline.generate(request, progress()).frames)) for request in requests)
        assert np.array_equal(one, other)


def test_the_distilled_pyramid_makes_its_first_window_in_twice_the_steps(
    tmp_path: Path, make_request: Any, progress: Any
) -> None:
    from diffusers import HeliosDMDScheduler

    from plugins.diffusers.tests.tiny.others import helios_pyramid

    helios_pyramid(scheduler=HeliosDMDScheduler(), is_distilled=True).save_pretrained(tmp_path)
    spec, seen = make_spec(tmp_path), progress()
    assert (spec.defaults.num_inference_steps, spec.defaults.guidance_scale) == (6, 1.0)
    request = make_request(width=64, height=64, num_frames=65, num_inference_steps=6)
    assert len(list(load(**spec.settings).generate(request, seen).frames)) == 65
    assert seen.steps == [*((done, 24) for done in range(1, 13)), *((done, 18) for done in range(13, 19))]
    assert seen.phases == ["encoding prompt", "denoising", "decoding"]


def test_the_distilled_kandinsky_6_has_its_own_steps_and_guidance(
    tmp_path: Path, make_request: Any, progress: Any
) -> None:
    from plugins.diffusers.tests.tiny.kandinsky import kandinsky6_distilled

    kandinsky6_distilled().save_pretrained(tmp_path)
    spec, seen = make_spec(tmp_path), progress()
    assert (spec.defaults.num_inference_steps, spec.defaults.guidance_scale) == (16, 1.0)
    request = make_request(num_frames=9, num_inference_steps=3, guidance_scale=1.0)
    clip = load(**spec.settings).generate(request, seen)
    assert (len(list(clip.frames)), seen.steps[-1], clip.audio is None) == (9, (3, 3), False)


def test_what_the_checker_of_cosmos_3_reads_is_what_was_made(folders: Any, make_request: Any, progress: Any) -> None:
    spec = make_spec(folders("cosmos3"))
    ours = load(**spec.settings)
    assert ours.pipeline.safety_checker is not None
    checked = np.stack(list(ours.generate(make_request(), progress()).frames)).astype(int)
    ours.pipeline.safety_checker = None
    unchecked = np.stack(list(ours.generate(make_request(), progress()).frames)).astype(int)
    assert np.abs(checked - unchecked).max() <= 1


def test_the_readme_has_a_row_for_every_family_and_no_other() -> None:
    assert [row.split(" | ")[0].strip("| ") for row in read_rows()] == [tiny.title for tiny in TINY.values()]
