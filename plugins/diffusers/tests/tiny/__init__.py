"""A tiny instance with random weights of every video pipeline family that installs here, of diffusers' own classes.

Each knows its smallest request, so that one takes a second or two on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from plugins.diffusers.tests.tiny import cogvideox, cosmos, hunyuan, kandinsky, ltx, motif, others, unet, wan
from videoapi import Mode, ModelSpec
from videoapi_diffusers import inputs


@dataclass(frozen=True, kw_only=True, slots=True)
class Tiny:
    """How to make it, and what to ask it for."""

    title: str
    """Of its row in the README."""
    build: Callable[[], Any]
    width: int = 48
    height: int = 32
    num_frames: int = 9

    def ask(self, mode: Mode, spec: ModelSpec) -> dict[str, Any]:
        """Its smallest request, with the defaults of the spec's params."""
        params = {key: schema["default"] for key, schema in spec.params.items() if "default" in schema}
        return {**self.inputs(mode), "params": params}

    def inputs(self, mode: Mode) -> dict[str, Any]:
        """The shape of its smallest request, and what the mode needs."""
        from PIL import Image

        red, blue = (Image.new("RGB", (self.width, self.height), color) for color in ("red", "blue"))
        given: dict[Mode, dict[str, Any]] = {
            "text": {},
            "first_frame": {"start_image": red},
            "first_and_last_frame": {"start_image": red, "end_image": blue},
            "clip": {"clip": [red] * 2 + [blue] * (self.num_frames - 2)},
        }
        shape = {"width": self.width, "height": self.height, "num_frames": self.num_frames}
        return {**shape, **given[mode]}


def stand_in() -> None:
    """In this process, take the packages that Cosmos needs for installed, and put stand-ins in their place."""
    inputs.find_spec = lambda name: True  # type: ignore[assignment, attr-defined]
    cosmos.stand_in()


TINY: dict[str, Tiny] = {
    tiny.build.__name__: tiny
    for tiny in (
        Tiny(title="Wan 2.1 text to video", build=wan.wan_text),
        Tiny(title="Wan 2.1 image to video", build=wan.wan_image),
        Tiny(title="Wan 2.1 first and last frame", build=wan.wan_first_and_last),
        Tiny(title="Wan 2.2 text to video, two experts", build=wan.wan_experts),
        Tiny(title="Wan 2.2 image to video, two experts", build=wan.wan_image_experts),
        Tiny(title="Wan 2.2 TI2V", build=wan.wan_ti2v, width=64),
        Tiny(title="Wan VACE", build=wan.wan_vace),
        Tiny(title="SkyReels V2 text to video", build=wan.skyreels_text),
        Tiny(title="SkyReels V2 image to video", build=wan.skyreels_image),
        Tiny(title="SkyReels V2 diffusion forcing", build=wan.skyreels_forcing),
        Tiny(title="Lucy Edit", build=wan.lucy_edit),
        Tiny(title="AnyFlow", build=wan.anyflow),
        Tiny(title="AnyFlow FAR", build=wan.anyflow_far, num_frames=17),
        Tiny(title="HunyuanVideo", build=hunyuan.hunyuan_text),
        Tiny(title="HunyuanVideo I2V, first release", build=hunyuan.hunyuan_image),
        Tiny(title="HunyuanVideo I2V, second release", build=hunyuan.hunyuan_image_replaced),
        Tiny(title="SkyReels V1 (HunyuanVideo)", build=hunyuan.hunyuan_skyreels),
        Tiny(title="FramePack", build=hunyuan.framepack),
        Tiny(title="HunyuanVideo 1.5 text to video", build=hunyuan.hunyuan15_text),
        Tiny(title="HunyuanVideo 1.5 image to video", build=hunyuan.hunyuan15_image),
        Tiny(title="LTX-Video", build=ltx.ltx, width=64),
        Tiny(title="LTX-Video 0.9.5 and later", build=ltx.ltx_condition, width=64),
        Tiny(title="LTX-2", build=ltx.ltx2, width=64),
        Tiny(title="CogVideoX", build=cogvideox.cogvideox),
        Tiny(title="CogVideoX image to video", build=cogvideox.cogvideox_image),
        Tiny(title="CogVideoX 1.5", build=cogvideox.cogvideox15),
        Tiny(title="CogVideoX Fun control", build=cogvideox.cogvideox_control),
        Tiny(title="Mochi", build=others.mochi, num_frames=7),
        Tiny(title="Allegro", build=others.allegro, width=128, height=128, num_frames=24),
        Tiny(title="Latte", build=others.latte, num_frames=16),
        Tiny(title="Sana-Video", build=others.sana, width=64),
        Tiny(title="Helios", build=others.helios, num_frames=33),
        Tiny(title="Helios Pyramid", build=others.helios_pyramid, width=64, height=64, num_frames=33),
        Tiny(title="EasyAnimate", build=others.easyanimate),
        Tiny(title="EasyAnimate inpaint", build=others.easyanimate_inpaint),
        Tiny(title="Kandinsky 5", build=others.kandinsky5),
        Tiny(title="Kandinsky 5 image to video", build=others.kandinsky5_image, num_frames=17),
        Tiny(title="Kandinsky 6", build=kandinsky.kandinsky6),
        Tiny(title="Motif", build=motif.motif),
        Tiny(title="Stable Video Diffusion", build=unet.stable_video, num_frames=4),
        Tiny(title="AnimateDiff", build=unet.animatediff, num_frames=4),
        Tiny(title="AnimateDiff PAG", build=unet.animatediff_pag, num_frames=4),
        Tiny(title="AnimateDiff SDXL", build=unet.animatediff_xl, num_frames=4),
        Tiny(title="PIA", build=unet.pia, num_frames=4),
        Tiny(title="ModelScope text to video", build=unet.modelscope, num_frames=4),
        Tiny(title="I2VGen-XL", build=unet.i2vgen_xl, num_frames=4),
        Tiny(title="Cosmos text to world", build=cosmos.cosmos_text),
        Tiny(title="Cosmos video to world", build=cosmos.cosmos_video),
        Tiny(title="Cosmos 2 video to world", build=cosmos.cosmos2_video),
        Tiny(title="Cosmos 2.5", build=cosmos.cosmos25),
        Tiny(title="Cosmos 3", build=cosmos.cosmos3),
    )
}

NEEDS_STAND_INS = ("cosmos_text", "cosmos_video", "cosmos2_video", "cosmos25", "cosmos3")
SERVED = [name for name in TINY if name not in NEEDS_STAND_INS]
"""Those that `tests/test_diffusers.py` asks a real server for: stand-ins are in this process alone."""
