"""The plugin: a model for each model file with `backend: stablediffusion` (or `stablediffusion-ggml`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from videoapi import FrameGrid, Limits, ModelFile, ModelSpec, Pipeline, hookimpl
from videoapi_stablediffusion.headers import PLAIN_TYPES, BadWeights, read_header
from videoapi_stablediffusion.loras import find_layers
from videoapi_stablediffusion.memory import weigh
from videoapi_stablediffusion.options import CONTEXT, CONTEXT_DEFAULTS, FILES, REQUEST, Options
from videoapi_stablediffusion.params import build_params, with_defaults
from videoapi_stablediffusion.parts import Tensors, check_clip_vision, check_text_encoder, check_tiny_vae, check_vae
from videoapi_stablediffusion.variants import A14B, Variant, find_variant

A14B_BLOCKS = 40
LORA_SUFFIXES = (".safetensors", ".gguf")
# The library looks for emphasis in a prompt by recursion and crashes on some tens of kilobytes.
LIMITS = Limits(max_side=1920, max_pixels=1280 * 1280, max_frames=257, max_prompt_length=2000)
FRAME_GRID = FrameGrid(step=4, offset=1)
CHECKS: Mapping[str, Callable[[Tensors, Variant], None]] = {
    "vae_path": check_vae,
    "taesd_path": check_tiny_vae,
    "t5xxl_path": check_text_encoder,
    "clip_vision_path": check_clip_vision,
}


@hookimpl
def register_models(register: Callable[[ModelSpec], None], configs: Sequence[ModelFile]) -> None:
    for config in configs:
        register(build_spec(config))


@hookimpl
def load_model(spec: ModelSpec) -> Pipeline:
    from videoapi_stablediffusion.pipeline import load

    return load(**spec.settings)


def build_spec(config: ModelFile) -> ModelSpec:
    """The spec of one model file, from the headers of its weights.

    Raises ConfigurationError for a file that is missing, damaged, of the wrong kind, or that the library would ignore.
    """
    options = Options(config=config)
    paths = _find_paths(options)
    tensors = {name: _read(options, name, path) for name, path in paths.items()}
    variant = _find_variant(options, "diffusion_model_path", tensors["diffusion_model_path"])
    _check_parts(options, variant, tensors)
    two_models = "high_noise_diffusion_model_path" in tensors
    context = {**CONTEXT_DEFAULTS, **options.all(CONTEXT)}
    if "n_threads" not in context and (threads := config.get("threads", int, 0)):
        context["n_threads"] = threads
    applied_into_weights = context["lora_apply_mode"] == "immediately"
    if applied_into_weights and _is_quantised(tensors["diffusion_model_path"], context.get("wtype")):
        raise options.error("lora_apply_mode", "cannot be immediately for quantised weights: the library aborts")
    loras = _find_loras(options)
    params = build_params(variant, sorted(loras), two_models=two_models, high_noise_loras=applied_into_weights)
    defaults = options.all({name: kind for name, kind in REQUEST.items() if name in params})
    return ModelSpec(
        name=config.name,
        description=f"{variant.name} through stable-diffusion.cpp",
        modes=variant.modes,
        defaults=A14B if two_models and variant.blocks == A14B_BLOCKS else variant.defaults,
        limits=LIMITS,
        size_multiple=variant.size_multiple,
        native_sizes=variant.native_sizes,
        frame_grid=FRAME_GRID,
        params=with_defaults(params, defaults),
        interruptible=False,
        settings={
            "variant": variant.name,
            "paths": {name: str(path) for name, path in paths.items()},
            "context": context,
            "loras": loras,
            "layers": find_layers(tensors["diffusion_model_path"]) if loras else {},
            "weights": {name: weigh(part, context.get("wtype")) for name, part in tensors.items()},
        },
    )


def _find_paths(options: Options) -> dict[str, Path]:
    """The files that the model is made of, by the library's name for each."""
    config = options.config
    # LocalAI's flag for a file that holds the diffusion model alone; the library makes videos from no other.
    config.option("diffusion_model", "")
    main = config.get("parameters.model", str, "")
    path = config.path.parent / Path(main).expanduser() if main else options.path("diffusion_model_path")
    if path is None:
        raise config.error("parameters.model", "must name the diffusion model's file")
    named = {name: options.path(name) for name in FILES}
    return {"diffusion_model_path": path} | {name: path for name, path in named.items() if path is not None}


def _read(options: Options, name: str, path: Path) -> Tensors:
    try:
        return read_header(path)
    except BadWeights as error:
        raise _blame(options, name, f"{path.name} {error}") from error


def _find_variant(options: Options, name: str, tensors: Tensors) -> Variant:
    try:
        return find_variant(tensors)
    except BadWeights as error:
        raise _blame(options, name, str(error)) from error


def _blame(options: Options, name: str, problem: str) -> Exception:
    main = name == "diffusion_model_path" and options.get(name, str) is None
    return options.config.error("parameters.model", problem) if main else options.error(name, problem)


def _check_parts(options: Options, variant: Variant, tensors: Mapping[str, Tensors]) -> None:
    """Every part of the right kind, and every one there that the library would go without in silence."""
    for name, check in CHECKS.items():
        if name in tensors:
            try:
                check(tensors[name], variant)
            except BadWeights as error:
                raise options.error(name, str(error)) from error
    if "vae_path" not in tensors and "taesd_path" not in tensors:
        raise options.error("vae_path", "is needed: the autoencoder, or a tiny one under taesd_path")
    if variant.needs_clip_vision and "clip_vision_path" not in tensors:
        raise options.error("clip_vision_path", f"is needed: {variant.name} sees its images through clip_vision_h")
    ignores_prompts = options.get("without_text_encoder", bool)
    if "t5xxl_path" not in tensors and not ignores_prompts:
        raise options.error("t5xxl_path", "is needed: without umt5-xxl the library ignores every prompt")
    other = tensors.get("high_noise_diffusion_model_path")
    if other is not None:
        half = _find_variant(options, "high_noise_diffusion_model_path", other)
        if half != variant:
            raise options.error(
                "high_noise_diffusion_model_path", f"is {half.name}, and the other half is {variant.name}"
            )


def _find_loras(options: Options) -> dict[str, str]:
    """The files of the operator's LoRA folder by name."""
    folder = options.path("lora_dir")
    if folder is None:
        return {}
    if not folder.is_dir():
        raise options.error("lora_dir", f"is not a folder: {folder.name}")
    found = [path for path in sorted(folder.iterdir()) if path.suffix in LORA_SUFFIXES]
    loras = {path.stem: str(path) for path in found}
    if len(loras) < len(found):
        raise options.error("lora_dir", "holds two files of one name with different endings")
    return loras


def _is_quantised(tensors: Tensors, wtype: str | None) -> bool:
    if wtype is not None:
        return wtype not in PLAIN_TYPES
    return any(tensor.is_quantised for tensor in tensors.values())
