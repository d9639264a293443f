"""Finds the installed backend plugins. A broken one is recorded, and the others serve."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

import pluggy

from videoapi import hookspecs
from videoapi.exceptions import ConfigurationError
from videoapi.modelfile import ModelFile
from videoapi.types import ModelSpec, Pipeline

logger = logging.getLogger(__name__)

HOOKS = ("register_models", "load_model", "check_model", "inspect_model")


@dataclass(frozen=True, kw_only=True, slots=True)
class Plugin:
    """One entry point of group `videoapi`, whether it works or not."""

    name: str
    """The backend's name, as model files write it."""
    distribution: str
    version: str
    error: str = ""
    """Why the plugin does not serve; empty when it does."""


class Plugins:
    """The installed plugins, or `only` one of them, and the calls that the kernel makes to them."""

    def __init__(self, only: str | None = None) -> None:
        self._manager = pluggy.PluginManager(hookspecs.GROUP)
        self._manager.add_hookspecs(hookspecs)
        self._objects: dict[str, object] = {}
        found = [point for point in entry_points(group=hookspecs.GROUP) if only in (None, point.name)]
        owners = Counter(point.name for point in found)
        self.all = tuple(
            self._add(point, taken=owners[point.name] > 1) for point in sorted(found, key=lambda point: point.name)
        )

    def working(self) -> list[Plugin]:
        return [plugin for plugin in self.all if not plugin.error]

    def find(self, name: str) -> Plugin | None:
        return next((plugin for plugin in self.all if plugin.name == name), None)

    def register_models(
        self, plugin: Plugin, register: Callable[[ModelSpec], None], configs: Sequence[ModelFile]
    ) -> None:
        """Ask one plugin for its models."""
        self._caller(plugin, "register_models")(register=register, configs=configs)

    def load_model(self, plugin: Plugin, spec: ModelSpec) -> Pipeline:
        """Have the model's own plugin load it, in this process."""
        pipeline: Pipeline | None = self._caller(plugin, "load_model")(spec=spec)
        if not isinstance(pipeline, Pipeline):
            raise ConfigurationError(f"Plugin '{plugin.name}' loaded no pipeline for model '{spec.name}'.")
        return pipeline

    def checks_models(self, plugin: Plugin) -> bool:
        """Whether the plugin has the optional hook `check_model`."""
        return bool(self._caller(plugin, "check_model").get_hookimpls())

    def check_model(self, plugin: Plugin, spec: ModelSpec) -> str:
        """Ask the model's own plugin why it cannot be served now; empty when it can be. Raises what the plugin does."""
        reason: str | None = self._caller(plugin, "check_model")(spec=spec)
        if not isinstance(reason, str | None):
            raise ConfigurationError(
                f"Plugin '{plugin.name}' answered with a {type(reason).__name__}, not with a text."
            )
        return reason or ""

    def inspect_model(self, plugin: Plugin, spec: ModelSpec) -> Sequence[str]:
        """What the model's own plugin warns of. Raises what the plugin does."""
        warnings: Sequence[str] | None = self._caller(plugin, "inspect_model")(spec=spec)
        if isinstance(warnings, str):
            raise ConfigurationError(f"Plugin '{plugin.name}' answered with a text, not with a list of them.")
        return warnings or ()

    def _caller(self, plugin: Plugin, hook: str) -> pluggy.HookCaller:
        others = [other for name, other in self._objects.items() if name != plugin.name]
        return self._manager.subset_hook_caller(hook, remove_plugins=others)

    def _add(self, point: EntryPoint, *, taken: bool) -> Plugin:
        distribution = point.dist.name if point.dist else point.value
        version = point.dist.version if point.dist else ""
        error = ""
        try:
            if taken:
                raise ConfigurationError(f"Several distributions offer a backend named '{point.name}'.")
            self._register(point)
        except (Exception, SystemExit) as problem:
            # A stranger's module can raise anything while it is imported; the server goes on without it.
            logger.exception("plugin %s of %s does not load", point.name, distribution)
            error = f"{type(problem).__name__}: {problem}"
        return Plugin(name=point.name, distribution=distribution, version=version, error=error)

    def _register(self, point: EntryPoint) -> None:
        plugin = point.load()
        self._manager.register(plugin, point.name)
        callers = self._manager.get_hookcallers(plugin) or []
        unknown = [caller.name for caller in callers if not caller.has_spec()]
        if unknown or not callers:
            self._manager.unregister(plugin)
            raise ConfigurationError(
                f"There is no hook '{unknown[0]}'; the hooks are {', '.join(HOOKS)}."
                if unknown
                else "It implements no hook; mark its functions with @videoapi.hookimpl."
            )
        self._objects[point.name] = plugin
