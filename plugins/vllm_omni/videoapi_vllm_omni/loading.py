"""Makes a pipeline of a spec's settings."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from videoapi import ModelError
from videoapi_vllm_omni.engine import TESTED_VERSION, Engine
from videoapi_vllm_omni.order import Orders
from videoapi_vllm_omni.pipeline import EnginePipeline, ServedPipeline
from videoapi_vllm_omni.served import ServedEngine, find_command

logger = logging.getLogger(__name__)


def load(
    *,
    model: str,
    loras: Mapping[str, str],
    extra: Sequence[str],
    url: str = "",
    api_key: str = "",
    serve: str = "",
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    kill_on_cancel: bool = False,
) -> EnginePipeline:
    """A pipeline around a server: the running one at `url`, or one that `serve` starts.

    Raises ModelError when it does not serve the model, or dies while it starts.
    """
    orders = Orders(model, loras, extra)
    if not serve:
        return EnginePipeline(_find(url, api_key, model), orders)
    served = ServedEngine([*find_command(serve), "serve", *arguments], environment or {})
    try:
        served.wait_until_up()
        return ServedPipeline(_find(served.url, served.api_key, model), orders, served, kill_on_cancel=kill_on_cancel)
    except BaseException:
        served.close()
        raise


def _find(url: str, api_key: str, model: str) -> Engine:
    engine = Engine(url, api_key)
    if reason := engine.why_unavailable(model):
        engine.close()
        raise ModelError(reason)
    if (version := engine.version()) != TESTED_VERSION:
        logger.warning("the engine is vllm-omni %s; tried was %s", version or "of no version", TESTED_VERSION)
    return engine
