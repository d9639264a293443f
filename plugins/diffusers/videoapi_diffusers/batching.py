"""Which pipelines make several videos in one call, each as it would be alone."""

from __future__ import annotations

from typing import Any

from videoapi import ModelError, ModelFile
from videoapi_diffusers.components import read_options
from videoapi_diffusers.families import Modes

KEY = "limits.max_batch_size"
EQUAL = frozenset(
    {
        "AllegroPipeline",
        "AnimateDiffPAGPipeline",
        "AnimateDiffPipeline",
        "AnimateDiffSDXLPipeline",
        "AnyFlowFARPipeline",
        "AnyFlowPipeline",
        "CogVideoXPipeline",
        "Cosmos2_5_PredictBasePipeline",
        "CosmosTextToWorldPipeline",
        "EasyAnimatePipeline",
        "HeliosPipeline",
        "HunyuanVideo15Pipeline",
        "HunyuanVideoPipeline",
        "Kandinsky5T2VPipeline",
        "Kandinsky6TI2VAPipeline",
        "LTX2Pipeline",
        "LTXConditionPipeline",
        "LTXPipeline",
        "MochiPipeline",
        "MotifVideoPipeline",
        "SanaVideoPipeline",
        "SkyReelsV2Pipeline",
        "TextToVideoSDPipeline",
        "WanPipeline",
    }
)
"""Those of which `tests/test_batches.py` compares the videos of one call with those made one by one."""
UNEQUAL = {
    "Cosmos3OmniPipeline": "makes one video in a call",
    "EasyAnimateInpaintPipeline": "takes no list of generators",
    "HeliosPyramidPipeline": "draws the noise between its sizes by one seed for all",
    "LattePipeline": "reads the padding of several prompts, and not that of one",
    "SkyReelsV2DiffusionForcingPipeline": "fails with several prompts in diffusers 0.42",
    "WanVACEPipeline": "takes no list of prompts",
}
"""Those that fail with several, or make other videos."""
EQUAL_SCHEDULERS = frozenset(
    {
        "CogVideoXDDIMScheduler",
        "CogVideoXDPMScheduler",
        "DDIMScheduler",
        "DEISMultistepScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "EDMDPMSolverMultistepScheduler",
        "EDMEulerScheduler",
        "EulerDiscreteScheduler",
        "FlowMapEulerDiscreteScheduler",
        "FlowMatchEulerDiscreteScheduler",
        "FlowMatchHeunDiscreteScheduler",
        "HeliosScheduler",
        "HeunDiscreteScheduler",
        "IPNDMScheduler",
        "KDPM2DiscreteScheduler",
        "PNDMScheduler",
        "UniPCMultistepScheduler",
    }
)
"""Those that add no noise at their steps, or draw it by each video's own seed. Most pipelines have the others draw it
by nobody's seed, for all videos of a call together."""
PARALLEL = "with diffusers.context_parallel, the processes share one video"


def read_batch_size(config: ModelFile, modes: Modes, *, is_parallel: bool) -> int:
    """How many videos a run may make. Raises ConfigurationError where it must be one."""
    size = config.get(KEY, int, 1)
    if size > 1 and (problem := PARALLEL if is_parallel else _find_problem(modes)):
        raise config.error(KEY, f"must be 1, not {size}: {problem}")
    return size


def _find_problem(modes: Modes) -> str:
    """Why this model makes one video at a time; empty where it does not."""
    name = modes.get("text")
    if name is None:
        return "only videos from text alone are made together, and this model makes none"
    if name in UNEQUAL:
        return f"{name} {UNEQUAL[name]}"
    return "" if name in EQUAL else f"{name} was not tried with several prompts in one call"


def check_scheduler(scheduler: Any) -> None:
    """Raises ModelError for one that adds noise at each step, or of which that is not known."""
    name, options = type(scheduler).__name__, read_options(scheduler)
    is_noisy = options.get("stochastic_sampling") or str(options.get("algorithm_type", "")).startswith("sde-")
    if name not in EQUAL_SCHEDULERS or is_noisy:
        raise ModelError(f"'{KEY}' must be 1 with a {name}, which adds noise at each step or was not tried.")
