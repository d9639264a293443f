"""Bodies that are no JSON, or none of ours."""

from __future__ import annotations

import gzip
import json

from tests.bad_inputs.case import GOOD, Case

GOOD_BODY = json.dumps(GOOD).encode()


def _body(name: str, body: bytes, words: str, param: str | None = None, status: int = 400, **headers: str) -> Case:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Case(name=name, body=body, words=words, param=param, status=status, headers=named)


def _with(text: str) -> bytes:
    """GOOD's body with that text as its last member."""
    return GOOD_BODY[:-1] + b", " + text.encode() + b"}"


CASES = [
    _body("an open brace", b"{", "not valid JSON"),
    _body("nothing", b"", "required", "model"),
    _body("a blank", b" ", "not valid JSON"),
    _body("a list", b"[]", "Expected a dictionary"),
    _body("a string", b'"x"', "Expected a dictionary"),
    _body("a number", b"1", "Expected a dictionary"),
    _body("true", b"true", "Expected a dictionary"),
    _body("two values", b"{} {}", "not valid JSON"),
    _body("a comma too many", b'{"model": "watchful",}', "not valid JSON"),
    _body("single quotes", b"{'model': 'watchful'}", "not valid JSON"),
    _body("a comment", b'{"model": "watchful" /* */}', "not valid JSON"),
    _body("lists in lists", b"[" * 100_000, "nested too deeply"),
    _body("900 lists in lists", b"[" * 900 + b"]" * 900, "nested too deeply"),
    _body("objects in objects", b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "nested too deeply"),
    _body("params in params", _with('"params": ' + '{"a":' * 40 + "1" + "}" * 40), "nested too deeply"),
    _body("NaN", _with('"num_frames": NaN'), "NaN is not a JSON number"),
    _body("Infinity", _with('"cfg_scale": -Infinity'), "-Infinity is not a JSON number"),
    _body("a number beyond all", _with('"cfg_scale": 1e999'), "Must be a number.", "cfg_scale"),
    _body("an integer of 5000 digits", _with('"seed": ' + "9" * 5000), "not valid JSON"),
    _body("a leading zero", _with('"seed": 012'), "not valid JSON"),
    _body("a hexadecimal number", _with('"seed": 0x10'), "not valid JSON"),
    _body("a key twice", _with('"num_frames": 5, "num_frames": 9'), "the key 'num_frames' stands twice"),
    _body("a key twice in params", _with('"params": {"a": 1, "a": 2}'), "the key 'a' stands twice"),
    _body(
        "a key twice among many",
        ("{" + ",".join(f'"k{number}":1' for number in (*range(90_000), 89_999)) + "}").encode(),
        "the key 'k89999' stands twice",
    ),
    _body("a million keys", b"{" + b",".join(b'"k%d":1' % key for key in range(1_000_000)) + b"}", "100000 values"),
    _body("a million empty lists", b"[" + b",".join([b"[]"] * 1_000_000) + b"]", "100000 values"),
    _body("an unknown key", _with('"num_frame": 5'), "Did you mean 'num_frames'?", "num_frame"),
    _body("an empty key", _with('"": 5'), "Unknown field.", ""),
    _body("__proto__", _with('"__proto__": {"a": 1}'), "Unknown field.", "__proto__"),
    _body("half a character as a key", _with('"\\ud800": 1'), "Unknown field.", "\\ud800"),
    _body("a byte that is no UTF-8", b'{"model": "watchful", "prompt": "\xff"}', "not valid JSON"),
    _body("an overlong encoding", b'{"model": "watchful", "prompt": "\xc0\xaf"}', "not valid JSON"),
    _body("an encoded surrogate", b'{"model": "watchful", "prompt": "\xed\xa0\x80"}', "not valid JSON"),
    _body("a cut character", b'{"model": "watchful", "prompt": "\xe2\x82', "not valid JSON"),
    _body("UTF-16", json.dumps(GOOD).encode("utf-16"), "not valid JSON"),
    _body("UTF-16 without a mark", json.dumps(GOOD).encode("utf-16-le"), "Expecting property name"),
    _body("UTF-32", json.dumps(GOOD).encode("utf-32"), "not valid JSON"),
    _body("a byte order mark", b"\xef\xbb\xbf" + GOOD_BODY, "not valid JSON"),
    _body("a raw line feed in a string", b'{"model": "watchful", "prompt": "a\nb"}', "not valid JSON"),
    _body("plain text", GOOD_BODY, "Unsupported media type", status=415, Content_Type="text/plain"),
    _body("a form", b"model=watchful", "Unsupported", status=415, Content_Type="application/x-www-form-urlencoded"),
    _body("a multipart form", b"--x--", "Unsupported", status=415, Content_Type="multipart/form-data; boundary=x"),
    _body("an endless boundary", b"--", "Unsupported", status=415, Content_Type=f"multipart/x; boundary={'x' * 5000}"),
    _body("no media type", GOOD_BODY, "Unsupported media type", status=415, Content_Type=""),
    _body("another charset", GOOD_BODY, "JSON is UTF-8", status=415, Content_Type="application/json; charset=utf-7"),
    _body("no such charset", GOOD_BODY, "JSON is UTF-8", status=415, Content_Type="application/json; charset=bogus"),
    _body("a type in no charset", GOOD_BODY, "Unsupported media type", status=415, Content_Type="a/b; c*=nope'x'%ff"),
    _body("gzip", gzip.compress(GOOD_BODY), "'gzip' is not read", status=415, Content_Encoding="gzip"),
    _body("a gzip bomb", gzip.compress(bytes(50_000_000)), "is not read", status=415, Content_Encoding="gzip"),
    _body("deflate, br", GOOD_BODY, "is not read", status=415, Content_Encoding="deflate, br"),
    _body("over the limit", b" " * (33 * 2**20), "The body is larger than 33554432 bytes.", status=413),
]  # fmt: skip
