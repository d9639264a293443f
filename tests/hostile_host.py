"""A web server on loopback that serves one picture, and does everything that a bad one does."""

from __future__ import annotations

import contextlib
import gzip
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.images import plain

BOMB = gzip.compress(bytes(50_000_000))
FOREVER = 10_000
# An address that nobody here is connected to, and those to which no server may connect.
PUBLIC = "93.184.216.34"

HOSTS = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[fe80::1]", "[fe80::1%25eth0]", "[fec0::1]",
    "[fd00:ec2::254]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[ff02::1]", "100.64.0.1", "100.100.100.200",
    "169.254.169.254", "10.0.0.1", "172.16.0.1", "192.168.1.1", "192.0.0.8", "192.88.99.1", "198.18.0.1",
    "168.63.129.16", "224.0.0.1", "240.0.0.1", "255.255.255.255", "localhost", "localhost.", "LOCALHOST",
    "127。0。0。1", "１２７.0.0.1", "①②⑦.0.0.1",
]  # fmt: skip


class HostileHandler(BaseHTTPRequestHandler):
    """`/word` is answered by the method `send_word`."""

    def do_GET(self) -> None:
        with contextlib.suppress(OSError):
            getattr(self, f"send_{self.path.strip('/').split('/')[0]}")()
        self.close_connection = True

    def do_POST(self) -> None:
        self.do_GET()

    def send_picture(self) -> None:
        self.answer(200, plain("red"))

    def send_missing(self) -> None:
        self.answer(404, b"")

    def send_html(self) -> None:
        self.answer(200, b"<html>", **{"Content-Type": "text/html"})

    def send_redirect(self) -> None:
        self.answer(302, b"", Location="/picture")

    def send_loop(self) -> None:
        self.answer(302, b"", Location="/loop")

    def send_nowhere(self) -> None:
        self.answer(302, b"")

    def send_file(self) -> None:
        self.answer(302, b"", Location="file:///etc/passwd")

    def send_inward(self) -> None:
        self.answer(302, b"", Location="http://169.254.169.254/latest/meta-data")

    def send_downgrade(self) -> None:
        self.answer(302, b"", Location=f"http://{self.headers['Host']}/picture")

    def send_endless(self) -> None:
        self.begin()
        while True:
            self.wfile.write(b"x" * 10_000)

    def send_slow(self) -> None:
        self.begin()
        self.trickle(b"x" * FOREVER)

    def send_headers(self) -> None:
        self.trickle(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * FOREVER)

    def send_continue(self) -> None:
        self.trickle(b"HTTP/1.1 100 Continue\r\n\r\n" * FOREVER, size=25)

    def send_silent(self) -> None:
        time.sleep(1)

    def send_bomb(self) -> None:
        self.answer(200, BOMB, **{"Content-Encoding": "gzip"})

    def send_short(self) -> None:
        self.begin(**{"Content-Length": "5000"})
        self.wfile.write(b"x" * 10)

    def send_more(self) -> None:
        """More than it says: what is behind the length is not read."""
        self.begin(**{"Content-Length": "10"})
        self.wfile.write(plain("red") + b"x" * 1_000_000)

    def send_boast(self) -> None:
        self.begin(**{"Content-Length": "9" * 30})

    def send_rubbish(self) -> None:
        self.wfile.write(b"\0\xff" * 100 + b"\r\n\r\n")

    def begin(self, **headers: str) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def trickle(self, data: bytes, size: int = 1) -> None:
        for start in range(0, len(data), size):
            self.wfile.write(data[start : start + size])
            time.sleep(0.05)

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Quiet."""
