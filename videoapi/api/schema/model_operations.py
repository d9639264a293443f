"""The operations about models."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiResponse, extend_schema

from videoapi.api.schema import examples, model_bodies
from videoapi.api.schema import parameters as of
from videoapi.api.schema.errors import errors
from videoapi.api.schema.operations import Documented

MODELS, LOCALAI = "Models", "LocalAI's addresses"


def _list(operation: str, tag: str, description: str) -> Documented:
    return extend_schema(
        operation_id=operation,
        summary="List the models",
        description=description,
        tags=[tag],
        responses=OpenApiResponse(model_bodies.ModelList, "All of them.", [examples.MODEL_LIST]),
    )


def _get(operation: str, tag: str, description: str) -> Documented:
    return extend_schema(
        operation_id=operation,
        summary="What a model takes",
        description=description,
        tags=[tag],
        parameters=[of.MODEL_PATH],
        responses={
            200: OpenApiResponse(model_bodies.ModelDescription, "The model.", [examples.MODEL]),
            **errors(404),
        },
    )


def _list_capabilities(operation: str, tag: str, description: str) -> Documented:
    return extend_schema(
        operation_id=operation,
        summary="What goes into the models, and what comes out",
        description=description,
        tags=[tag],
        responses=OpenApiResponse(model_bodies.CapabilityList, "All of them."),
    )


def _order(operation: str, summary: str, description: str) -> Documented:
    return extend_schema(
        operation_id=operation,
        summary=summary,
        description=f"{description} For a key that may operate.",
        tags=[MODELS],
        parameters=[of.MODEL_PATH],
        request=None,
        responses={202: OpenApiResponse(model_bodies.ModelOrder, "The workers were asked."), **errors(404)},
    )


list_models = _list(
    "listModels", MODELS, "Every name that `model` can have in a request, and whether one would be accepted now."
)
list_localai_models = _list("listLocalAIModels", LOCALAI, "The same as `GET /v1/models`.")
get_model = _get("getModel", MODELS, "All that a request for it is checked against, so that a form can be made of it.")
get_localai_model = _get("getLocalAIModel", LOCALAI, "The same as `GET /v1/models/{name}`.")
list_capabilities = _list_capabilities("listCapabilities", MODELS, "Every model and every alias, in LocalAI's words.")
list_localai_capabilities = _list_capabilities(
    "listLocalAICapabilities", LOCALAI, "The same as `GET /v1/models/capabilities`, with LocalAI's word for video."
)
load_model = _order("loadModel", "Load a model", "On the worker that serves it and holds the fewest, in advance.")
unload_model = _order("unloadModel", "Unload a model", "Wherever it is loaded.")
