"""Which caches and LoRAs go with which family, tried: `python -m plugins.diffusers.tests.caches` writes the table."""

from __future__ import annotations

import copy
import inspect
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from plugins.diffusers.tests.conftest import RecordingProgress
from plugins.diffusers.tests.table import README, make_spec
from plugins.diffusers.tests.tiny import TINY, stand_in
from videoapi import GenerationRequest, Mode
from videoapi_diffusers.changes.cache import CONFIGS, switched_on
from videoapi_diffusers.changes.lora import takes_loras
from videoapi_diffusers.components import TRANSFORMERS, parts_of
from videoapi_diffusers.families import find_family
from videoapi_diffusers.families.family import one_section
from videoapi_diffusers.loading import prepare
from videoapi_diffusers.running.pipeline import DiffusersPipeline

HEADER = "| family | " + " | ".join(f"`{name}`" for name in CONFIGS) + " | `params.quality` | LoRAs |"
# So bold that what a cache leaves out can be seen in six steps of a network with random weights.
ALWAYS = [-1, 100_000]
BOLD: dict[str, dict[str, Any]] = {
    "first_block": {"threshold": 1e9},
    "pyramid_attention_broadcast": {
        "spatial_attention_block_skip_range": 2,
        "cross_attention_block_skip_range": 3,
        "spatial_attention_timestep_skip_range": ALWAYS,
        "cross_attention_timestep_skip_range": ALWAYS,
    },
    "faster": {
        "spatial_attention_block_skip_range": 2,
        "spatial_attention_timestep_skip_range": ALWAYS,
        "unconditional_batch_skip_range": 2,
        "unconditional_batch_timestep_skip_range": ALWAYS,
    },
    "taylorseer": {"cache_interval": 2, "disable_cache_before_step": 1},
    "taylorseer_lite": {"cache_interval": 2, "disable_cache_before_step": 1, "use_lite_mode": True},
    "mag": {"threshold": 100.0, "retention_ratio": 0.0, "mag_ratios": [1.0, 0.9, 0.8, 0.7, 0.6, 0.5]},
}
STEPS = 6
# So many for each of its sizes that it goes from one to the next in the middle of what a cache keeps.
OWN_STEPS = {"helios_pyramid": 9}
# Of the largest value: TaylorSeer keeps what it knows in bfloat16.
CLOSE = 0.01
BLOCKS = ("blocks", "transformer_blocks", "single_transformer_blocks", "visual_transformer_blocks", "layers")


def deepen(pipeline: Any) -> None:
    """Give every denoiser three blocks of a kind, as caches go from a first one to a last one."""
    parts = parts_of(pipeline, TRANSFORMERS)
    for blocks in [child for part in parts for name, child in part.named_children() if name in BLOCKS]:
        blocks.extend(copy.deepcopy(blocks[-1]) for _ in range(3 - len(blocks)))


def make_request(name: str, mode: Mode, **params: Any) -> GenerationRequest:
    return GenerationRequest(
        prompt="a b c",
        negative_prompt="d e",
        fps=8,
        num_inference_steps=OWN_STEPS.get(name, STEPS),
        guidance_scale=4.0,
        seed=1,
        params=params,
        **TINY[name].inputs(mode),
    )


