"""`videoapi generate` and a real server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.terminal import INTERRUPT, Terminal, environment, run
from tests.images import plain
from tests.server import Server
from tests.videos import read
from videoapi.cli.main import make_parser
from videoapi.cli.request import read_body
from videoapi.serializers import VideoRequestSerializer

STARTER = ("generate", "a red circle moving to the right", "--model", "starter", "--step", "4")
GOOD = ("generate", "anything", "--model", "faulty-good")
SLOW = ("generate", "anything", "--model", "faulty-slow", "--step", "200")
ESCAPE = "\x1b"


def rows(server: Server) -> list[dict[str, object]]:
    found: list[dict[str, object]] = server.get("/video?limit=100").json["data"]
    return found


def test_without_a_terminal_there_are_plain_lines_a_file_and_its_seed(starter_server: Server, tmp_path: Path) -> None:
    done = run(*STARTER, "--seed", "7", "-o", "out.mp4", cwd=tmp_path, VIDEOAPI_SERVER=starter_server.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().startswith("out.mp4  seed 7, 512x512, 16 frames at 8 fps, made in ")
    lines = done.stderr.decode().splitlines()
    assert ESCAPE not in done.stderr.decode()
    assert "completed" in lines
    assert lines[-1] == "Note: Made at 128x128 and enlarged to 512x512."
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert len(read((tmp_path / "out.mp4").read_bytes()).frames) == 16


def test_several_videos_are_files_with_numbers(faulty_server: Server, tmp_path: Path) -> None:
    arguments = (*GOOD, "--n", "2", "--seed", "5", "--server", faulty_server.url)
    done = run(*arguments, "-o", "out.mp4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:3] for line in done.stdout.decode().splitlines()] == [
        ["out-1.mp4", "seed", "5,"],
        ["out-2.mp4", "seed", "6,"],
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out-1.mp4", "out-2.mp4"]
    again = run(*arguments, "-o", "out.mp4", cwd=tmp_path)
    assert (again.returncode, again.stderr.decode()) == (1, "videoapi: 'out-1.mp4' exists; --force overwrites it.\n")
    piped = run(*arguments, "-o", "-", cwd=tmp_path)
    assert piped.stderr.decode() == "videoapi: Several videos are not written to one output; name a file with -o.\n"


def test_of_the_steps_each_tenth_is_a_line(faulty_server: Server, tmp_path: Path) -> None:
    done = run(*SLOW[:-1], "40", "--server", faulty_server.url, cwd=tmp_path)
    lines = [line for line in done.stderr.decode().splitlines() if "denoising" in line]
    assert 3 <= len(lines) <= 11
    # The phase begins before its number of steps is known.
    first, *others = lines
    assert re.fullmatch(r"denoising(, \d+/40)?(, about \d:\d\d left)?", first)
    assert all(re.fullmatch(r"denoising, \d+/40(, about \d:\d\d left)?", line) for line in others)


def test_on_a_terminal_a_bar_is_drawn(faulty_server: Server, tmp_path: Path) -> None:
    arguments = (*SLOW[:-1], "20", "--server", faulty_server.url)
    with Terminal(*arguments, "-o", "out.mp4", cwd=tmp_path) as terminal:
        assert terminal.wait() == 0, terminal.text
    assert "━━━" in terminal.text
    assert re.search(r"denoising .*\b1\d/20", terminal.text)
    assert ESCAPE in terminal.text
    assert "out.mp4  seed " in terminal.text
    assert (tmp_path / "out.mp4").stat().st_size > 500


def test_ctrl_c_cancels_the_generation_and_says_so(faulty_server: Server, tmp_path: Path) -> None:
    with Terminal(*SLOW, "-o", "out.mp4", "--server", faulty_server.url, cwd=tmp_path) as terminal:
        terminal.wait_for("/200")
        terminal.press(INTERRUPT)
        assert terminal.wait() == 130
    (row, *_) = rows(faulty_server)
    assert row["status"] == "cancelled"
    assert "Cancelling; Ctrl-C once more leaves at once." in terminal.text
    assert f"videoapi: Generation {row['id']} was cancelled." in terminal.text
    assert list(tmp_path.iterdir()) == []


def test_a_second_ctrl_c_leaves_at_once(faulty_server: Server, tmp_path: Path) -> None:
    arguments = ("generate", "anything", "--model", "faulty-deaf", "--step", "100", "--server", faulty_server.url)
    with Terminal(*arguments, cwd=tmp_path) as terminal:
        terminal.wait_for("denoising")
        terminal.press(INTERRUPT)
        (row, *_) = rows(faulty_server)
        faulty_server.wait_until(lambda: faulty_server.get(f"/video/{row['id']}").json["cancel_requested"], "a cancel")
        terminal.press(INTERRUPT)
        assert terminal.wait() == 130
    assert faulty_server.get(f"/video/{row['id']}").json["status"] == "in_progress"
    assert f"Left; 'videoapi show {row['id']}' tells whether it is cancelled." in terminal.text
    faulty_server.wait_for(f"/video/{row['id']}", "cancelled")


def test_a_file_that_exists_is_kept_unless_forced(faulty_server: Server, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    out.write_text("mine")
    before = len(rows(faulty_server))
    done = run(*GOOD, "-o", "out.mp4", "--server", faulty_server.url, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, b"videoapi: 'out.mp4' exists; --force overwrites it.\n")
    assert (out.read_text(), len(rows(faulty_server))) == ("mine", before)
    assert run(*GOOD, "-o", "out.mp4", "--force", "--server", faulty_server.url, cwd=tmp_path).returncode == 0
    assert len(read(out.read_bytes()).frames) == 5


def test_a_file_that_appears_meanwhile_is_kept(faulty_server: Server, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    with Terminal(*SLOW[:-1], "10", "-o", "out.mp4", "--server", faulty_server.url, cwd=tmp_path) as terminal:
        terminal.wait_for("denoising")
        out.write_text("mine")
        assert terminal.wait() == 1
    assert "'out.mp4' exists; --force overwrites it." in terminal.text
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out.mp4", "mine")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere/out.mp4", "There is no folder 'nowhere'."),
        ("folder", "'folder' is a folder; name a file in it."),
    ],
)
def test_a_file_that_could_not_be_written_is_refused_before_anything_is_made(
    faulty_server: Server, tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "folder").mkdir()
    before = len(rows(faulty_server))
    done = run(*GOOD, "-o", name, "--server", faulty_server.url, cwd=tmp_path)
    assert (done.returncode, done.stderr.decode()) == (1, f"videoapi: {message}\n")
    assert len(rows(faulty_server)) == before


def test_the_video_goes_to_stdout_but_not_to_a_terminal(faulty_server: Server, tmp_path: Path) -> None:
    done = run(*GOOD, "-o", "-", "--server", faulty_server.url, cwd=tmp_path)
    assert len(read(done.stdout).frames) == 5
    assert "-  seed " in done.stderr.decode()
    with Terminal(*GOOD, "-o", "-", "--server", faulty_server.url, cwd=tmp_path) as terminal:
        assert terminal.wait() == 1
    assert "A video is not written to a terminal; name a file with -o." in terminal.text


def test_for_scripts_there_is_json(faulty_server: Server, tmp_path: Path) -> None:
    done = run(*GOOD, "--seed", "3", "--json", "--server", faulty_server.url, cwd=tmp_path)
    body = json.loads(done.stdout)
    assert (body["seed"], body["status"], body["files"]) == (3, "completed", [f"{body['id']}.mp4"])
    assert body == faulty_server.get(f"/video/{body['id']}").json | {"files": body["files"]}
    assert (tmp_path / body["files"][0]).stat().st_size == len(faulty_server.get(body["data"][0]["url"]).body)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "starte"), "model: Unknown model 'starte'. Did you mean 'starter'?"),
        (("--model", "faulty-good", "--width", "63"), "width: "),
        (("--model", "faulty-model-error"), " failed: The numbers do not add up."),
        (("--model", "faulty-refuse"), " failed: prompt: This model has read enough of it."),
        (("--model", "faulty-good", "--param", "depth"), "--param depth: must be NAME=VALUE."),
        (("--model", "faulty-good", "--start-image", "no.png"), "'no.png' cannot be read: No such file or directory."),
        (("--model", "faulty-good", "--cfg-scale", "nan"), "Infinity and NaN are no numbers that can be sent."),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    faulty_server: Server, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = run("generate", "anything", *arguments, "--server", faulty_server.url, cwd=tmp_path)
    last = done.stderr.decode().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith("videoapi: ")
    assert message in last
    assert done.stdout == b""
    assert list(tmp_path.iterdir()) == []


def test_every_field_of_a_request_is_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("first.png").write_bytes(plain("red"))
    text = (
        "generate prompt --model m --negative-prompt n --start-image first.png --end-image https://example.org/b.png "
        "--input-reference data:image/png;base64,aaaa --width 64 --height 48 --size 64x48 --num-frames 5 --fps 8 "
        "--seconds 1.5 --seed 0 --cfg-scale 2.5 --step 3 --priority -1 --n 2 --webhook-url https://example.org/hook "
        '--param sampler=heun --param brightness=3 --param loras={"a":0.5}'
    )
    body = read_body(make_parser().parse_args(text.split()))
    assert {*body, "response_format"} == set(VideoRequestSerializer().fields)
    assert body["start_image"].startswith("iVBORw0KGgo")
    assert (body["end_image"], body["seed"], body["priority"]) == ("https://example.org/b.png", 0, -1)
    assert body["params"] == {"sampler": "heun", "brightness": 3, "loras": {"a": 0.5}}


def test_what_is_left_out_is_not_sent() -> None:
    assert read_body(make_parser().parse_args(["generate", "p", "--model", "m"])) == {"prompt": "p", "model": "m"}


def test_images_and_params_reach_the_model(faulty_server: Server, tmp_path: Path) -> None:
    (tmp_path / "first.png").write_bytes(plain("red"))
    arguments = ("--start-image", "first.png", "--param", "brightness=20", "-o", "out.mp4")
    done = run(*GOOD, *arguments, "--server", faulty_server.url, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    frame = read((tmp_path / "out.mp4").read_bytes()).frames[0]
    assert frame[..., 0].mean() > 200 > 60 > frame[..., 2].mean()


def test_it_starts_without_django_and_without_rich() -> None:
    code = "import sys, videoapi.cli.main; print([name for name in ('django', 'rich', 'numpy') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), cwd=os.sep, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
