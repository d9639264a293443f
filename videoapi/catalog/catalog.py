"""The models of this installation, by name and alias."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from videoapi.catalog.files import overlay, read_model_files
from videoapi.exceptions import ConfigurationError, InvalidRequest, ModelError, suggest
from videoapi.modelfile import ModelFile
from videoapi.plugins import Plugin, Plugins
from videoapi.types import ModelSpec, Pipeline

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A model and the plugin that serves it."""

    spec: ModelSpec
    plugin: Plugin


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something that the operator should mend; `serious` when a plugin or a model does not serve because of it."""

    message: str
    hint: str
    serious: bool = True


class Catalog:
    """Built once a process. What is wrong is in `problems`; the models that remain are served."""

    def __init__(self, plugins: Plugins, files: Iterable[ModelFile]) -> None:
        self.plugins = plugins
        self.problems: list[Problem] = []
        self.created = int(time.time())
        self._entries: dict[str, Entry] = {}
        self._names: dict[str, str] = {}
        files = list(files)
        self._paths = {file.name: file.path.name for file in files}
        self._report_broken_plugins()
        self._report_files_without_plugin(files)
        for plugin in plugins.working():
            self._register(plugin, [file for file in files if file.backend == plugin.name])

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def find(self, name: str) -> Entry:
        """The model of that name or alias; InvalidRequest for `model` that suggests a near name."""
        if name in self._names:
            return self._entries[self._names[name]]
        installed = ", ".join(sorted(self._entries)) or "none"
        raise InvalidRequest("model", f"Unknown model '{name}'.{suggest(name, self._names)} Installed: {installed}.")

    def load_model(self, name: str) -> Pipeline:
        """Load a model in this process. Raises ModelError, also for one whose file went bad after the server began."""
        if name not in self._names and (reasons := self._reasons(name)):
            raise ModelError(f"Model '{name}' cannot be loaded: {' '.join(reasons)}")
        entry = self.find(name)
        return self.plugins.load_model(entry.plugin, entry.spec)

    def _reasons(self, name: str) -> list[str]:
        """What is wrong with the model's file; with all of them, when none can be read that has the model."""
        file = self._paths.get(name, "")
        return [problem.message for problem in self.problems if problem.serious and file in problem.message]

    def _register(self, plugin: Plugin, files: list[ModelFile]) -> None:
        specs, accepted = self._ask(plugin, files)
        by_name = {file.name: file for file in accepted}
        for spec in specs:
            file = by_name.pop(spec.name, None)
            try:
                self._add(overlay(spec, file) if file else spec, plugin)
            except ConfigurationError as error:
                self._problem(error.message, "Rename or mend one of them.")
            else:
                if file:
                    self._report_unread(file)
        for left in by_name.values():
            self._problem(
                f"{left.path.name}: backend '{plugin.name}' registered no model '{left.name}'.", "manage.py plugins"
            )

    def _ask(self, plugin: Plugin, files: list[ModelFile]) -> tuple[list[ModelSpec], list[ModelFile]]:
        """The plugin's specs, and the files that it accepts: one that it refuses is reported and left out."""
        specs: list[ModelSpec] = []
        try:
            self.plugins.register_models(plugin, specs.append, files)
            wrong = next((spec for spec in specs if not isinstance(spec, ModelSpec)), None)
            if wrong is not None:
                raise ConfigurationError(f"it registered a {type(wrong).__name__} where a ModelSpec is due.")
        except ConfigurationError as error:
            self._problem(f"Plugin '{plugin.name}': {error.message}", "manage.py plugins")
            rest = [file for file in files if file.path.name != error.file]
            return self._ask(plugin, rest) if len(rest) < len(files) else ([], [])
        except Exception as error:
            # A plugin's own code: whatever it raises, the other plugins serve.
            logger.exception("plugin %s cannot register its models", plugin.name)
            self._problem(f"Plugin '{plugin.name}' failed: {type(error).__name__}: {error}", "manage.py plugins")
            return [], []
        return specs, files

    def _add(self, spec: ModelSpec, plugin: Plugin) -> None:
        names = (spec.name, *spec.aliases)
        for name in names:
            if name in self._names:
                other = self._entries[self._names[name]].plugin
                raise ConfigurationError(
                    f"Two models are called '{name}': one of {other.distribution}, one of {plugin.distribution}."
                )
        self._entries[spec.name] = Entry(spec=spec, plugin=plugin)
        self._names.update(dict.fromkeys(names, spec.name))

    def _report_unread(self, file: ModelFile) -> None:
        for key in file.unread():
            self._problem(
                f"{file.path.name}: '{key}' is not honoured.", f"Remove '{key}' from the file.", serious=False
            )

    def _report_broken_plugins(self) -> None:
        for plugin in self.plugins.all:
            if plugin.error:
                self._problem(
                    f"Plugin '{plugin.name}' of {plugin.distribution} does not load: {plugin.error}",
                    f"pip install --force-reinstall {plugin.distribution}",
                )

    def _report_files_without_plugin(self, files: list[ModelFile]) -> None:
        for file in files:
            if self.plugins.find(file.backend) is None:
                installed = ", ".join(plugin.name for plugin in self.plugins.all) or "none"
                self._problem(
                    f"{file.path.name}: backend '{file.backend}' is not installed. Installed: {installed}.",
                    f"pip install videoapi-{file.backend}",
                )

    def _problem(self, message: str, hint: str, *, serious: bool = True) -> None:
        self.problems.append(Problem(message=message, hint=hint, serious=serious))


def load_catalog(models_dir: Path, only: str | None = None) -> Catalog:
    """Find the plugins, read the model files and ask every plugin for its models.

    With `only`, no other plugin than that is imported: a model's process has no use for the others.
    """
    files, errors = read_model_files(models_dir)
    catalog = Catalog(Plugins(only), files)
    for error in errors:
        catalog.problems.append(Problem(message=error.message, hint=f"Edit the file in {models_dir.name}/."))
    if not models_dir.is_dir():
        message = f"The folder of model files does not exist: {models_dir}"
        catalog.problems.append(Problem(message=message, hint="Create it, or set VIDEOAPI_MODELS_DIR."))
    return catalog
