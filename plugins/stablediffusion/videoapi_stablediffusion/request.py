"""A request in the library's structures."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL.Image import Image

from videoapi import GenerationRequest, InvalidRequest
from videoapi_stablediffusion.library import Context
from videoapi_stablediffusion.params import CACHE_PARAMS, NEED_TWO_STEPS, NOISY_SAMPLERS

# Wan's own advice: 3 for 480p, 5 for 720p.
SMALL_PIXELS, SMALL_SHIFT, LARGE_SHIFT = 832 * 480, 3.0, 5.0
AUTO = math.inf


class Arguments:
    """Fills a `sd_vid_gen_params_t`. Keep this object until the call has returned: it owns the memory that is named."""

    def __init__(
        self, context: Context, request: GenerationRequest, loras: Mapping[str, str], *, is_tiled: bool
    ) -> None:
        """Raises InvalidRequest for values that do not go together."""
        self.binding = context.library.binding
        self.params = context.new_request()
        self._functions = context.library.functions
        self._owned: list[Any] = []
        self._given = request.params
        self._fill(request)
        self._fill_sampling(request)
        self.params.vae_tiling_params.enabled = is_tiled
        self._fill_tiles_and_cache()
        self._fill_loras(loras)

    def _fill(self, request: GenerationRequest) -> None:
        params = self.params
        params.prompt, params.negative_prompt = request.prompt.encode(), request.negative_prompt.encode()
        params.width, params.height = request.width, request.height
        params.video_frames, params.seed = request.num_frames, request.seed
        if request.start_image is not None:
            params.init_image = self._image(request.start_image)
        if request.end_image is not None:
            params.end_image = self._image(request.end_image)
        if request.clip:
            images = (self.binding.sd_image_t * len(request.clip))(*map(self._image, request.clip))
            params.control_frames = self._own(images)
            params.control_frames_size = len(request.clip)
        params.vace_strength = self._given.get("vace_strength", params.vace_strength)
        params.moe_boundary = self._given.get("moe_boundary", params.moe_boundary)

    def _fill_sampling(self, request: GenerationRequest) -> None:
        given, steps = self._given, request.num_inference_steps
        _check_sampling(request)
        low, high = self.params.sample_params, self.params.high_noise_sample_params
        sampler = given["sampler"]
        for half, guidance, method in (
            (low, request.guidance_scale, sampler),
            (
                high,
                given.get("high_noise_cfg_scale", request.guidance_scale),
                given.get("high_noise_sampler", sampler),
            ),
        ):
            half.sample_method = self._functions.str_to_sample_method(method.encode())
            half.scheduler = self._functions.str_to_scheduler(given["scheduler"].encode())
            half.eta = given.get("eta", AUTO)
            half.flow_shift = given.get("flow_shift", find_flow_shift(request))
            half.guidance.txt_cfg = guidance
        low.sample_steps = steps
        if "high_noise_step" in given:
            high.sample_steps = given["high_noise_step"]
            low.sample_steps = steps - high.sample_steps
            if low.sample_steps < 1:
                raise InvalidRequest("params.high_noise_step", f"Must be less than all the steps, which are {steps}.")

    def _fill_tiles_and_cache(self) -> None:
        given, tiling, cache = self._given, self.params.vae_tiling_params, self.params.cache
        tiling.tile_size_x = tiling.tile_size_y = given.get("vae_tile_size", 0)
        mode = given["cache_mode"]
        for name in sorted(CACHE_PARAMS):
            if name in given and mode not in CACHE_PARAMS[name]:
                raise InvalidRequest(f"params.{name}", f"Has no effect with cache_mode '{mode}'.")
        cache.mode = self.binding.SDCacheMode[f"SD_CACHE_{mode.upper().replace('-', '_')}"]
        cache.reuse_threshold = given.get("cache_threshold", cache.reuse_threshold)
        cache.residual_diff_threshold = given.get("cache_threshold", cache.residual_diff_threshold)
        cache.start_percent = given.get("cache_start", cache.start_percent)
        cache.end_percent = given.get("cache_end", cache.end_percent)
        if cache.start_percent >= cache.end_percent:
            raise InvalidRequest("params.cache_start", f"Must be less than cache_end, {cache.end_percent:.2g}.")

    def _fill_loras(self, files: Mapping[str, str]) -> None:
        chosen = self._given.get("loras", ())
        keys = [(choice["name"], choice.get("high_noise", False)) for choice in chosen]
        if len(set(keys)) < len(keys):
            raise InvalidRequest("params.loras", "Names one of them twice.")
        loras = (self.binding.sd_lora_t * len(chosen))()
        for lora, choice in zip(loras, chosen, strict=True):
            lora.path = files[choice["name"]].encode()
            lora.multiplier = choice.get("scale", 1.0)
            lora.is_high_noise = choice.get("high_noise", False)
        self.params.loras = self._own(loras)
        self.params.lora_count = len(chosen)

    def _image(self, image: Image) -> Any:
        pixels = self._own(np.ascontiguousarray(image.convert("RGB"), np.uint8))
        data = pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        return self.binding.sd_image_t(width=image.width, height=image.height, channel=3, data=data)

    def _own(self, thing: Any) -> Any:
        self._owned.append(thing)
        return thing


def _check_sampling(request: GenerationRequest) -> None:
    """Refuse what would have no effect, or break the library."""
    given = request.params
    if given["scheduler"] in NEED_TWO_STEPS and request.num_inference_steps < 2:
        raise InvalidRequest("params.scheduler", f"'{given['scheduler']}' needs at least two steps.")
    samplers = {given["sampler"], given.get("high_noise_sampler", given["sampler"])}
    if "eta" in given and not samplers.intersection(NOISY_SAMPLERS):
        raise InvalidRequest(
            "params.eta", f"Has no effect with this sampler; it has with: {', '.join(NOISY_SAMPLERS)}."
        )
    # The library makes the unguided half of the prompt for the low noise half, and only if that one needs it.
    if request.guidance_scale == 1 and given.get("high_noise_cfg_scale", 1) != 1:
        raise InvalidRequest("params.high_noise_cfg_scale", "Has no effect with cfg_scale 1.")


def find_flow_shift(request: GenerationRequest) -> float:
    """How far the steps are moved to the noisy end when the request does not say."""
    return SMALL_SHIFT if request.width * request.height <= SMALL_PIXELS else LARGE_SHIFT
