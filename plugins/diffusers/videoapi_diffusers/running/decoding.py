"""What happens between a pipeline's last step and its frames: no copies, and no whole clip where it can be avoided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from diffusers.models.autoencoders.vae import DecoderOutput

from videoapi import GenerationRequest
from videoapi_diffusers.placement import send_home
from videoapi_diffusers.running.frames import Frames, Kept
from videoapi_diffusers.running.memory import DECODING, memory_watched
from videoapi_diffusers.signature import read_signature

# The autoencoders' methods that forget what they have kept of a clip for its next part: Wan's, and EasyAnimate's.
FORGET = ("clear_cache", "_clear_conv_cache")


@contextmanager
def decoding_for(pipeline: Any, requests: Sequence[GenerationRequest], remedy: str) -> Iterator[list[Kept]]:
    """Within it, a call with `output_type="pt"` makes the requests' size, and puts their frames into the list.

    `remedy` is what helps where the memory of the decoding lacks.
    """
    with ExitStack() as stack:
        stack.enter_context(_sized_as_asked(pipeline, requests[0]))
        stand_ins: list[Kept] = []
        if can_stream(pipeline):
            stand_ins = stack.enter_context(_decoded_when_read(pipeline))
        elif len(requests) > 1:
            stack.enter_context(_decoded_one_by_one(pipeline, [request.seed for request in requests]))
        stack.enter_context(_memory_of_decoding_watched(pipeline, remedy))
        yield stack.enter_context(_kept_as_decoded(pipeline, stand_ins))


@contextmanager
def _memory_of_decoding_watched(pipeline: Any, remedy: str) -> Iterator[None]:
    """Sana's pipelines take torch's own error for a warning, and go on without a video."""
    vae: Any = getattr(pipeline, "vae", None)
    if vae is None:
        yield
        return
    decode, is_replaced = vae.decode, "decode" in vars(vae)

    def watch(*positional: Any, **named: Any) -> Any:
        with memory_watched(DECODING, remedy):
            return decode(*positional, **named)

    vae.decode = watch
    try:
        yield
    finally:
        del vae.decode
        if is_replaced:
            vae.decode = decode


@contextmanager
def tidied_up(pipeline: Any) -> Iterator[None]:
    """A call within it that ends early leaves nothing on the device that does not belong there."""
    try:
        yield
    except BaseException:
        send_home(pipeline)
        for clear in FORGET:
            if hasattr(getattr(pipeline, "vae", None), clear):
                getattr(pipeline.vae, clear)()
        raise


def can_stream(pipeline: Any) -> bool:
    """Whether the autoencoder decodes one time's latents after the other, and the pipeline leaves the result alone.

    Not in tiles, which are whole clips each.
    """
    vae: Any = getattr(pipeline, "vae", None)
    signature = read_signature(type(pipeline).__name__)
    return (
        signature is not None
        and signature.leaves_decoded_alone
        and type(vae).__name__ == "AutoencoderKLWan"
        and not vae.use_tiling
    )


@contextmanager
def _decoded_when_read(pipeline: Any) -> Iterator[list[Kept]]:
    """Within it, the autoencoder gives an empty stand-in of the right shape, and puts the frames into the list.

    So they are decoded while the first ones are being encoded, and the clip is never in memory as a whole.
    """
    vae = pipeline.vae
    found: list[Kept] = []

    def decode(latents: torch.Tensor, return_dict: bool = True) -> tuple[torch.Tensor]:
        batch, _, times, height, width = latents.shape
        count, scale = (times - 1) * vae.config.scale_factor_temporal + 1, vae.spatial_compression_ratio
        stand_in = torch.empty(()).expand(batch, 3, count, height * scale, width * scale)
        videos = [
            Frames(count=count, chunks=_decode_in_turn(vae, latents[index : index + 1]), is_signed=True)
            for index in range(batch)
        ]
        found.append(Kept(stand_ins=[stand_in], videos=videos))
        return (stand_in,)

    vae.decode = decode
    try:
        yield found
    finally:
        del vae.decode


def _decode_in_turn(vae: Any, latents: torch.Tensor) -> Iterator[torch.Tensor]:
    """The frames (n, 3, height, width) of each latent of the one video, as `AutoencoderKLWan._decode` makes them."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify

    vae.clear_cache()
    features = vae._feat_map
    # As diffusers' own `decode` does, for an autoencoder that waits in main memory.
    if hasattr(getattr(vae, "_hf_hook", None), "pre_forward"):
        vae._hf_hook.pre_forward(vae)
    try:
        with torch.no_grad():
            values = vae.post_quant_conv(latents)
        for time in range(values.shape[2]):
            vae._conv_idx = [0]
            first = {"first_chunk": True} if time == 0 else {}
            with torch.no_grad():
                made = vae.decoder(values[:, :, time : time + 1], feat_cache=features, feat_idx=vae._conv_idx, **first)
                if vae.config.patch_size is not None:
                    made = unpatchify(made, patch_size=vae.config.patch_size)
            yield made[0].transpose(0, 1)
    finally:
        # Unless another video has begun since.
        if vae._feat_map is features:
            vae.clear_cache()


