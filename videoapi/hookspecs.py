"""The hooks of a backend plugin.

A plugin is a distribution with an entry point in group `videoapi`. The entry point's name is the backend's name,
its object (a module, or an instance of a class) carries functions marked with `videoapi.hookimpl`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pluggy

from videoapi.modelfile import ModelFile
from videoapi.types import ModelSpec, Pipeline

GROUP = "videoapi"

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def register_models(register: Callable[[ModelSpec], None], configs: Sequence[ModelFile]) -> None:
    """Name the models that this plugin serves.

    Called at start-up in every process, so it imports nothing heavy and loads nothing.

    :param register: call it with a ModelSpec for each model.
    :param configs: the operator's model files whose `backend` is this plugin's name. Reading a key from one means
        honouring it: keys that no one reads are reported to the operator. A spec of a file's name is overlaid with the
        file's `step`, `cfg_scale`, `defaults`, `limits`, `aliases` and `description` afterwards.
    :raises ConfigurationError: made by a file's `error` or `get`, for a file that cannot be served. The kernel reports
        it and asks again without that file.
    """


@hookspec(firstresult=True)
def load_model(spec: ModelSpec) -> Pipeline:  # type: ignore[empty-body]
    """Load one model and return it ready to generate.

    Called only in the model's own process, and only on the plugin that registered the spec. Heavy imports and weights
    belong here.

    :param spec: as registered, with the model file's overlay.
    :raises ModelError: with a sentence for the client and the operator, when the model cannot be loaded.
    """


@hookspec(firstresult=True)
def check_model(spec: ModelSpec) -> str:  # type: ignore[empty-body]
    """Say whether the model can be served now: an empty text, or the reason why not. Optional.

    Asked every VIDEOAPI_CHECK_SECONDS, and only of the plugin that registered the spec; the models of a plugin without
    it are always available. Called in the worker, in a thread of the model's own, so it imports nothing heavy; it may
    ask a remote engine, and must answer within a few seconds: after ten, the model counts as unavailable until it does.
    What it raises is logged and is a reason too. While there is one, a new request for the model is a 503 that quotes
    it, those in the queue wait, and a running one goes on.

    :param spec: as registered, with the model file's overlay.
    :return: the reason as a sentence for the client and the operator, without paths or secrets.
    """


@hookspec(firstresult=True)
def inspect_model(spec: ModelSpec) -> Sequence[str]:  # type: ignore[empty-body]
    """Say what the operator should know about a model that is served. Optional.

    Asked by Django's system checks, that is by `manage.py check` and at the start of other commands, and only of the
    plugin that registered the spec: so it imports nothing heavy and answers within a second or two. What it raises is a
    warning too.

    :param spec: as registered, with the model file's overlay.
    :return: sentences, each a warning (W006) that names the model.
    """
