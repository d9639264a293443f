"""The OpenAPI schema has every route and every field, and the server answers as it says."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.openapi import check, generate, operations
from tests.server import Answer, Server, send
from videoapi.api.schema.auto import Schema
from videoapi.serializers import VideoRequestSerializer
from videoapi.urls import urlpatterns

# The same examples each time, as in test_fuzz.
FUZZ = settings(derandomize=True, database=None, deadline=None, max_examples=500)
REQUEST = generate()
SMALL = {"model": "starter", "prompt": "a red circle on a white background", "size": "64x64", "step": 1}
NONE = "00000000-0000-0000-0000-000000000000"


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
    return "/" + re.sub(r"<\w+:(\w+)>", r"{\1}", str(pattern)).replace("{pk}", "{id}")


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


@pytest.fixture(scope="module")
def served(starter_server: Server) -> Any:
    """The schema as a real server has it."""
    return starter_server.get("/schema").json


def test_the_example_requests_are_accepted(starter_server: Server, served: Any) -> None:
    examples = served["paths"]["/video"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert len(examples) > 3
    for name, named in examples.items():
        answer = starter_server.post(named["value"])
        assert answer.status == 200, (name, answer.body)
        check_answer(served, "post", "/video", answer)


def check_answer(served: Any, method: str, path: str, answer: Answer) -> None:
    """The status, the media type, the headers and the body are as the schema has them."""
    described = served["paths"][path][method]["responses"][str(answer.status)]
    for header, each in described.get("headers", {}).items():
        assert header in answer.headers or not each.get("required"), (path, header)
    if "content" not in described:
        assert answer.body == b""
        return
    media_type = answer.headers["Content-Type"].partition(";")[0]
    schema = described["content"][media_type]["schema"]
    if media_type == "application/json":
        check(served, schema, answer.json)
    elif media_type == "text/event-stream":
        check_events(served, schema, answer.body.decode())


def check_events(served: Any, schema: Any, text: str) -> None:
    _, *events = text.strip().split("\n\n")
    assert events
    for event in events:
        fields = dict(line.split(": ", 1) for line in event.splitlines())
        check(served, schema, fields)
        data = served["components"]["schemas"]["Event"]["properties"]["data"]["contentSchema"]
        check(served, data, json.loads(fields["data"]))


@pytest.fixture(scope="module")
def identifier(starter_server: Server) -> str:
    """Of a generation that is completed."""
    return str(starter_server.post(SMALL).json["id"])


@pytest.mark.parametrize(
    ("method", "path", "status", "headers"),
    [
        ("get", "/video", 200, {}),
        ("get", "/video?limit=0", 400, {}),
        ("get", "/video/{id}", 200, {}),
        ("get", "/video/{id}?response_format=b64_json", 200, {}),
        ("get", "/video/{id}?response_format=x", 400, {}),
        ("delete", "/video/{id}", 200, {}),
        ("get", "/video/{id}/events", 200, {}),
        ("get", "/video/{id}/events", 204, {"Last-Event-ID": "9999"}),
        ("get", "/video/{id}/preview", 404, {}),
        ("get", "/generated-videos/{id}.mp4", 200, {}),
        ("get", "/generated-videos/{id}.mp4", 206, {"Range": "bytes=0-9"}),
        ("get", "/generated-videos/{id}.mp4", 304, {"If-None-Match": "*"}),
        ("get", "/generated-videos/{id}.mp4", 412, {"If-Match": '"another"'}),
        ("get", "/generated-videos/{id}.mp4", 416, {"Range": "bytes=99999999-"}),
        ("get", f"/generated-videos/{NONE}.mp4", 404, {}),
        ("get", "/thumbnails/{id}.jpg", 200, {}),
        ("get", "/v1/models", 200, {}),
        ("get", "/v1/models", 200, {"Accept": "video/mp4"}),
        ("get", "/healthz", 200, {}),
        ("get", "/healthz", 400, {"Host": "evil.example"}),
        ("get", "/readyz", 200, {}),
        ("get", "/schema?format=yaml", 200, {}),
        ("get", "/schema?format=toml", 400, {}),
        ("get", "/docs", 200, {}),
        ("post", "/models/starter/load", 401, {}),
    ],
)  # fmt: skip
def test_an_answer_is_as_the_schema_says(
    starter_server: Server, served: Any, identifier: str, method: str, path: str, status: int, headers: dict[str, str]
) -> None:
    url = starter_server.url + path.format(id=identifier)
    answer = send(urllib.request.Request(url, headers=headers, method=method.upper()))
    assert answer.status == status, answer.body
    check_answer(served, method, _template(served, path.partition("?")[0]), answer)


def _template(served: Any, path: str) -> str:
    """The address of the schema that this is one of."""
    fits = [each for each in served["paths"] if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", each), path)]
    assert len(fits) == 1, fits
    return fits[0]


@pytest.mark.parametrize(
    ("body", "status", "headers"),
    [
        (SMALL, 202, {"Prefer": "respond-async"}),
        ({**SMALL, "seed": 2}, 409, {"Idempotency_Key": "schema"}),
        ({**SMALL, "num_frame": 5}, 400, {}),
        (SMALL, 400, {"Idempotency_Key": "é".encode().decode("latin-1")}),
        (b"{}", 415, {"content_type": "text/plain"}),
        (b" " * (33 * 2**20), 413, {}),
    ],
)  # fmt: skip
def test_an_answer_to_a_request_for_a_video_is_as_the_schema_says(
    starter_server: Server, served: Any, body: Any, status: int, headers: dict[str, str]
) -> None:
    if status == 409:
        starter_server.post(SMALL, **headers)
    answer = starter_server.post(body, **headers)
    assert answer.status == status, answer.body
    check_answer(served, "post", "/video", answer)
