"""stable-diffusion.cpp in this process, with its sharp edges covered.

The binding's C functions are used, not its class: that one crashes the process after a load that failed, frees
callbacks that the library still calls, never frees a frame, and opens any file that a prompt names. What each function
does is in the library's include/stable-diffusion.h.
"""

from __future__ import annotations

import ctypes
import logging
import os
import re
from collections import deque
from collections.abc import Mapping
from functools import cache
from pathlib import PurePath
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from videoapi import ModelError

logger = logging.getLogger("stable-diffusion.cpp")

LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)
# Where in the library's source a line comes from, which its log puts first.
ORIGIN = re.compile(r"^[\w./-]+:\d+\s+- ")
# ggml's own reader complains of files that the library then reads by its own; a load that fails says more afterwards.
BESIDE_THE_POINT = "gguf_init_from_file"
GPU_DEVICES = (1, 2)  # ggml's: a GPU, an integrated one
PROJECTION = 1  # previews by a linear map from latents to colours, which costs next to nothing

Frame = NDArray[np.uint8]


class Listener(Protocol):
    """What hears of the library's work. Its errors are the library's to ignore, so it raises none."""

    def log(self, line: str) -> None: ...

    def step(self, done: int, total: int) -> None: ...

    def preview(self, frame: Frame) -> None: ...


class Library:
    """The loaded library. Its callbacks are for the whole process and live as long."""

    def __init__(self, binding: Any) -> None:
        self.binding = binding
        self.functions = binding._lib
        self.listener: Listener | None = None
        self.errors: deque[str] = deque(maxlen=8)
        """The last lines that it has logged as errors, since a load or a generation began."""
        self._declare()
        self._callbacks = (
            binding.sd_log_callback(self._log),
            binding.sd_progress_callback(self._progress),
            binding.sd_preview_callback(self._preview),
            ctypes.CFUNCTYPE(None, ctypes.c_char_p)(self._abort),
        )
        log, progress, preview, abort = self._callbacks
        binding.sd_set_log_callback(log, None)
        binding.sd_set_progress_callback(progress, None)
        binding.sd_set_preview_callback(preview, PROJECTION, 1, True, False, None)
        self.functions.ggml_set_abort_callback(abort)

    def free_device_memory(self) -> int | None:
        """Free bytes of the first GPU that the library can use; None when it has been built for the CPU alone."""
        functions = self.functions
        for index in range(functions.ggml_backend_dev_count()):
            device = functions.ggml_backend_dev_get(index)
            if functions.ggml_backend_dev_type(device) in GPU_DEVICES:
                free, total = ctypes.c_size_t(), ctypes.c_size_t()
                functions.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
                return free.value
        return None

    def free(self, pointer: Any) -> None:
        """Give back what the library has allocated for its caller."""
        self._free(ctypes.cast(pointer, ctypes.c_void_p))

    def last_words(self) -> str:
        """What the library has logged as errors, but for what explains nothing."""
        return "; ".join(line for line in self.errors if BESIDE_THE_POINT not in line) or "it gives no reason"

    def _declare(self) -> None:
        functions = self.functions
        functions.ggml_backend_dev_count.restype = ctypes.c_size_t
        functions.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
        functions.ggml_backend_dev_get.restype = ctypes.c_void_p
        functions.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
        functions.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        functions.ggml_backend_dev_memory.restype = None
        self._free = ctypes.CDLL(None).free
        self._free.argtypes, self._free.restype = [ctypes.c_void_p], None

    def _log(self, level: int, text: bytes, data: object) -> None:
        line = ORIGIN.sub("", text.decode("utf-8", "replace").strip())
        if not line:
            return
        logger.log(LEVELS[min(level, 3)], "%s", line)
        if level >= 3:
            self.errors.append(line)
        if self.listener:
            self.listener.log(line)

    def _progress(self, done: int, total: int, seconds: float, data: object) -> None:
        if self.listener:
            self.listener.step(done, total)

    def _preview(self, step: int, count: int, frames: Any, is_noisy: bool, data: object) -> None:
        if self.listener and count:
            self.listener.preview(to_array(frames[count // 2]))

    def _abort(self, message: bytes) -> None:
        """The process ends when this returns; what is logged here are its last words."""
        place, _, words = message.decode("utf-8", "replace").partition(": ")
        logger.critical("%s: %s", PurePath(place).name, words)


@cache
def open_library() -> Library:
    """Load the library into this process. Raises ModelError when it is missing or made for another machine."""
    # Idle threads sleep instead of spinning, which costs multiples of the time on cores that others use too.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    try:
        from stable_diffusion_cpp import stable_diffusion_cpp as binding
    except (ImportError, OSError, RuntimeError) as error:
        raise ModelError(
            f"stable-diffusion-cpp-python does not load ({type(error).__name__}); install it anew on this machine."
        ) from error
    return Library(binding)


class Context:
    """A loaded model. One thread at a time, and nothing else while it generates."""

    def __init__(self, library: Library, arguments: Mapping[str, Any]) -> None:
        """Load it; raises ModelError with the library's words when it cannot."""
        self.library = library
        params = library.binding.sd_ctx_params_t()
        library.functions.sd_ctx_params_init(ctypes.byref(params))
        # The encoder is for images that come in, and the weights stay for the next request.
        params.vae_decode_only = params.free_params_immediately = False
        for name, value in arguments.items():
            setattr(params, name, value.encode() if isinstance(value, str) else value)
        library.errors.clear()
        # Null when it has failed, which the library says by nothing else.
        self._pointer = library.binding.new_sd_ctx(ctypes.byref(params))
        if not self._pointer:
            raise ModelError(f"stable-diffusion.cpp cannot load the model: {library.last_words()}.")

    def new_request(self) -> Any:
        """A `sd_vid_gen_params_t` with the library's defaults."""
        params = self.library.binding.sd_vid_gen_params_t()
        self.library.functions.sd_vid_gen_params_init(ctypes.byref(params))
        return params

    def generate_video(self, request: Any, listener: Listener) -> deque[Frame]:
        """The frames as (height, width, 3). Raises ModelError; a fault inside the library ends the process."""
        library, count = self.library, ctypes.c_int()
        library.errors.clear()
        library.listener = listener
        try:
            images = library.binding.generate_video(self._pointer, ctypes.byref(request), ctypes.byref(count))
        finally:
            library.listener = None
        if not images:
            raise ModelError(f"stable-diffusion.cpp made no video: {library.last_words()}.")
        frames: deque[Frame] = deque()
        for index in range(count.value):
            frames.append(to_array(images[index]))
            library.free(images[index].data)
        library.free(images)
        return frames

    def close(self) -> None:
        """Free the weights; twice is once."""
        if self._pointer:
            self.library.binding.free_sd_ctx(self._pointer)
            self._pointer = None


def to_array(image: Any) -> Frame:
    """A copy of one of the library's images: (height, width, channels)."""
    return np.ctypeslib.as_array(image.data, (image.height, image.width, image.channel)).copy()