@contextmanager
def _kept_as_decoded(pipeline: Any, stand_ins: list[Kept]) -> Iterator[list[Kept]]:
    """Within it, the frames stay as they were decoded.

    diffusers' own way makes a copy of the clip in floating point for each of its four steps from there to a stack.
    """
    processor = getattr(pipeline, "video_processor", None)
    kept: list[Kept] = []
    # Cosmos 3 has its checker read the frames that the processor makes.
    if processor is None or getattr(pipeline, "safety_checker", None) is not None:
        yield kept
        return
    original = processor.postprocess_video

    def keep(video: torch.Tensor, output_type: str = "np", **options: Any) -> Any:
        if output_type != "pt" or options:
            return original(video, output_type=output_type, **options)
        values = [each.transpose(0, 1) for each in video]
        videos = next((each.videos for each in stand_ins if each.stand_ins[0] is video), None)
        videos = videos or [Frames(count=len(each), chunks=[each], is_signed=True) for each in values]
        kept.append(Kept(stand_ins=values, videos=videos))
        return values

    processor.postprocess_video = keep
    try:
        yield kept
    finally:
        del processor.postprocess_video


@contextmanager
def _decoded_one_by_one(pipeline: Any, seeds: Sequence[int]) -> Iterator[None]:
    """Within it, the autoencoder takes one video of several after the other: several need their multiple of memory, and
    some autoencoders fail. One that adds noise draws it by the video's own seed.

    diffusers' own slicing leaves out what goes with the latents, such as LTX's time of the decoding.
    """
    vae: Any = getattr(pipeline, "vae", None)
    # EasyAnimate's goes on with what it has kept of the one before.
    if vae is None or type(vae).__name__ == "AutoencoderKLMagvit":
        yield
        return
    decode = vae.decode

    def decode_each(latents: torch.Tensor, *positional: Any, return_dict: bool = True, **named: Any) -> Any:
        # An autoencoder of pictures takes all frames of all videos as so many pictures.
        if len(latents) != len(seeds):
            return decode(latents, *positional, return_dict=return_dict, **named)
        videos = []
        for index, seed in enumerate(seeds):
            torch.manual_seed(seed)
            own = [_pick(value, index, len(seeds)) for value in positional]
            owned = {name: _pick(value, index, len(seeds)) for name, value in named.items()}
            videos.append(decode(latents[index : index + 1], *own, return_dict=False, **owned)[0])
        video = torch.cat(videos)
        return DecoderOutput(sample=video) if return_dict else (video,)

    vae.decode = decode_each
    try:
        yield
    finally:
        del vae.decode


def _pick(value: Any, index: int, count: int) -> Any:
    """What of an argument is one video's."""
    is_shared = not isinstance(value, torch.Tensor) or value.ndim == 0 or len(value) != count
    return value if is_shared else value[index : index + 1]


@contextmanager
def _sized_as_asked(pipeline: Any, request: GenerationRequest) -> Iterator[None]:
    """Within it, a pipeline that takes no size and chooses one near the image's makes the request's."""
    processor: Any = getattr(pipeline, "video_processor", None)
    if not hasattr(processor, "calculate_default_height_width"):
        yield
        return
    processor.calculate_default_height_width = lambda *_, **__: (request.height, request.width)
    try:
        yield
    finally:
        del processor.calculate_default_height_width