class Trial:
    """One family's pipeline with more blocks than the tiny one, and its modes."""

    def __init__(self, name: str) -> None:
        import torch

        torch.manual_seed(0)
        self.name = name
        self.pipeline = TINY[name].build()
        with tempfile.TemporaryDirectory() as folder:
            self.pipeline.save_pretrained(folder)
            self.spec = make_spec(Path(folder))
        prepare(self.pipeline)
        deepen(self.pipeline)
        for part in self.pipeline.components.values():
            if isinstance(part, torch.nn.Module):
                part.eval()
        self.modes: dict[str, Mode] = {}
        for mode in sorted(self.spec.modes):
            self.modes.setdefault(self.spec.settings["modes"][mode], mode)
        params = self.spec.params.items()
        self.defaults = {key: schema["default"] for key, schema in params if "default" in schema}
        # So that there are two prompts to keep apart.
        self.defaults |= {"true_cfg_scale": 3.0} if "true_cfg_scale" in self.defaults else {}

    def make(self, mode: Mode, cache: str | None = None) -> Any:
        ours = DiffusersPipeline(self.pipeline, self.spec.settings["modes"])
        request = make_request(self.name, mode, **self.defaults)
        sibling = ours._siblings.find(mode)
        with switched_on(sibling, find_wanted(cache), STEPS) if cache else nullcontext():
            return np.stack(list(ours.generate(request, RecordingProgress()).frames))

    def works(self, cache: str, mode: Mode) -> bool:
        """It changes the video, means one thing, and without it the video is the same as before."""
        if not hasattr(getattr(self.pipeline, "transformer", None), "enable_cache"):
            return False
        if find_family(self.spec.settings["modes"][mode]).count_sections is not one_section:
            print(f"{self.name} {cache}: its steps begin anew for each part of a long video")
            return False
        calls: list[Any] = []
        hooks = [
            part.register_forward_pre_hook(
                lambda part, args, named: calls.append((part, args, named)), with_kwargs=True
            )
            for name in TRANSFORMERS
            if (part := getattr(self.pipeline, name, None)) is not None
        ]
        before = self.make(mode)
        for hook in hooks:
            hook.remove()
        try:
            changed = not np.array_equal(self.make(mode, cache), before)
            works = changed and not self._mixes(cache, mode, len(calls)) and self._repeats(cache, *calls[0])
        except Exception as error:
            print(f"{self.name} {mode} {cache}: {type(error).__name__}: {str(error)[:200]}")
            works = False
        assert np.array_equal(self.make(mode), before), (self.name, cache)
        return works

    def _mixes(self, cache: str, mode: Mode, calls: int) -> bool:
        """It does not know which prompt it works on, where each has a call of its own."""
        import diffusers

        pipeline_class = getattr(diffusers, self.spec.settings["modes"][mode])
        names_prompts = "cache_context(" in inspect.getsource(inspect.unwrap(pipeline_class.__call__))
        blind = cache in ("pyramid_attention_broadcast", "faster") or (cache == "mag" and not names_prompts)
        if blind and calls > STEPS:
            print(f"{self.name} {cache}: {calls} calls in {STEPS} steps")
        return blind and calls > STEPS

    def _repeats(self, cache: str, part: Any, args: Any, named: Any) -> bool:
        """What it leaves out is what would have come out: the same input has the same output again and again."""
        import torch

        if cache == "faster":
            return True
        self.pipeline._current_timestep = torch.tensor(500.0)
        wanted = find_wanted(cache)
        with torch.no_grad(), switched_on(self.pipeline, wanted, STEPS), part.cache_context("cond"):
            first, *others = [part(*args, **named)[0] for _ in range(4)]
        far = max(float((other - first).abs().max()) for other in others)
        if far > CLOSE * float(first.abs().max()):
            print(f"{self.name} {cache}: {far:.2g} from the same input's output of {float(first.abs().max()):.2g}")
            return False
        return True


def make_row(trial: Trial, name: str, works: dict[str, bool]) -> str:
    """Of the class in `model_index.json`."""
    profiles = trial.spec.settings["profiles"].get(trial.spec.settings["pipeline_class"])
    lite = "with `use_lite_mode`" if works["taylorseer_lite"] else ""
    cells = [
        TINY[name].title,
        *("yes" if works[cache] else lite if cache == "taylorseer" else "" for cache in CONFIGS),
        f"`{profiles['fast']['name']}`" if profiles else "",
        "yes" if takes_loras(trial.pipeline) else "",
    ]
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


def read_rows() -> dict[str, str]:
    """Those of the README, by their family."""
    lines = README.read_text().splitlines()
    first = lines.index(HEADER) + 2
    return {line.split(" | ")[0].strip("| "): line for line in lines[first : first + len(TINY)]}


def main() -> None:
    stand_in()
    rows = []
    for name in TINY:
        trial = Trial(name)
        main_class = trial.spec.settings["pipeline_class"]
        mode = trial.modes.get(main_class, next(iter(trial.modes.values())))
        rows.append(make_row(trial, name, {cache: trial.works(cache, mode) for cache in BOLD}))
    before, _, after = README.read_text().partition(HEADER)
    rest = after.splitlines()
    end = next((index for index, line in enumerate(rest[1:], 1) if not line.startswith("|")), len(rest))
    rule = "|" + "---|" * (HEADER.count("|") - 1)
    README.write_text("\n".join([before + HEADER, rule, *rows, *rest[end:]]) + "\n")


def find_wanted(cache: str) -> dict[str, Any]:
    """As the change reads it from a file."""
    return {"name": cache.removesuffix("_lite"), "options": BOLD[cache]}


if __name__ == "__main__":
    main()
