"""The schema and the page that shows it, for everybody and from this server alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from django.test import Client

import videoapi
from tests.openapi import generate


@pytest.fixture(autouse=True)
def closed(configure: Callable[..., Any]) -> None:
    """The server wants keys."""
    configure(anonymous="no")


def test_the_schema_needs_no_key_and_is_that_of_this_version(client: Client) -> None:
    answer = client.get("/schema")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json()["openapi"].startswith("3.1.")
    assert answer.json()["info"]["version"] == videoapi.__version__
    assert answer.json() == generate()


def test_the_schema_as_yaml_is_the_same(client: Client) -> None:
    answer = client.get("/schema?format=yaml")
    assert answer.headers["Content-Type"] == "application/yaml; charset=utf-8"
    assert yaml.safe_load(answer.content) == client.get("/schema?format=json").json()


def test_another_format_is_a_400_that_names_those_that_there_are(client: Client) -> None:
    answer = client.get("/schema?format=toml")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "format")
    assert answer.json()["error"]["message"] == "Must be one of: json, yaml."


def test_the_page_needs_no_key_and_names_no_other_server(client: Client) -> None:
    answer = client.get("/docs")
    page = answer.content.decode()
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "//" not in re.sub(r"<!DOCTYPE html>", "", page)
    assert "<script>" not in page
    assert "csrftoken" not in answer.cookies


@pytest.mark.parametrize("path", ["/schema", "/docs"])
def test_what_they_refuse_is_json(client: Client, path: str) -> None:
    answer = client.post(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
