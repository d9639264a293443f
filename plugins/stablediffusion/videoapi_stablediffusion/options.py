"""What a model file may say to this backend.

The words are stable-diffusion.cpp's own. Each may stand as a key under `stablediffusion:`, or as in LocalAI's files in
the list `options: ["vae_path:wan_2.1_vae.safetensors", "sampler:euler"]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videoapi import ModelFile

SECTION = "stablediffusion"
TRUTH = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}

FILES = {
    "high_noise_diffusion_model_path": "the high noise half of Wan 2.2 A14B",
    "vae_path": "the autoencoder",
    "taesd_path": "a tiny autoencoder in its place: faster, less exact",
    "t5xxl_path": "the text encoder umt5-xxl",
    "clip_vision_path": "the image encoder clip_vision_h of Wan 2.1 I2V and FLF2V",
}
"""Keys that name a file beside the model file, or anywhere with an absolute path."""

CONTEXT: dict[str, type] = {
    "n_threads": int,
    "wtype": str,
    "rng_type": str,
    "sampler_rng_type": str,
    "lora_apply_mode": str,
    "offload_params_to_cpu": bool,
    "enable_mmap": bool,
    "keep_clip_on_cpu": bool,
    "keep_vae_on_cpu": bool,
    "diffusion_flash_attn": bool,
    "diffusion_conv_direct": bool,
    "vae_conv_direct": bool,
    "max_vram": float,
}
"""Keys that are settings of the loaded model, with their kinds."""

# Attention without it needs memory by the square of the number of tokens: 51 GB for 81 frames of 832x480. Applying a
# LoRA into the weights cannot be taken back exactly, so by default it is applied at run time.
CONTEXT_DEFAULTS = {"diffusion_flash_attn": True, "lora_apply_mode": "at_runtime"}
WEIGHT_TYPES = ("f32", "f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_K", "q3_K", "q4_K", "q5_K", "q6_K")
CHOICES: Mapping[str, tuple[str, ...]] = {
    "wtype": WEIGHT_TYPES,
    "rng_type": ("std_default", "cuda", "cpu"),
    "sampler_rng_type": ("std_default", "cuda", "cpu"),
    "lora_apply_mode": ("at_runtime", "immediately"),
}

REQUEST: dict[str, type] = {
    "sampler": str,
    "scheduler": str,
    "flow_shift": float,
    "eta": float,
    "cache_mode": str,
    "vae_tiling": bool,
    "vae_tile_size": int,
    "high_noise_step": int,
    "high_noise_cfg_scale": float,
    "high_noise_sampler": str,
    "moe_boundary": float,
    "vace_strength": float,
}
"""Keys that are the defaults of the request's `params` of the same name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """One model file's, with LocalAI's spelling and ours brought together."""

    config: ModelFile

    def get(self, name: str, kind: type) -> Any:
        """The value under `stablediffusion:` or in `options`; None where the file has neither."""
        text = self.config.option(name, "")
        value = self.config.get(f"{SECTION}.{name}", kind, None)
        if value is None and text:
            value = self._convert(name, text, kind)
        if value is not None and name in CHOICES and value not in CHOICES[name]:
            raise self.error(name, f"must be one of {', '.join(CHOICES[name])}, not {value!r}")
        return value

    def path(self, name: str) -> Path | None:
        """A file or folder that the key names; relative to the model file's folder."""
        value = self.get(name, str)
        return self.config.path.parent / Path(value).expanduser() if value else None

    def all(self, kinds: Mapping[str, type]) -> dict[str, Any]:
        """Those of the keys that the file has."""
        return {name: value for name, kind in kinds.items() if (value := self.get(name, kind)) is not None}

    def error(self, name: str, problem: str) -> Exception:
        """An error about one key, ready to raise, by the spelling that the file uses."""
        in_options = self.config.option(name, "")
        return self.config.error(f"options.{name}" if in_options else f"{SECTION}.{name}", problem)

    def _convert(self, name: str, text: str, kind: type) -> Any:
        try:
            return TRUTH[text.lower()] if kind is bool else kind(text)
        except (KeyError, ValueError) as error:
            raise self.error(name, f"must be of type {kind.__name__}, not {text!r}") from error
