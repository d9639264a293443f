"""The command line when the server is away, full, or loses its answers."""

from __future__ import annotations

import io
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.cli.proxy import stand_before
from tests.cli.terminal import INTERRUPT, Terminal, run
from tests.hosts import serve
from tests.server import Server, find_free_port
from tests.videos import read
from videoapi.cli.client import Client, Refusal

GOOD = ("generate", "anything", "--model", "faulty-good", "-o", "out.mp4")
SLOW = {"model": "faulty-slow", "prompt": "anything", "step": 200}


def count(server: Server) -> int:
    return len(server.get("/video?limit=100").json["data"])


def test_without_a_server_it_says_how_to_have_one(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{find_free_port()}"
    done = run(*GOOD, cwd=tmp_path, VIDEOAPI_SERVER=address)
    message = f"videoapi: No server answers at {address}; start one with 'make serve', or name another with --server.\n"
    assert (done.returncode, done.stderr.decode()) == (1, message)


def test_what_is_no_address_is_said(tmp_path: Path) -> None:
    for address in ("ftp://127.0.0.1", "http://a b", "http://[::1", "http://a..b"):
        done = run("models", "--server", address, cwd=tmp_path)
        assert f"'{address}' is not the address of a server, such as http://127.0.0.1:8080." in done.stderr.decode()


def test_another_web_server_is_not_taken_for_ours(tmp_path: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/v1/models" else 404)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"hi")

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    with serve(Handler) as address:
        for arguments, status in ((("models",), 200), (GOOD, 404)):
            done = run(*arguments, "--server", address, cwd=tmp_path)
            assert (
                done.stderr.decode()
                == f"videoapi: {address} answers with {status}, and not as videoapi does; is --server right?\n"
            )


def test_an_answer_of_another_api_is_not_taken_for_ours(tmp_path: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    with serve(Handler) as address:
        assert "not as videoapi does" in run("models", "--server", address, cwd=tmp_path).stderr.decode()


def test_a_post_is_not_redirected_and_a_key_is_not_sent_elsewhere() -> None:
    keys = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.append(self.headers.get("Authorization"))
            self.send_response(301 if self.command == "POST" else 200)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    with serve(Handler) as address, serve(Handler) as other:
        client = Client(address, "va-key")
        with pytest.raises(Refusal, match="answers with 301, and not as videoapi does"):
            client.submit({}, "k")
        client.download("/a.mp4", io.BytesIO())
        client.download(f"{other}/a.mp4", io.BytesIO())
    assert keys == ["Bearer va-key", "Bearer va-key", None]


def test_an_answer_that_is_lost_does_not_make_a_second_video(faulty_server: Server, tmp_path: Path) -> None:
    before = count(faulty_server)
    with stand_before(faulty_server, {"POST /video": ["lose"]}) as (address, asked):
        done = run(*GOOD, "--server", address, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"The connection to {address} was lost. Trying again." in done.stderr.decode()
    assert asked.count("POST /video") == 2
    assert count(faulty_server) == before + 1


def test_a_stream_that_is_refused_or_lost_is_made_up_for(faulty_server: Server, tmp_path: Path) -> None:
    with stand_before(faulty_server, {"/events": [429, "lose"]}) as (address, asked):
        done = run("generate", "anything", "--model", "faulty-slow", "--step", "60", "--server", address, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "completed" in done.stderr.decode()
    assert len([name for name in asked if name.endswith("/events")]) == 2


def test_half_a_file_is_fetched_again(faulty_server: Server, tmp_path: Path) -> None:
    with stand_before(faulty_server, {".mp4": ["halve"]}) as (address, asked):
        done = run(*GOOD, "--server", address, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len([name for name in asked if name.endswith(".mp4")]) == 2
    assert len(read((tmp_path / "out.mp4").read_bytes()).frames) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_server_that_answers_with_an_error_later_ends_it(faulty_server: Server, tmp_path: Path) -> None:
    with stand_before(faulty_server, {".mp4": [500]}) as (address, _):
        done = run(*GOOD, "--server", address, cwd=tmp_path)
    assert (done.returncode, done.stderr.decode().splitlines()[-1]) == (1, "videoapi: Spoiled.")
    assert list(tmp_path.iterdir()) == []


def test_it_waits_as_long_as_a_full_server_says(faulty_server: Server, tmp_path: Path) -> None:
    with stand_before(faulty_server, {"POST /video": [429, 429]}) as (address, asked):
        done = run(*GOOD, "--server", address, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.decode().count("Spoiled. Trying again in 1 seconds.") == 2
    assert asked.count("POST /video") == 3


def test_ctrl_c_before_anything_is_accepted_leaves_nothing(tmp_path: Path, faulty_plugins: Path) -> None:
    with Server(tmp_path, faulty_plugins, VIDEOAPI_PRELOAD="", VIDEOAPI_MAX_QUEUED="1") as server:
        paths = [server.post(SLOW, Prefer="respond-async").headers["Location"]]
        server.wait_for(paths[0], "in_progress")
        paths.append(server.post(SLOW, Prefer="respond-async").headers["Location"])
        with Terminal(*GOOD, "--server", server.url, cwd=tmp_path) as terminal:
            terminal.wait_for("Trying again in ")
            terminal.press(INTERRUPT)
            assert terminal.wait() == 130
        assert "videoapi: Nothing had been accepted: " in terminal.text
        assert count(server) == 2
        for path in paths:
            server.delete(path)


def test_it_goes_on_when_the_server_is_back(tmp_path: Path, faulty_plugins: Path) -> None:
    """The generation is handed back at the stop and made anew by the next server."""
    settings = {"VIDEOAPI_PRELOAD": "", "VIDEOAPI_GRACE_SECONDS": "1"}
    arguments = ("generate", "anything", "--model", "faulty-slow", "--step", "100", "-o", "out.mp4")
    with (
        Server(tmp_path, faulty_plugins, **settings) as server,
        Terminal(*arguments, "--server", server.url, cwd=tmp_path) as terminal,
    ):
        terminal.wait_for("/100")
        server.stop()
        terminal.wait_for("Trying again.")
        server.start()
        assert terminal.wait(120) == 0, terminal.text
        assert [row["status"] for row in server.get("/video").json["data"]] == ["completed"]
    assert len(read((tmp_path / "out.mp4").read_bytes()).frames) == 5
