"""How much memory a request takes beside the weights.

The library allocates the buffers of a step, and later those of the decoding, in one piece each. The figures are what
its log says of them at several sizes ("compute buffer size"), which grow in proportion.
"""

from __future__ import annotations

from dataclasses import dataclass

from videoapi import GenerationRequest
from videoapi_stablediffusion.variants import Variant

# Bytes for each pixel of the frame and each latent frame, by the channels of a tiny autoencoder.
TINY = {16: 6912, 48: 1730}
# Bytes for each pixel of a full autoencoder, and for each latent frame besides.
FULL, FULL_FRAME = 43_700, 1_200
# A decoding that would need more than this is done in tiles, unless the request says otherwise.
WHOLE_BYTES = 4 * 2**30
DEFAULT_TILE = 32  # latent pixels, the library's own
FLOAT = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Buffers:
    """What one request of a loaded model needs."""

    variant: Variant
    is_tiny: bool
    """The autoencoder is a tiny one."""
    flash_attention: bool
    request: GenerationRequest

    @property
    def is_tiled(self) -> bool:
        """The result is decoded in tiles: as the request says, or when the whole would be too much."""
        asked = self.request.params["vae_tiling"]
        return bool(asked) if asked != "auto" else self._decode(self._pixels) > WHOLE_BYTES

    @property
    def total(self) -> int:
        """Bytes at the highest point."""
        side = self.request.params.get("vae_tile_size", DEFAULT_TILE) * self._scale
        decode = self._decode(min(self._pixels, side * side) if self.is_tiled else self._pixels)
        return max(self._step(), decode) + 2 * self._frames()

    @property
    def _pixels(self) -> int:
        return self.request.width * self.request.height

    @property
    def _scale(self) -> int:
        """Pixels to a side of a latent one."""
        return self.variant.size_multiple // 2

    @property
    def _latent_frames(self) -> int:
        return (self.request.num_frames - 1) // 4 + 1

    def _step(self) -> int:
        shape = self.variant
        tokens = self._pixels // shape.size_multiple**2 * self._latent_frames
        need = tokens * FLOAT * (shape.hidden + 2 * shape.width)
        return need if self.flash_attention else need + tokens**2 * FLOAT * shape.heads

    def _decode(self, pixels: int) -> int:
        if self.is_tiny:
            return pixels * self._latent_frames * TINY[self.variant.latent_channels]
        return pixels * (FULL + self._latent_frames * FULL_FRAME)

    def _frames(self) -> int:
        """The decoded clip in floating point."""
        return self._pixels * self.request.num_frames * 3 * FLOAT
