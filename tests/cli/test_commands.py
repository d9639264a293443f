"""`videoapi models`, `show` and `cancel`, and who may use them."""

from __future__ import annotations

import json
import tomllib
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal, run
from tests.hosts import serve
from tests.server import ROOT, Server
from tests.test_jobs import GOOD, SLOW
from videoapi.cli.main import main


@pytest.fixture
def slow(faulty_server: Server) -> Iterator[str]:
    """The id of a generation that runs."""
    path = faulty_server.post(SLOW, Prefer="respond-async").headers["Location"]
    faulty_server.wait_until(lambda: faulty_server.get(path).json["step"] > 0, "the generation to run")
    yield path.removeprefix("/video/")
    faulty_server.delete(path)
    faulty_server.wait_for(path, "cancelled")


def test_models_are_a_table_for_people_lines_for_programs_and_json(faulty_server: Server, tmp_path: Path) -> None:
    done = run("models", "--server", faulty_server.url, cwd=tmp_path)
    assert "faulty-good\ttext, first_frame, first_and_last_frame\tyes" in done.stdout.decode().splitlines()
    with Terminal("models", "--server", faulty_server.url, cwd=tmp_path) as terminal:
        assert terminal.wait() == 0
    assert "available" in terminal.text
    assert "faulty-good" in terminal.text
    models = json.loads(run("models", "--json", "--server", faulty_server.url, cwd=tmp_path).stdout)
    assert models == faulty_server.get("/v1/models").json["data"]


def test_a_model_that_cannot_be_asked_for_has_its_reason_and_its_modes_where_they_are_told(tmp_path: Path) -> None:
    models = [
        {"id": "wan", "available": False, "reason": "Its engine is down.", "modes": ["text", "first_frame"]},
        {"id": "starter", "available": True, "modes": ["text"]},
    ]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"object": "list", "data": models}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    with serve(Handler) as address:
        lines = run("models", "--server", address, cwd=tmp_path).stdout.decode().splitlines()
    assert lines == ["wan\ttext, first_frame\tno: Its engine is down.", "starter\ttext\tyes"]


def test_show_tells_how_far_it_is_and_cancel_ends_it(faulty_server: Server, slow: str, tmp_path: Path) -> None:
    shown = run("show", slow, "--server", faulty_server.url, cwd=tmp_path).stdout.decode()
    assert shown.startswith(f"Generation {slow}: denoising, ")
    assert "/200" in shown
    cancelled = run("cancel", slow, "--server", faulty_server.url, cwd=tmp_path).stdout.decode()
    assert cancelled.startswith(f"Generation {slow}: denoising, ")
    assert cancelled.endswith(", to be cancelled.\n")
    faulty_server.wait_for(f"/video/{slow}", "cancelled")
    again = run("cancel", slow, "--server", faulty_server.url, cwd=tmp_path)
    assert (again.returncode, again.stdout.decode()) == (0, f"Generation {slow} was cancelled.\n")


def test_show_of_a_finished_one_says_where_its_video_is(faulty_server: Server, tmp_path: Path) -> None:
    body = faulty_server.post(GOOD).json
    shown = run("show", body["id"], "--server", faulty_server.url, cwd=tmp_path).stdout.decode()
    address = faulty_server.url + body["data"][0]["url"]
    assert shown == f"Generation {body['id']} is completed: {address}\n"
    done = run("show", body["id"], "--json", "--server", faulty_server.url, cwd=tmp_path)
    assert json.loads(done.stdout) == faulty_server.get(f"/video/{body['id']}").json
    failed = faulty_server.post({**GOOD, "model": "faulty-model-error"}, Prefer="respond-async").json["id"]
    faulty_server.wait_for(f"/video/{failed}", "failed")
    shown = run("show", failed, "--server", faulty_server.url, cwd=tmp_path).stdout.decode()
    assert shown == f"Generation {failed} failed: The numbers do not add up.\n"


def test_a_generation_that_is_not_there_is_an_error(faulty_server: Server, tmp_path: Path) -> None:
    nobody = str(uuid.uuid4())
    for command in ("show", "cancel"):
        done = run(command, nobody, "--server", faulty_server.url, cwd=tmp_path)
        message = f"videoapi: There is no generation {nobody} at {faulty_server.url}.\n"
        assert (done.returncode, done.stderr.decode()) == (1, message)
        assert run(command, "../v1/models", "--server", faulty_server.url, cwd=tmp_path).returncode == 2


def test_the_installed_command_is_this_one() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert EntryPoint("videoapi", scripts["videoapi"], "console_scripts").load() is main


def test_a_key_comes_from_the_environment_or_an_option(tmp_path: Path, faulty_plugins: Path) -> None:
    settings = {"VIDEOAPI_PRELOAD": "", "VIDEOAPI_ALLOW_ANONYMOUS": "0"}
    server = Server(tmp_path, faulty_plugins, **settings)
    server.manage("migrate", "--verbosity", "0")
    key = server.manage("createkey", "ann").splitlines()[0]
    with server:
        arguments = ("generate", "anything", "--model", "faulty-good", "--server", server.url)
        done = run(*arguments, "-o", "a.mp4", cwd=tmp_path)
        message = f"videoapi: {server.url} wants an API key: set VIDEOAPI_KEY, or give --key.\n"
        assert (done.returncode, done.stderr.decode()) == (1, message)
        assert run(*arguments, "-o", "a.mp4", cwd=tmp_path, VIDEOAPI_KEY=key).returncode == 0
        assert run(*arguments, "-o", "b.mp4", "--key", key, cwd=tmp_path, VIDEOAPI_KEY="va-wrong").returncode == 0
        wrong = run(*arguments, "-o", "c.mp4", "--key", "va-wrong", cwd=tmp_path).stderr.decode()
        assert wrong == "videoapi: This API key is not valid here; it may have expired or been revoked.\n"
        odd = run(*arguments, "-o", "c.mp4", "--key", "va-\nwrong", cwd=tmp_path).stderr.decode()
        assert odd == "videoapi: The API key holds a character that no key has.\n"
        for name in ("a.mp4", "b.mp4"):
            assert (tmp_path / name).stat().st_size > 500
