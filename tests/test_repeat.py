"""A generation's whole request: in its answer and in its file, and the same bytes when it is sent again."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from django.core.management import call_command
from PIL import Image

from tests import generations
from tests.clips import encode_clip, greys
from tests.conftest import need
from tests.images import base64_of, data_uri, encode, plain
from tests.server import ROOT, Server
from tests.videos import read
from videoapi import Clip
from videoapi.encoding import ClipError, Encoder, VideoFormat, find_ffmpeg, read_metadata
from videoapi.engine.registry import get_catalog
from videoapi.engine.repeat import whole_request
from videoapi.models import Generation

PNG = plain("red", 100, 80)
MP4 = encode_clip(greys(8))


def digest(server: Server, body: Any) -> str:
    return hashlib.sha256(server.get(body["data"][0]["url"]).body).hexdigest()


def make(server: Server, **fields: Any) -> Any:
    answer = server.post(fields)
    assert answer.status == 200, answer.body
    return server.get(f"/video/{answer.json['id']}").json


def test_the_starters_request_sent_again_makes_the_same_bytes(starter_server: Server) -> None:
    first = make(starter_server, model="video-model", prompt="a red circle moving to the right", size="160x96", step=3)
    request = first["request"]
    assert request == {
        "model": "starter",
        "prompt": "a red circle moving to the right",
        "negative_prompt": "",
        "width": 160,
        "height": 96,
        "num_frames": 16,
        "fps": 8,
        "seed": first["seed"],
        "step": 3,
        "cfg_scale": 4.0,
        "params": {},
    }
    # Another one between the two, so that the model is not in the same state.
    make(starter_server, model="starter", prompt="a blue star", size="64x64", num_frames=9, step=2)
    again = make(starter_server, **request)
    assert again["request"] == request
    assert digest(starter_server, again) == digest(starter_server, first)
    other = make(starter_server, **{**request, "seed": request["seed"] ^ 1})
    assert digest(starter_server, other) != digest(starter_server, first)


def test_options_and_images_are_part_of_it(faulty_server: Server) -> None:
    fields = {"model": "faulty-good", "prompt": "x", "params": {"brightness": "9"}, "seconds": "1.4", "cfg_scale": 2}
    images = {"start_image": data_uri(PNG), "end_image": base64_of(plain("blue"))}
    first = make(faulty_server, **fields, **images)
    request = first["request"]
    assert request["params"] == {"brightness": 9}
    assert (request["num_frames"], request["cfg_scale"]) == (7, 2.0)
    sha256 = hashlib.sha256(PNG).hexdigest()
    assert request["start_image"] == {"sha256": sha256, "bytes": len(PNG), "width": 100, "height": 80}
    again = make(faulty_server, **{**request, **images})
    assert again["request"] == request
    assert digest(faulty_server, again) == digest(faulty_server, first)


def test_a_clip_is_part_of_it_under_the_name_that_it_was_sent_by(faulty_server: Server) -> None:
    fields = {"model": "faulty-clip", "prompt": "x", "fps": 8, "num_frames": 8, "input_reference": base64_of(MP4)}
    first = make(faulty_server, **fields)
    known = {"sha256": hashlib.sha256(MP4).hexdigest(), "bytes": len(MP4), "width": 64, "height": 48}
    assert first["request"]["input_reference"] == known
    again = make(faulty_server, **{**first["request"], "input_reference": base64_of(MP4)})
    assert digest(faulty_server, again) == digest(faulty_server, first)


def test_what_is_known_of_a_file_does_not_pass_for_the_file(faulty_server: Server) -> None:
    request = make(faulty_server, model="faulty-good", prompt="x", start_image=base64_of(PNG))["request"]
    answer = faulty_server.post(request)
    assert (answer.status, answer.error["param"]) == (400, "start_image")
    assert answer.error["message"] == "Send the file itself again; it is not kept, and this only describes it."


def test_a_generation_that_failed_has_its_request_and_the_list_has_none(faulty_server: Server) -> None:
    job = faulty_server.post({"model": "faulty-raise", "prompt": "x", "seed": 3}, Prefer="respond-async").json
    body = faulty_server.wait_for(f"/video/{job['id']}", "failed")
    assert body["request"]["seed"] == 3
    assert "request" not in job
    assert all("request" not in row for row in faulty_server.get("/video").json["data"])


def test_the_file_holds_the_same_request(faulty_server: Server) -> None:
    body = make(faulty_server, model="faulty-good", prompt="a „red“\ncircle", start_image=base64_of(PNG))
    facts = json.loads(read(faulty_server.get(body["data"][0]["url"]).body).metadata["comment"])
    assert facts == {"request": body["request"], "software": "videoapi 0.1.0", "backend": "videoapi-faulty 1.0"}


def test_a_field_that_the_model_does_not_take_is_not_in_it(
    faulty: None, configure: Callable[..., Any], transactional_db: None
) -> None:
    row = generations.make()
    assert whole_request(row)["negative_prompt"] == ""
    catalog = get_catalog()
    entry = catalog.find("faulty-good")
    spec = replace(entry.spec, unsupported=frozenset({"negative_prompt", "step"}))
    catalog._entries["faulty-good"] = replace(entry, spec=spec)
    assert {"negative_prompt", "step"}.isdisjoint(whole_request(row))


def test_the_request_of_a_model_that_is_gone_and_of_an_older_row(
    faulty: None, configure: Callable[..., Any], transactional_db: None
) -> None:
    row = generations.make()
    row.parameters["inputs"] = ["start_image"]
    Generation.objects.filter(pk=row.pk).update(model="gone", parameters=row.parameters)
    row.refresh_from_db()
    request = whole_request(row)
    assert (request["model"], request["start_image"], request["step"]) == ("gone", {}, 4)


def inspect(server: Server, path: Path, *arguments: str) -> str:
    return server.manage("inspect", str(path), *arguments)


def refuse(server: Server, path: Path) -> str:
    done = subprocess.run(
        [server.python, "manage.py", "inspect", path],
        cwd=ROOT,
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr.strip()


def save(server: Server, body: Any, folder: Path) -> Path:
    path = folder / "video.mp4"
    path.write_bytes(server.get(body["data"][0]["url"]).body)
    return path


def run_again(text: str, folder: Path) -> Any:
    """The command that it ends with."""
    need("curl", "curl")
    command = text.strip().splitlines()[-1].replace("curl ", "curl --silent --fail-with-body ", 1)
    return json.loads(subprocess.run(command, shell=True, cwd=folder, check=True, capture_output=True).stdout)


def test_inspect_says_how_a_file_was_made_and_its_command_makes_it_again(faulty_server: Server, tmp_path: Path) -> None:
    prompt = 'it\'s 100 % $HOME `red` \\ "and"\n猫'
    body = make(faulty_server, model="faulty-good", prompt=prompt, params={"brightness": 4})
    path = save(faulty_server, body, tmp_path)
    assert json.loads(inspect(faulty_server, path, "--json"))["request"] == body["request"]
    text = inspect(faulty_server, path)
    lines = text.splitlines()
    assert lines[0].split() == ["model", "faulty-good"]
    assert f"seed             {body['seed']}" in lines
    assert 'params           {"brightness": 4}' in lines
    assert "backend          videoapi-faulty 1.0" in lines
    assert json.dumps(prompt) in lines[1]
    assert digest(faulty_server, run_again(text, tmp_path)) == digest(faulty_server, body)


def test_inspect_names_the_files_that_are_needed(faulty_server: Server, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    # More than one argument of a command may have.
    image = encode(Image.fromarray(noise))
    assert len(image) > 2**18
    fields = {"model": "faulty-good", "prompt": "it's x", "start_image": base64_of(image), "end_image": base64_of(PNG)}
    body = make(faulty_server, **fields)
    text = inspect(faulty_server, save(faulty_server, body, tmp_path))
    sha256 = hashlib.sha256(image).hexdigest()
    assert f"start_image      sha256 {sha256}, bytes {len(image)}, width 400, height 300" in text.splitlines()
    assert "(with the files that it was made of as start_image and end_image in this folder)" in text
    (tmp_path / "start_image").write_bytes(image)
    (tmp_path / "end_image").write_bytes(PNG)
    assert digest(faulty_server, run_again(text, tmp_path)) == digest(faulty_server, body)


def test_where_a_key_is_needed_the_command_has_its_place(
    capsys: pytest.CaptureFixture[str], configure: Callable[..., Any], tmp_path: Path
) -> None:
    configure(anonymous="no", public_url="https://films.example")
    path = write(tmp_path, {"request": {"model": "a", "prompt": "b"}})
    call_command("inspect", path)
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last == (
        "curl https://films.example/video -H 'Content-Type: application/json' -H \"Authorization: Bearer $KEY\" "
        '-d \'{"model": "a", "prompt": "b"}\''
    )


def test_a_strangers_file_gives_no_orders_to_a_terminal_or_a_shell(
    capsys: pytest.CaptureFixture[str], configure: Callable[..., Any], tmp_path: Path
) -> None:
    facts = {"request": {"prompt": "\x1b[2J\u202e'; rm -rf ~ #", "/etc/passwd": {"sha256": "\x1b[2J"}}, "\x1bx": "y"}
    call_command("inspect", write(tmp_path, facts))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "base64" not in out
    assert out.strip().splitlines()[-1].endswith("""'"'"'; rm -rf ~ #", "/etc/passwd": {"sha256": "\\u001b[2J"}}'""")


