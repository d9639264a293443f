"""Plugins and model files, found for real: distributions with entry points on the path, YAML in a folder."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.distributions import write_distribution
from videoapi.catalog import Catalog, load_catalog
from videoapi.exceptions import InvalidRequest, ModelError

BACKEND = """
    import videoapi

    @videoapi.hookimpl
    def register_models(register, configs):
        for config in configs:
            if config.get("weights", str, "") == "pickle":
                raise config.error("weights", "must be safetensors")
            register(videoapi.ModelSpec(name=config.name, defaults=videoapi.Defaults(width=64)))

    @videoapi.hookimpl
    def load_model(spec):
        return Loaded()

    class Loaded:
        def generate(self, request, progress):
            raise videoapi.ModelError("not here")
"""
ONE_MODEL = """
    import videoapi

    @videoapi.hookimpl
    def register_models(register, configs):
        register(videoapi.ModelSpec(name="{name}"))
"""


class Installation:
    """A folder of distributions on the path and a folder of model files."""

    def __init__(self, folder: Path) -> None:
        self.plugins, self.models = folder / "plugins", folder / "models"
        self.plugins.mkdir()
        self.models.mkdir()
        self.modules: list[str] = []

    def add_plugin(self, module: str, source: str, distribution: str = "", entry: str | None = None) -> None:
        write_distribution(self.plugins, distribution or f"dist-{module}", module, source, entry)
        self.modules.append(module)

    def add_model(self, name: str, text: str) -> None:
        (self.models / name).write_text(text)

    def load(self) -> Catalog:
        return load_catalog(self.models)


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    made = Installation(tmp_path)
    monkeypatch.syspath_prepend(str(made.plugins))
    yield made
    for module in made.modules:
        sys.modules.pop(module, None)


def problems(catalog: Catalog) -> list[str]:
    return [problem.message for problem in catalog.problems]


def test_the_shipped_installation_has_no_problems() -> None:
    catalog = load_catalog(Path("settings/models"))
    assert problems(catalog) == []
    assert catalog.find("video-model").spec.name == "starter"
    assert catalog.find("starter").plugin.distribution == "videoapi-starter"


def test_a_model_file_becomes_a_model_with_the_files_values_over_the_plugins(installation: Installation) -> None:
    installation.add_plugin("backend_a", BACKEND)
    installation.add_model(
        "big.yaml",
        "name: big\nbackend: backend_a\nstep: 7\ncfg_scale: 3\naliases: [large]\ndescription: A big one.\n"
        "known_usecases: [video]\ndefaults: {height: 96, fps: 24}\nlimits: {max_frames: 50}\n",
    )
    catalog = installation.load()
    spec = catalog.find("large").spec
    assert problems(catalog) == []
    assert (spec.name, spec.description, spec.limits.max_frames) == ("big", "A big one.", 50)
    defaults = spec.defaults
    assert (defaults.width, defaults.height, defaults.fps) == (64, 96, 24)
    assert (defaults.num_inference_steps, defaults.guidance_scale) == (7, 3.0)


def test_a_key_that_nobody_honours_is_a_mild_problem_that_names_file_and_key(installation: Installation) -> None:
    installation.add_plugin("backend_a", BACKEND)
    installation.add_model("big.yaml", "name: big\nbackend: backend_a\nlow_vram: true\n")
    catalog = installation.load()
    assert problems(catalog) == ["big.yaml: 'low_vram' is not honoured."]
    assert not catalog.problems[0].serious


def test_a_folder_of_model_files_that_does_not_exist_is_a_problem(tmp_path: Path) -> None:
    (problem,) = load_catalog(tmp_path / "nowhere").problems
    assert problem.message == f"The folder of model files does not exist: {tmp_path / 'nowhere'}"
    assert "VIDEOAPI_MODELS_DIR" in problem.hint


def test_one_bad_file_leaves_the_other_models_of_its_plugin(installation: Installation) -> None:
    installation.add_plugin("backend_a", BACKEND)
    installation.add_model("a.yaml", "name: a\nbackend: backend_a\nweights: pickle\n")
    installation.add_model("b.yaml", "name: b\nbackend: backend_a\nweights: safetensors\n")
    catalog = installation.load()
    assert problems(catalog) == ["Plugin 'backend_a': a.yaml: 'weights' must be safetensors."]
    assert catalog.find("b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "x.yaml: not readable as YAML"),
        ("- a\n", "x.yaml: must hold keys and values"),
        ("name: x\n", "x.yaml: 'backend' is required."),
        ("name: x\nbackend: nobody\n", "x.yaml: backend 'nobody' is not installed. Installed: "),
        ("name: other\nbackend: starter\n", "x.yaml: backend 'starter' registered no model 'other'."),
        ("name: fine\nbackend: starter\n", "x.yaml: 'name' is 'fine', like that of ok.yaml."),
        ("name: starter\nbackend: starter\ndefaults: {fps: 0}\n", "x.yaml: defaults.fps must be at least 1, not 0."),
        ("name: starter\nbackend: starter\nlimits: {max_frames: -1}\n", "x.yaml: limits.max_frames must be at least 1"),
        ("name: starter\nbackend: starter\naliases: [1]\n", "x.yaml: 'aliases' must be a list of names."),
    ],
)
def test_a_bad_model_file_is_reported_and_the_rest_serves(installation: Installation, text: str, message: str) -> None:
    installation.add_model("x.yaml", text)
    installation.add_model("ok.yaml", "name: fine\nbackend: backend_a\n")
    installation.add_plugin("backend_a", BACKEND)
    catalog = installation.load()
    assert [problem for problem in problems(catalog) if problem.startswith(message)]
    assert catalog.find("fine")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise ImportError('no left_pad')", "does not load: ImportError: no left_pad"),
        ("raise SystemExit(3)", "does not load: SystemExit: 3"),
        ("x = 1", "does not load: ConfigurationError: It implements no hook"),
        (
            "import videoapi\n@videoapi.hookimpl\ndef register_model(register): ...",
            "does not load: ConfigurationError: There is no hook 'register_model'",
        ),
        (
            "import videoapi\n@videoapi.hookimpl\ndef register_models(registry): ...",
            "does not load: PluginValidationError",
        ),
        ("import videoapi\n@videoapi.hookimpl\ndef register_models(register): 1 / 0", "failed: ZeroDivisionError"),
        (
            "import videoapi\n@videoapi.hookimpl\ndef register_models(register): register('wan')",
            "it registered a str where a ModelSpec is due.",
        ),
    ],
)
def test_a_broken_plugin_is_isolated(installation: Installation, source: str, message: str) -> None:
    (installation.plugins / "bad.py").write_text(source)
    write_distribution(installation.plugins, "dist-bad", "bad", source)
    installation.modules.append("bad")
    installation.add_plugin("backend_a", ONE_MODEL.format(name="fine"))
    catalog = installation.load()
    assert [problem for problem in problems(catalog) if "'bad'" in problem and message in problem]
    assert catalog.find("fine")


def test_two_models_of_one_name_are_an_error_that_names_both_distributions(installation: Installation) -> None:
    installation.add_plugin("one", ONE_MODEL.format(name="same"), "dist-one")
    installation.add_plugin("two", ONE_MODEL.format(name="same"), "dist-two")
    catalog = installation.load()
    assert problems(catalog) == ["Two models are called 'same': one of dist-one, one of dist-two."]


def test_two_distributions_with_one_backend_name_serve_neither(installation: Installation) -> None:
    installation.add_plugin("one", ONE_MODEL.format(name="a"), "dist-one", entry="twin")
    installation.add_plugin("two", ONE_MODEL.format(name="b"), "dist-two", entry="twin")
    found = [problem for problem in problems(installation.load()) if "Several distributions" in problem]
    assert len(found) == 2
    assert "dist-one" in found[0] + found[1]


def test_a_request_goes_to_the_plugin_that_owns_the_model(installation: Installation) -> None:
    installation.add_plugin("backend_a", BACKEND)
    installation.add_model("a.yaml", "name: a\nbackend: backend_a\n")
    pipeline = installation.load().load_model("a")
    with pytest.raises(ModelError, match="not here"):
        pipeline.generate(None, None)  # type: ignore[arg-type]


def test_a_model_whose_file_is_refused_cannot_be_loaded_for_that_reason(installation: Installation) -> None:
    """As when it goes bad after the server began: then the model's process meets it first."""
    installation.add_plugin("backend_a", BACKEND)
    installation.add_model("a.yaml", "name: a\nbackend: backend_a\nweights: pickle\n")
    installation.add_model("b.yaml", "name: b\nbackend: backend_b\n")
    with pytest.raises(ModelError) as error:
        installation.load().load_model("a")
    assert error.value.message == (
        "Model 'a' cannot be loaded: Plugin 'backend_a': a.yaml: 'weights' must be safetensors."
    )
    installation.add_model("a.yaml", "name: [")
    with pytest.raises(ModelError, match=r"Model 'a' cannot be loaded: .*a\.yaml: not readable as YAML"):
        installation.load().load_model("a")


def test_an_unknown_model_suggests_a_near_name_and_lists_what_there_is(installation: Installation) -> None:
    installation.add_plugin("one", ONE_MODEL.format(name="wan"))
    with pytest.raises(InvalidRequest) as error:
        installation.load().find("wna")
    assert error.value.field == "model"
    assert error.value.message == "Unknown model 'wna'. Did you mean 'wan'? Installed: starter, wan."
