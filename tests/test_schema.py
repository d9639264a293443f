"""The OpenAPI schema has every route and every field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.openapi import check, generate, operations
from tests.webhooks.receiver import SECRET
from videoapi.api.schema.auto import Schema
from videoapi.engine.webhooks import sign
from videoapi.serializers import VideoRequestSerializer
from videoapi.urls import urlpatterns

# The same examples each time, as in test_fuzz.
FUZZ = settings(derandomize=True, database=None, deadline=None, max_examples=500)
REQUEST = generate()


@pytest.fixture
def schema(configure: Callable[..., Any]) -> Any:
    return generate()


def test_drf_spectacular_finds_no_fault(tmp_path: Path) -> None:
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "schema.yaml"))


def test_every_route_is_in_the_schema(schema: Any) -> None:
    routes = {_path(each.pattern): each.callback.view_class for each in urlpatterns if str(each.pattern) != "admin/"}
    assert len(routes) > 10
    assert set(schema["paths"]) == set(routes)
    for path, view in routes.items():
        methods = {name for name in ("get", "post", "put", "patch", "delete") if hasattr(view, name)}
        assert set(schema["paths"][path]) == methods, path


def _path(pattern: Any) -> str:
    plain = re.sub(r"\(\?P(<\w+>)[^)]*\)", r"\1", str(pattern)).strip("^$")
    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", plain).replace("{pk}", "{id}")


def test_everything_is_described(schema: Any) -> None:
    for name, operation in operations(schema):
        assert operation["summary"], name
        assert operation["description"], name
        for parameter in operation.get("parameters", []):
            assert parameter["description"], (name, parameter["name"])
        for status, response in operation["responses"].items():
            assert response["description"], (name, status)
            for header, described in response.get("headers", {}).items():
                assert described["description"], (name, status, header)
    for name, component in schema["components"]["schemas"].items():
        for field, described in component.get("properties", {}).items():
            assert described["description"], (name, field)


def test_the_request_has_the_fields_of_its_serializer(schema: Any) -> None:
    component = schema["components"]["schemas"]["VideoRequest"]
    assert set(component["properties"]) == set(VideoRequestSerializer().fields)
    assert component["required"] == ["model", "prompt"]
    assert component["additionalProperties"] is False
    optional = component["properties"].keys() - {"model", "prompt"}
    for name in optional:
        check(schema, component, {"model": "a", "prompt": "b", name: None})


texts = st.text(max_size=12) | st.from_regex(r"\s{0,2}[0-9.]{1,9}", fullmatch=True)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.integers().map(float)
values = st.none() | st.booleans() | numbers | texts | st.lists(numbers, max_size=2) | st.just({})
# What a size and a priority may be is not known before the model and the settings, and params are the model's.
FIELDS = sorted(VideoRequestSerializer().fields.keys() - {"size", "priority", "params"})


@FUZZ
@given(st.sampled_from(FIELDS), values)
@example("width", 16.0)
@example("width", 2**63)
@example("width", 2**63 - 1)
@example("seconds", 1e-6)
@example("seconds", 1e-7)
@example("seconds", 999_999.9999999)
@example("seconds", 10**6)
@example("seconds", "0.0")
@example("prompt", "\u2028 ")
@example("start_image", "a\x00")
@example("cfg_scale", 1.1e308)
@example("response_format", "b64")
@example("response_format", "")
@example("step", 0.0)
@example("step", False)
@example("start_image", "")
@example("n", 0)
def test_a_value_is_right_by_the_schema_where_the_serializer_takes_it(name: str, value: Any) -> None:
    data = {"model": "any", "prompt": "anything", name: value}
    component = REQUEST["components"]["schemas"]["VideoRequest"]
    assert Draft202012Validator(component).is_valid(data) is VideoRequestSerializer(data=data).is_valid()


def test_operations_have_names_of_their_own_and_links_lead_to_them(schema: Any) -> None:
    named = {operation["operationId"]: operation for _, operation in operations(schema)}
    assert len(named) == len(list(operations(schema)))
    links = [link for each in named.values() for link in _links(each)]
    assert links
    for link in links:
        assert set(link["parameters"]) <= {each["name"] for each in named[link["operationId"]]["parameters"]}


def test_a_webhook_is_described_and_its_example_is_right(schema: Any) -> None:
    (webhook,) = schema["webhooks"].values()
    assert {each["name"] for each in webhook["post"]["parameters"]} == set(sign("", "", SECRET, datetime.now(UTC))) - {
        "Content-Type"
    }
    content = webhook["post"]["requestBody"]["content"]["application/json"]
    for named in content["examples"].values():
        check(schema, content["schema"], named["value"])


def test_a_form_has_the_fields_of_the_json(schema: Any) -> None:
    for path in ("/v1/videos", "/v1/videos/edits", "/v1/videos/extensions", "/v1/videos/{id}/remix"):
        content = schema["paths"][path]["post"]["requestBody"]["content"]
        json_, form = (
            schema["components"]["schemas"][content[kind]["schema"]["$ref"].rpartition("/")[2]]
            for kind in ("application/json", "multipart/form-data")
        )
        assert json_["properties"].keys() == form["properties"].keys()
        assert json_["required"] == form["required"]


def _links(operation: Any) -> Iterator[Any]:
    for response in operation["responses"].values():
        yield from response.get("links", {}).values()


@pytest.mark.parametrize(("anonymous", "is_optional"), [("no", False), ("local", True), ("all", True)])
def test_a_key_is_needed_where_the_server_wants_one(
    configure: Callable[..., Any], anonymous: str, is_optional: bool
) -> None:
    configure(anonymous=anonymous)
    paths = generate()["paths"]
    assert ({} in paths["/video"]["post"]["security"]) is is_optional
    assert {"token": []} in paths["/generated-videos/{name}"]["get"]["security"]
    assert {"token": []} not in paths["/video"]["post"]["security"]
    # Operators have one everywhere, and who is not to read may still ask whether the server is ready.
    assert {} not in paths["/models/{name}/load"]["post"]["security"]
    assert {} in paths["/readyz"]["get"]["security"]
    assert "security" not in paths["/healthz"]["get"]


def test_the_highest_priority_is_the_server_s(configure: Callable[..., Any]) -> None:
    configure(max_priority=7)
    assert generate()["components"]["schemas"]["VideoRequest"]["properties"]["priority"]["maximum"] == 7


def test_an_operation_that_is_left_out_stays_out() -> None:
    class Hidden(Schema):
        def is_excluded(self) -> bool:
            return True

    assert Hidden().get_operation("/", "/", "/", "GET", None) is None


def test_examples_are_as_the_schema_says(schema: Any) -> None:
    seen = 0
    for _, operation in operations(schema):
        bodies = [*operation["responses"].values(), operation.get("requestBody", {})]
        for content in (media for body in bodies for media in body.get("content", {}).values()):
            for named in content.get("examples", {}).values():
                check(schema, content["schema"], named["value"])
                seen += 1
    assert seen > 8