def write(folder: Path, facts: Any) -> Path:
    path = folder / "video.mp4"
    with Encoder(path, VideoFormat(width=64, height=48, num_frames=3, fps=5), find_ffmpeg(""), facts) as encoder:
        encoder.encode(Clip(frames=[np.full((48, 64, 3), 90, np.uint8)] * 3))
    return path


def test_inspect_says_in_a_sentence_what_a_file_is_not(faulty_server: Server, tmp_path: Path) -> None:
    assert (
        refuse(faulty_server, tmp_path / "none.mp4")
        == "CommandError: none.mp4 cannot be read: No such file or directory."
    )
    (tmp_path / "image.mp4").write_bytes(PNG)
    assert refuse(faulty_server, tmp_path / "image.mp4") == "CommandError: image.mp4 is no mp4."


NOT_OURS = "video.mp4 does not say how it was made: it is not of this server, or VIDEOAPI_EMBED_METADATA was off."


@pytest.mark.parametrize("facts", [None, [1], {"prompt": "x"}, {"request": "x"}, {"request": [1]}])
def test_an_mp4_that_does_not_say_how_it_was_made(tmp_path: Path, facts: Any) -> None:
    with pytest.raises(ClipError) as error:
        read_metadata(write(tmp_path, facts))
    assert str(error.value) == NOT_OURS


