"""A form has texts alone, JSON has numbers and objects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.images import data_uri, plain
from tests.server import Answer, Server

GOOD = {"model": "faulty-good", "prompt": "anything"}


def post_form(server: Server, **fields: str) -> Answer:
    part = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    form = "".join(part.format(name, value) for name, value in {**GOOD, **fields}.items()) + "--x--\r\n"
    return server.post(form.encode(), "/v1/videos", "multipart/form-data; boundary=x")


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("step", "3", 3),
        ("step", "3.0", 3),
        ("seed", "9223372036854775807", 2**63 - 1),
        ("cfg_scale", "2.5", 2.5),
        ("cfg_scale", "1e-05", 1e-05),
        ("cfg_scale", "0.00010000000000000002", 0.00010000000000000002),
        ("params", '{"brightness": 20}', {"brightness": 20}),
    ],
)
def test_a_text_of_a_form_is_what_its_field_wants(faulty_server: Server, field: str, text: str, value: Any) -> None:
    answer = post_form(faulty_server, **{field: text})
    assert answer.status == 200, answer.body
    request = faulty_server.get(f"/video/{answer.json['id']}").json["request"]
    assert request[field] == value


@pytest.mark.parametrize("fields", [{"input_reference": "{}"}, {"input_reference[image_url]": ""}])
def test_an_object_is_a_part_of_json_or_several_fields(faulty_server: Server, fields: dict[str, str]) -> None:
    uri = data_uri(plain("red"))
    (name,) = fields
    text = json.dumps({"image_url": uri}) if name == "input_reference" else uri
    answer = post_form(faulty_server, **{name: text})
    assert answer.status == 200, answer.body
    request = faulty_server.get(f"/video/{answer.json['id']}").json["request"]
    assert request["input_reference"]["width"] == 64


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("step", "three", "Must be an integer."),
        ("step", "1_000", "Must be an integer."),
        ("cfg_scale", "NaN", "Must be a number."),
        ("params", "{", "Is no valid JSON."),
        ("params", "{" * 10_000, "Is no valid JSON."),
        ("params", '{"a": 1, "a": 2}', "Is no valid JSON."),
        ("input_reference", "{]", "Is no valid JSON."),
    ],
)
def test_a_text_that_its_field_cannot_have_is_refused(
    faulty_server: Server, field: str, text: str, message: str
) -> None:
    answer = post_form(faulty_server, **{field: text})
    assert (answer.status, answer.error["param"], answer.error["message"]) == (400, field, message)


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("step", "3", "Must be an integer."),
        ("cfg_scale", "2.5", "Must be a number."),
        ("n", "1", "Must be an integer."),
        ("params", "{}", "Must be an object."),
    ],
)
def test_in_json_a_text_is_no_number(faulty_server: Server, field: str, text: str, message: str) -> None:
    answer = faulty_server.post({**GOOD, field: text}, "/v1/videos")
    assert (answer.status, answer.error["param"], answer.error["message"]) == (400, field, message)


@pytest.mark.parametrize(
    ("part", "param", "message"),
    [
        (b'name="prompt"; filename="p.txt"\r\n\r\na red circle', "prompt", "Must be a text, not a file."),
        (b'name="params[a]"; filename="a"\r\n\r\n1', "params[a]", "Must be a text, not a file."),
        (b'name="negative_prompt"\r\n\r\nun caf\xe9', None, "The form is not in UTF-8."),
        (b'name="caf\xe9"\r\n\r\n1', None, "The form is not in UTF-8."),
        (b'name="input_reference"; filename="caf\xe9.png"\r\n\r\n1', None, "The form is not in UTF-8."),
        (b'name=""\r\n\r\n1', None, "A field of the form has no name."),
    ],
)
def test_nothing_of_a_form_is_changed_or_dropped(
    faulty_server: Server, part: bytes, param: str | None, message: str
) -> None:
    texts = [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in GOOD.items() if name != param]
    form = b"".join(b"--x\r\nContent-Disposition: form-data; %b\r\n" % each for each in [*texts, part]) + b"--x--\r\n"
    answer = faulty_server.post(form, "/v1/videos", "multipart/form-data; boundary=x")
    assert (answer.status, answer.error["param"], answer.error["message"]) == (400, param, message)


def test_a_form_is_in_every_script(faulty_server: Server) -> None:
    prompt = "un café, 猫 and 🐈"
    answer = post_form(faulty_server, prompt=prompt)
    assert answer.json["prompt"] == prompt
