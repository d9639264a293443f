"""The request's `params`: a model's own options, as its schema has them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.server import Server
from tests.videos import read
from videoapi.exceptions import InvalidRequest
from videoapi.resolution import resolve_params
from videoapi.types import ModelSpec

SPEC = ModelSpec(
    name="wan",
    params={
        "flow_shift": {"type": "number", "exclusiveMinimum": 0, "default": 3.0},
        "sampler": {"enum": ["euler", "heun"]},
        "tiling": {"type": "boolean"},
        "passes": {"enum": [1, 2, "auto"]},
        "layers": {"type": "array", "items": {"type": "integer"}, "maxItems": 3},
        "word": {"type": "string", "maxLength": 5},
        "weights": {
            "type": "object",
            "properties": {"style": {"type": "number", "maximum": 4}, "motion": {"type": "number"}},
            "additionalProperties": False,
        },
    },
)


@pytest.mark.parametrize(
    ("given", "resolved"),
    [
        ({}, {"flow_shift": 3.0}),
        ({"flow_shift": 5}, {"flow_shift": 5}),
        ({"flow_shift": None}, {"flow_shift": 3.0}),
        ({"sampler": "heun"}, {"flow_shift": 3.0, "sampler": "heun"}),
        ({"layers": [1.0, 2]}, {"flow_shift": 3.0, "layers": [1, 2]}),
        ({"word": "12"}, {"flow_shift": 3.0, "word": "12"}),
        ({"passes": "2"}, {"flow_shift": 3.0, "passes": 2}),
        ({"passes": "auto"}, {"flow_shift": 3.0, "passes": "auto"}),
        ({"weights": {"style": 2}}, {"flow_shift": 3.0, "weights": {"style": 2}}),
        ({"weights": '{"style": 0.5}'}, {"flow_shift": 3.0, "weights": {"style": 0.5}}),
        (
            {"flow_shift": "4.5", "tiling": "true", "layers": "[1, 2]"},
            {"flow_shift": 4.5, "tiling": True, "layers": [1, 2]},
        ),
    ],
)
def test_params_are_checked_and_get_their_defaults(given: dict[str, Any], resolved: dict[str, Any]) -> None:
    """Texts for numbers too: LocalAI's params are texts."""
    assert resolve_params({"params": given}, SPEC) == resolved


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        ({"flowshift": 1}, "params.flowshift", "Unknown. Did you mean 'flow_shift'? Model 'wan' takes: flow_shift, "),
        ({"flow_shift": 0}, "params.flow_shift", "0 is less than or equal to the minimum of 0."),
        ({"flow_shift": "1e999"}, "params.flow_shift", "'1e999' is not of type 'number'."),
        ({"flow_shift": "NaN"}, "params.flow_shift", "'NaN' is not of type 'number'."),
        ({"layers": "[" * 5000}, "params.layers", "'[[["),
        ({"flow_shift": "much"}, "params.flow_shift", "'much' is not of type 'number'."),
        ({"flow_shift": True}, "params.flow_shift", "True is not of type 'number'."),
        ({"sampler": "magic"}, "params.sampler", "'magic' is not one of ['euler', 'heun']."),
        ({"tiling": 1}, "params.tiling", "1 is not of type 'boolean'."),
        ({"tiling": '"true"'}, "params.tiling", "'\"true\"' is not of type 'boolean'."),
        ({"sampler": '"heun"'}, "params.sampler", "'\"heun\"' is not one of ['euler', 'heun']."),
        ({"layers": [1, "2"]}, "params.layers", "'2' is not of type 'integer'."),
        ({"layers": [1, 2, 3, 4]}, "params.layers", "[1, 2, 3, 4] is too long."),
        ({"weights": {"style": 5}}, "params.weights.style", "5 is greater than the maximum of 4."),
        (
            {"weights": {"other": 1}},
            "params.weights",
            "Additional properties are not allowed ('other' was unexpected).",
        ),
        ({"weights": "much"}, "params.weights", "'much' is not of type 'object'."),
        ({"word": "x" * 10_000}, "params.word", f"'{'x' * 299}."),
    ],
)
def test_a_wrong_param_is_refused_by_name(given: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        resolve_params({"params": given}, SPEC)
    assert refusal.value.field == field
    assert refusal.value.message.startswith(message)


def test_what_is_left_out_of_an_object_has_its_default() -> None:
    schema = {**SPEC.params["weights"], "default": {"style": 1.0, "motion": 0.5}}
    spec = ModelSpec(name="wan", params={"weights": schema})
    assert resolve_params({"params": {"weights": {"style": 0}}}, spec) == {"weights": {"style": 0, "motion": 0.5}}
    assert resolve_params({}, spec) == {"weights": {"style": 1.0, "motion": 0.5}}


def test_a_model_without_params_takes_none() -> None:
    with pytest.raises(InvalidRequest, match="Model 'plain' takes no params"):
        resolve_params({"params": {"a": 1}}, ModelSpec(name="plain"))
    assert resolve_params({"params": {}}, ModelSpec(name="plain")) == {}


def test_params_reach_the_model_and_the_files_metadata(faulty_server: Server) -> None:
    body = {"model": "faulty-good", "prompt": "x", "seed": 0}
    plain = faulty_server.post(body).json
    bright = faulty_server.post({**body, "params": {"brightness": "25", "scheduler": "heun"}}).json
    first, second = (read(faulty_server.get(answer["data"][0]["url"]).body) for answer in (plain, bright))
    assert second.frames[0].mean() - first.frames[0].mean() == pytest.approx(25, abs=3)
    assert json.loads(second.metadata["comment"])["request"]["params"] == {"brightness": 25, "scheduler": "heun"}


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ([], "params"),
        ("text", "params"),
        ({"scheduler": "\ud800"}, "params"),
        ({"scheduler": "\0"}, "params"),
        ({"brightness": 31}, "params.brightness"),
        ({"nothing": 1}, "params.nothing"),
    ],
)
def test_a_wrong_param_is_a_400(faulty_server: Server, params: Any, field: str) -> None:
    answer = faulty_server.post({"model": "faulty-good", "prompt": "x", "params": params})
    assert (answer.status, answer.error["param"]) == (400, field)
