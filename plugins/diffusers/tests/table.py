"""The table of families in the plugin's README: `python -m plugins.diffusers.tests.table` writes it anew."""

from __future__ import annotations

import tempfile
from pathlib import Path

from plugins.diffusers.tests.tiny import SERVED, TINY, Tiny, stand_in
from videoapi import ModelFile, ModelSpec
from videoapi_diffusers.families import find_family
from videoapi_diffusers.plugin import build_spec
from videoapi_diffusers.signature import read_signature

README = Path(__file__).parent.parent / "README.md"
HEADER = (
    "| family | class in `model_index.json` | text | first frame | first and last | clip | sound | negative prompt "
    "| progress and cancel | run through |"
)
SOUND = {"LTX2Pipeline", "Kandinsky6TI2VAPipeline", "Cosmos3OmniPipeline"}


def make_spec(folder: Path, name: str = "tiny", **keys: object) -> ModelSpec:
    """The spec of a model file that names the folder."""
    data = {"name": name, "backend": "diffusers", "parameters": {"model": str(folder)}, **keys}
    return build_spec(ModelFile(Path(f"{name}.yaml"), data))


def make_row(tiny: Tiny, spec: ModelSpec) -> str:
    """What the family can do, as its spec says, and the tests that ran it."""
    settings = spec.settings
    signature = read_signature(settings["pipeline_class"])
    assert signature is not None
    clip = find_family(settings["modes"].get("clip", "")).clip
    cells = [
        tiny.title,
        f"`{signature.name}`",
        *("yes" if mode in spec.modes else "" for mode in ("text", "first_frame", "first_and_last_frame")),
        {"whole": "all of the video", "beginning": "its beginning"}[clip] if "clip" in spec.modes else "",
        "yes" if signature.name in SOUND else "",
        "" if "negative_prompt" in spec.unsupported else "with `true_cfg_scale`" if _is_split(spec) else "yes",
        "by its callback" if "callback_on_step_end" in signature.parameters else "by its scheduler",
        "plugin and server" if tiny.build.__name__ in SERVED else "plugin, with stand-ins",
    ]
    return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


def read_rows() -> list[str]:
    """Those of the README."""
    lines = README.read_text().splitlines()
    first = lines.index(HEADER) + 2
    return [line for line in lines[first : first + len(TINY)] if line.startswith("|")]


def _is_split(spec: ModelSpec) -> bool:
    return "true_cfg_scale" in spec.params


def main() -> None:
    import torch

    stand_in()
    rows = []
    for tiny in TINY.values():
        with tempfile.TemporaryDirectory() as folder:
            torch.manual_seed(0)
            tiny.build().save_pretrained(folder)
            rows.append(make_row(tiny, make_spec(Path(folder))))
    text = README.read_text()
    before, _, after = text.partition(HEADER)
    rest = after.splitlines()
    end = next((index for index, line in enumerate(rest[1:], 1) if not line.startswith("|")), len(rest))
    rule = "|" + "---|" * (HEADER.count("|") - 1)
    README.write_text("\n".join([before + HEADER, rule, *rows, *rest[end:]]) + "\n")


if __name__ == "__main__":
    main()