def test_an_mp4_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(MP4)
    with pytest.raises(ClipError) as error:
        read_metadata(path)
    assert str(error.value) == NOT_OURS


def test_a_file_that_is_cut_short_anywhere(tmp_path: Path) -> None:
    path = write(tmp_path, {"request": {"prompt": "x"}})
    whole = path.read_bytes()
    assert read_metadata(path) == {"request": {"prompt": "x"}}
    words = set()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(ClipError) as error:
            read_metadata(path)
        words.add(str(error.value))
    assert words <= {f"video.mp4 {what}" for what in ("is empty.", "is cut short.", "is damaged.")} | {NOT_OURS}
    assert "video.mp4 is cut short." in words


def test_a_folder_and_a_file_of_rubbish_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Is a directory"):
        read_metadata(tmp_path)
    rubbish = tmp_path / "video.mp4"
    rubbish.write_bytes(b"\0\0\0\x18ftypisom" + bytes(64))
    with pytest.raises(ClipError, match=r"video\.mp4 "):
        read_metadata(rubbish)


def test_two_files_of_one_request_differ_in_nothing(tmp_path: Path) -> None:
    """Neither the time nor the generation's id is in them."""
    facts = {"request": {"prompt": "x"}}
    first, second = (write(tmp_path, facts).read_bytes() for _ in range(2))
    assert first == second
    with av.open(str(tmp_path / "video.mp4")) as container:
        assert "creation_time" not in container.metadata
