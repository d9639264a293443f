"""URLs of images: none of the private ones is connected to."""

from __future__ import annotations

from tests.bad_inputs.case import Case, refuse
from tests.hostile_host import HOSTS, PUBLIC

SCHEME, SPACE = "not a plain http or https address", "a space, a control character or a backslash"
PLAIN = "Neither an http(s) URL, a data URI nor base64."


def _url(url: str, words: str, *connections: str, name: str = "") -> Case:
    return refuse("start_image", url, words, name=name or url[:60], connections=connections)


def _hostile(path: str, words: str, times: int = 1) -> Case:
    """Behind the one public address, and so connected to."""
    return _url(f"http://images.example/{path}", words, *[PUBLIC] * times)


CASES = [
    *(_url(f"http://{host}/x.png", "") for host in HOSTS),
    *(_url(f"https://{host}/x.png", "") for host in HOSTS[:12]),
    _url("http://127.0.0.1:22/", "does not fetch from"),
    _url("http://100.100.100.200/latest/meta-data", "does not fetch from"),
    _url("http://169.254.169.254/latest/meta-data", "does not fetch from"),
    _url("http://private.example/x.png", "does not fetch from"),
    _url("http://mixed.example/x.png", "does not fetch from"),
    _url("http://rebinding.example/x.png", "does not fetch from"),
    _url("http://metadata.example/x.png", "does not fetch from"),
    _url("http://no-such-host.invalid/x.png", "could not be fetched"),
    _url("file:///etc/passwd", SCHEME),
    _url("gopher://127.0.0.1/", SCHEME),
    _url("ftp://example.com/x.png", SCHEME),
    _url("jar:http://example.com!/x", PLAIN),
    _url("data://text/plain;base64,eA==", SCHEME),
    _url("javascript://alert(1)", SCHEME),
    _url("http+unix://%2Fvar%2Frun%2Fdocker.sock/", SCHEME),
    _url("/etc/passwd", PLAIN),
    _url("../../etc/passwd", PLAIN),
    _url("C:\\images\\x.png", PLAIN),
    _url("//example.com/x.png", PLAIN),
    _url("http:/example.com/x.png", PLAIN),
    _url("http:///x.png", SCHEME),
    _url("http://", SCHEME),
    _url("http://[::1/x.png", SCHEME),
    _url("http://images.example:99999/", SCHEME),
    _url("http://images.example:0/", SCHEME),
    _url("http://images.example:x/", SCHEME),
    _url("http://user:pass@images.example/picture", SCHEME),
    _url("http://user@images.example/picture", SCHEME),
    _url("http://:@images.example/picture", SCHEME),
    _url("http://@images.example/picture", SCHEME),
    _url("http://images.example\\@127.0.0.1/", SPACE),
    _url("http://images.example\\.127.0.0.1/", SPACE),
    _url("http://images.example/a b", SPACE),
    _url("http://images.example/\tb", SPACE),
    _url("http://images.example/\r\nHost: 127.0.0.1", SPACE, name="a line break in a URL"),
    _url("http://images.example/\x7f", "Holds a control character."),
    _url("http://images.example\u2028/", "", name="a line separator in a host"),
    _url("http://images.example/" + "x" * 2048, "longer than 2048 characters"),
    _hostile("missing", "HTTP 404"),
    _hostile("html", "Not a whole PNG, JPEG or WEBP image."),
    _hostile("inward", "does not fetch from"),
    _hostile("file", SCHEME),
    _hostile("loop", "redirects more than 3 times", times=4),
    _hostile("endless", "is larger than 20971520 bytes"),
    _hostile("boast", "is larger than 20971520 bytes"),
    _hostile("slow", "took longer than 1 seconds"),
    _hostile("headers", "took longer than 1 seconds"),
    _hostile("continue", "took longer than 1 seconds"),
    _hostile("bomb", "answered with a content encoding"),
    _hostile("short", "could not be fetched"),
    _hostile("more", "Not a whole PNG, JPEG or WEBP image."),
    _hostile("rubbish", "could not be fetched"),
    Case(
        name="TLS that is none",
        fields={"start_image": "https://images.example/picture"},
        param="start_image",
        words="could not be fetched",
        connections=(PUBLIC,),
    ),
    Case(
        name="a private clip",
        fields={"model": "watchful-clip", "input_reference": "http://127.0.0.1/x.mp4"},
        param="input_reference",
        words="does not fetch from",
    ),
    Case(
        name="a private end image",
        fields={"start_image": "http://images.example/picture", "end_image": "http://127.0.0.1/x.png"},
        param="end_image",
        words="does not fetch from",
        connections=(PUBLIC,),
    ),
    Case(
        name="a URL that another field makes useless",
        fields={"start_image": "http://images.example/picture", "width": -1},
        param="width",
        words="greater than or equal to 1",
    ),
]
