"""The picture of the loss curve tells what the logs say."""

from __future__ import annotations

from pathlib import Path

from videoapi_starter.training.curve import draw, read_logs


def test_a_run_that_goes_back_to_a_checkpoint_replaces_what_came_after_it(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("noise\n100 samples, loss 0.9, 5 samples/s\n200 samples, loss 0.8\n300 samples, loss 0.7\n")
    second.write_text("bar 3%\r200 samples, error 0.6000, critic 0.1\n400 samples, error 0.5, critic 0.1\n")
    assert read_logs([first, second]) == [(100, 0.9), (200, 0.6), (400, 0.5)]


def test_the_picture_has_the_curve_and_its_marks() -> None:
    picture = draw([(0, 1.0), (100_000, 0.2)], [(50_000, "critic")])
    colors = {color for _, color in picture.getcolors(1 << 20)}
    assert {(0x20, 0x50, 0xC0), (0xC0, 0x50, 0x20)} <= colors
