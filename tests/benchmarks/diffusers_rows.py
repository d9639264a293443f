"""What is measured beside bare diffusers: the plugin with no option, and with each of its options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# Of the form of what MagCache's authors found for Wan, and not calibrated: 0.995 for most steps, less and less at the
# end.
MAG_RATIOS = [*[0.995] * 40, *(0.99 - 0.018 * step for step in range(10))]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of the table."""

    name: str
    title: str
    files: tuple[Mapping[str, Any], ...] = ({},)
    """What the model file has under `diffusers`; of several, the first that loads here."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """What the request has under `params`."""
    repeats_prompt: bool = False
    is_cached: bool = False
    """Its steps are of two kinds, so their mean counts, and blocks that are left out are counted."""
    needs_gpu: bool = False

    @property
    def is_compiled(self) -> bool:
        return any(file.get("compile") for file in self.files)


def attention(name: str) -> Row:
    return Row(name=name.strip("_"), title=f"`attention_backend: {name}`", files=({"attention_backend": name},))


def offload(name: str) -> Row:
    return Row(name=f"offload-{name}", title=f"`offload: {name}`", files=({"offload": name},), needs_gpu=True)


def cache(name: str, title: str, **options: Any) -> Row:
    file = {"cache": name, "cache_options": options}
    return Row(name=f"cache-{name}", title=f"`cache: {name}`, {title}", files=(file,), is_cached=True)


PLAIN = Row(name="plugin", title="the plugin, no option")
TOGETHER = (
    *({"compile": True, "attention_backend": name} for name in ("_flash_3", "flash", "_native_cudnn")),
    {"compile": True},
)
LOSSLESS = (
    PLAIN,
    Row(name="repeated-prompt", title="the same prompt again", repeats_prompt=True),
    *map(attention, ("_native_cudnn", "_native_flash", "flash", "_flash_3")),
    Row(name="compile", title="`compile: true`", files=({"compile": True},)),
    *map(offload, ("auto", "text_encoder", "model", "group")),
    Row(name="lossless", title="compiled, attention, same prompt", files=TOGETHER, repeats_prompt=True),
)
LOSSY = (
    Row(name="balanced", title="`quality: balanced`", params={"quality": "balanced"}, is_cached=True),
    Row(name="fast", title="`quality: fast`", params={"quality": "fast"}, is_cached=True),
    cache("first_block", "threshold 0.08", threshold=0.08),
    cache("taylorseer", "lite", use_lite_mode=True),
    cache("mag", "ratios not calibrated", mag_ratios=MAG_RATIOS),
    attention("sage"),
    Row(name="fp8", title="`quantization: fp8`", files=({"quantization": "fp8"},)),
    Row(
        name="fast-together",
        title="`quality: fast`, compiled, attention, same prompt",
        files=TOGETHER,
        params={"quality": "fast"},
        repeats_prompt=True,
        is_cached=True,
    ),
)
ROWS = (*LOSSLESS, *LOSSY)
