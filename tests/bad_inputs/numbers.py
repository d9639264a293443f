"""Numbers and geometry."""

from __future__ import annotations

from typing import Any

from tests.bad_inputs.case import Case, refuse

INTEGER, NUMBER, SECONDS = "Must be an integer.", "Must be a number.", "positive decimal number of seconds"
# What is no integer in any field that wants one.
NO_INTEGERS: list[Any] = ["16", "", "1_2", "１６", "0x10", "nan", 24.5, True, False, [16], {"value": 16}]
NO_NUMBERS: list[Any] = ["7", "nan", "inf", "1e3", "", True, [7], {"value": 7}]
NO_SECONDS: list[Any] = [
    "0", "0.0", 0, -1, "-1", "two", "", "1_0", "١", "1e3", "nan", "inf", ".5", "5.", " 2", "2s", "1.2.3", "9" * 5000,
    1e-7, 10**400, True, [2], {"value": 2},
]  # fmt: skip


def _mix(name: str, param: str, words: str, **fields: Any) -> Case:
    return Case(name=name, param=param, words=words, fields=fields)


CASES = [
    *(
        refuse(field, value, INTEGER)
        for field in ("width", "height", "num_frames", "fps", "step", "seed", "priority")
        for value in NO_INTEGERS
    ),
    *(refuse("cfg_scale", value, NUMBER) for value in NO_NUMBERS),
    *(refuse("seconds", value, SECONDS) for value in NO_SECONDS),
    *(refuse(field, 10**400, "Is too large.") for field in ("width", "num_frames", "fps", "step", "seed")),
    *(refuse(field, -16, "greater than or equal to") for field in ("width", "height", "num_frames", "fps", "step")),
    *(refuse(field, 0.5, INTEGER) for field in ("width", "height", "num_frames", "fps", "step")),
    refuse("width", 15, "the nearest sizes to 15x48 are 16x48"),
    refuse("width", 72, "are 64x48 and 80x48"),
    refuse("width", 1_000_000, "over the 2048 pixels"),
    refuse("height", 2**63 - 1, "over the 2048 pixels"),
    refuse("height", 2**63, "Is too large."),
    _mix("an area over the budget", "width", "over the 262144 pixels in all", width=1024, height=512),
    _mix("a strip over a side", "height", "over the 2048 pixels", width=16, height=4096),
    *(
        refuse("size", value, "is not WIDTHxHEIGHT")
        for value in (
            "832",
            "0x480",
            "480x0",
            "832×480",
            "832X480",
            "832x",
            "x480",
            "-832x480",
            "832x-480",
            "832 x 480",
            "8e2x480",
            "832x480x1",
            "832.0x480",
            "８32x480",
            "auto",
            "+64x48",
            "64x48\n",
            "0064x48",
        )
    ),
    refuse("size", "64x48" * 1000, "no more than 20 characters"),
    refuse("size", "999999x999999", "over the 2048 pixels"),
    refuse("size", "1024x512", "over the 262144 pixels in all"),
    refuse("size", "70x48", "the nearest sizes to 70x48 are 64x48 and 80x48"),
    refuse("size", 512, "Must be a string."),
    refuse("size", [512, 512], "Must be a string."),
    _mix("a size against a width", "size", "contradicts width 64", size="96x64", width=64),
    refuse("num_frames", 258, "over the 257"),
    refuse("num_frames", 2**31, "over the 257"),
    refuse("fps", 121, "over the 120"),
    refuse("fps", 1000, "over the 120"),
    refuse("seconds", "0.05", "less than one frame"),
    refuse("seconds", "52", "260 frames are over the 257"),
    refuse("seconds", "999999", "frames are over the 257"),
    _mix("seconds over the cap by their rate", "seconds", "over the 257", seconds="10", fps=60),
    _mix("a rate over the cap by seconds", "seconds", "over the 120 frames per second", seconds="1", num_frames=200),
    _mix("a rate that is no whole number", "seconds", "no whole number of frames", seconds="2", num_frames=5),
    _mix("three that contradict", "seconds", "are 10 frames, not 5", seconds="2", num_frames=5, fps=5),
    refuse("step", 201, "over the limit of 200"),
    refuse("step", 10_000, "over the limit of 200"),
    refuse("cfg_scale", -0.1, "greater than or equal to 0"),
    refuse("cfg_scale", 50.1, "over the limit of 50"),
    refuse("cfg_scale", 1e6, "over the limit of 50"),
    refuse("cfg_scale", 1e308, "over the limit of 50"),
    refuse("cfg_scale", 10**309, NUMBER),
    refuse("seed", -1, "greater than or equal to 0"),
    refuse("seed", 2**63, "Is too large."),
    refuse("seed", 2**64, "Is too large."),
    refuse("seed", 1.5, INTEGER),
]
