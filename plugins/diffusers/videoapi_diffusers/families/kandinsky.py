"""Kandinsky 5, and Kandinsky 6, which makes sound too."""

from __future__ import annotations

from collections.abc import Mapping

from videoapi_diffusers.families.family import Family, Modes
from videoapi_diffusers.shape import Configs

SOUND = "Kandinsky6TI2VAPipeline"


def find_modes(configs: Configs) -> Modes:
    """A first frame needs a transformer that tells it from those that are made."""
    transformer = configs.get("transformer", {})
    modes: Modes = {"text": SOUND}
    takes_image = transformer.get("visual_cond") and transformer.get("visual_token_type_num_embeddings", 0) >= 2
    return {**modes, "first_frame": SOUND} if takes_image else modes


def find_own_defaults(configs: Configs) -> Mapping[str, float]:
    """The distilled weights have a scheduler of their own, which goes with no other guidance."""
    scheduler = configs.get("model_index", {}).get("scheduler", [None, None])[1]
    return {"num_inference_steps": 16, "guidance_scale": 1.0} if scheduler == "PiflowScheduler" else {}


FAMILIES = {
    "Kandinsky5T2VPipeline": Family(defaults={"fps": 24}, scales=(8, 4), latents="bthwc"),
    # It evens out the first four latents by those that follow.
    "Kandinsky5I2VPipeline": Family(defaults={"fps": 24}, scales=(8, 4), min_frames=17, latents="bthwc"),
    SOUND: Family(
        scales=(8, 4),
        latents="bthwc",
        find_modes=find_modes,
        find_own_defaults=find_own_defaults,
        needed=("audio_vae", "vocoder"),
    ),
    "Kandinsky6SRPipeline": Family(refusal="enlarges a video"),
}
