"""Real processes print; what is kept of it, and what is passed on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.generations import until
from videoapi.engine.output import LAST_LENGTH, LINE_LENGTH, LINES, LOG_BYTES, LOG_FORMAT, Output, hide_paths

Start = Callable[[str], tuple[subprocess.Popen[bytes], Output]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Runs Python code that prints into an Output. `write` writes bytes as they are."""
    started = []

    def start(code: str) -> tuple[subprocess.Popen[bytes], Output]:
        command = [sys.executable, "-u", "-c", f"import os, sys, time\nwrite = lambda data: os.write(1, data)\n{code}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
        assert process.stdout is not None
        started.append(process)
        return process, Output(process.stdout)

    yield start
    for process in started:
        process.kill()
        process.wait()
    until(lambda: all(process.stdout is None or process.stdout.closed for process in started))


@pytest.fixture
def printed(start: Start) -> Callable[[str], Output]:
    """What is left when the code has run."""

    def printed(code: str) -> Output:
        process, output = start(code)
        assert process.wait(30) == 0
        return output

    return printed


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"one\ntwo\n", "one\ntwo"),
        (b"no end", "no end"),
        (b"windows\r\nends\r\n", "windows\nends"),
        (b"0%\r50%\r100%\ndone\n", "100%\ndone"),
        (b"\r0%\r50%", "50%"),
        (b"0%\r50%\r", "50%"),
        (b"a\0b \xff \xc3\xa9\n", "ab \ufffd \xe9"),
        (b"\x1b[31mred\x1b[0m\n", "red"),
        (b"\n\n", ""),
        (b"", ""),
    ],
)
def test_lines_are_kept_as_a_terminal_shows_them_in_the_end(
    printed: Callable[[str], Output], data: bytes, text: str
) -> None:
    assert printed(f"write({data!r})").text() == text
    bit_by_bit = f"for number in {data!r}:\n  write(bytes([number]))\n  time.sleep(0.005)"
    assert printed(bit_by_bit).text() == text


def test_the_last_lines_are_kept_and_long_ones_cut(printed: Callable[[str], Output]) -> None:
    assert printed("for number in range(1000): print(number)").text().split("\n") == [
        str(number) for number in range(1000 - LINES, 1000)
    ]
    lines = printed("for number in range(1000): print(number, '\xe9' * 300)").text().split("\n")
    assert len("\n".join(lines).encode()) <= LOG_BYTES
    assert [line.split()[0] for line in lines] == [str(number) for number in range(1000 - len(lines), 1000)]
    assert {len(line) for line in lines} == {304}
    assert printed("write(b'x' * 3_000_000)").text() == "x" * (LINE_LENGTH - 1) + "…"


def test_what_was_printed_before_a_clear_is_forgotten_even_if_nobody_has_read_it(start: Start) -> None:
    process, output = start("print('earlier'); print('half', end=''); time.sleep(60)")
    until(lambda: "half" in output.text())
    output.clear()
    assert output.text() == ""
    process.kill()
    process, output = start("write(b'earlier\\nhalf')")
    with output._lock:
        process.wait(30)
    output.clear()
    assert output.text() == ""


def test_it_is_passed_on_as_it_comes(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    start("print('half a line', end=''); time.sleep(60)")
    seen: list[str] = []
    until(lambda: seen.append(capfd.readouterr().err) or "half a line" in "".join(seen))  # type: ignore[func-returns-value]


def test_its_thread_and_its_descriptor_go_when_the_process_ends(start: Start) -> None:
    descriptors, threads = psutil.Process().num_fds(), threading.active_count()
    processes = [start("time.sleep(60)")[0] for _ in range(3)]
    assert psutil.Process().num_fds() == descriptors + 3
    for process in processes:
        process.kill()
        process.wait()
    until(lambda: threading.active_count() == threads and psutil.Process().num_fds() == descriptors)


def test_what_a_dead_process_has_started_does_not_delay_its_last_words(start: Start) -> None:
    code = "import subprocess; child = subprocess.Popen(['sleep', '60']); print(child.pid); print('too bad')"
    process, output = start(code)
    process.wait(30)
    started = time.monotonic()
    pid, words = output.text().split("\n")
    assert words == "too bad"
    assert time.monotonic() - started < 1
    os.kill(int(pid), 9)


@pytest.mark.parametrize("stderr", ["closed at the start", "closed later", "without a reader", "full"])
def test_a_process_is_not_held_up_by_our_own_stderr(stderr: str, tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys\n"
        "from videoapi.engine.output import Output\n"
        f"{'os.close(2)' if stderr == 'closed later' else ''}\n"
        "command = [sys.executable, '-c', 'print(\"x\\\\n\" * 500_000, end=\"the end\")']\n"
        "process = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0)\n"
        "output = Output(process.stdout)\n"
        "assert process.wait(30) == 0\n"
        "print(output.text()[-7:])\n"
    )
    reader, writer = os.pipe()
    if stderr == "without a reader":
        os.close(reader)
    command = [sys.executable, "-c", code]
    if stderr == "closed at the start":
        command = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=writer, timeout=60, text=True)
    finally:
        os.close(writer)
        if stderr != "without a reader":
            os.close(reader)
    assert (done.returncode, done.stdout) == (0, "the end\n")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], ""),
        (["", "  ", ""], ""),
        (["one", "two", "", "three", "four", " "], "two | three | four"),
        (["/srv/build/wan.hpp:2198: invalid num_layers"], "wan.hpp:2198: invalid num_layers"),
        (
            ["GGML_ASSERT(a) failed", "/srv/lib/libggml.so(ggml_abort+0x152)[0x7f5a]", "#3  0x00 in main ()"],
            "GGML_ASSERT(a) failed",
        ),
        (["b" * 400], "b" * (LAST_LENGTH - 1) + "…"),
        (["a" * 200, "b" * 200], "b" * 200),
    ],
)
def test_the_last_words_are_the_last_lines_that_say_something(
    printed: Callable[[str], Output], lines: list[str], words: str
) -> None:
    assert printed(f"print(*{lines!r}, sep='\\n')").last_words() == words


def test_the_last_line_is_what_a_terminal_would_show(printed: Callable[[str], Output]) -> None:
    assert printed("print('ready\\n\\n')").last_line() == "ready"
    assert printed("print('shards:  10%', end='\\rshards:  20%')").last_line() == "shards:  20%"
    assert printed("").last_line() == ""


def test_the_last_words_are_without_time_level_and_name(printed: Callable[[str], Output]) -> None:
    code = (
        f"import logging; logging.basicConfig(level=5, format={LOG_FORMAT.format(model='wan 2.1/a')!r})\n"
        "logging.warning('no layers'); logging.log(7, 'at all'); print('[wan] ends')"
    )
    assert printed(code).last_words() == "no layers | at all | [wan] ends"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cannot open /srv/models/wan/vae.safetensors: no such file", "cannot open vae.safetensors: no such file"),
        ("see https://example.org/a/b and 3/4 of a/b", "see https://example.org/a/b and 3/4 of a/b"),
        ("'/home/me/x/' is a folder", "'' is a folder"),
        ("failed:/srv/models/wan.gguf", "failed:wan.gguf"),
        ("nothing", "nothing"),
    ],
)
def test_a_models_words_name_no_folders_of_the_server(text: str, expected: str) -> None:
    assert hide_paths(text) == expected
