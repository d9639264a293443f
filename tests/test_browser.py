"""What people see: the video plays and seeks in Chromium, and the admin shows it."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.hosts import serve
from tests.server import Server

SCRIPT = "<script>window.pwned=1</script><img src=x onerror=window.pwned=1>'\"</textarea></pre>"
HOSTILE = "00000000-0000-4000-8000-000000000001"
# Every field of text, one script each.
ROWS = f"""
from django.utils import timezone
from videoapi.models import APIKey, Generation, State, Worker, issue_key
text = {SCRIPT!r}
key, _ = issue_key(text)
Worker.objects.create(
    name=text[:100], slots=[[text]], last_seen=timezone.now(), loaded=[{{"model": text, "memory_mib": 1}}],
    unavailable={{text: text}},
)
Generation.objects.create(
    pk="{HOSTILE}", model=text, client=text, api_key=key, prompt=text, seed=1, width=64, height=48, num_frames=5, fps=5,
    parameters={{"negative_prompt": text, "num_inference_steps": 4, "guidance_scale": 5.0, "params": {{text: text}}}},
    warnings=[text], state=State.FAILED, worker=text, error_code=text[:40], error_field=text[:40], error_message=text,
    log=text, phase=text[:20], detail=text, events=[{{"status": text, "phase": text, "attempt": 1, "at": text}}],
    timings={{text: 1.0}},
)
"""
USER, PASSWORD = "operator", "not-a-secret"

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


class _Trap(BaseHTTPRequestHandler):
    """A site with a form for a server of whoever opens it."""

    target = ""

    def do_GET(self) -> None:
        form = f"""<form method=post enctype="multipart/form-data" action="{self.target}/v1/videos">
            <input name=model value=faulty-good><input name=prompt value=trapped></form>
            <script>document.forms[0].submit()</script>"""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(form.encode())

    def log_message(self, *arguments: Any) -> None:
        """Quiet."""


def test_a_page_of_another_site_cannot_order_a_video(page: Any, faulty_server: Server) -> None:
    trap = type("Trap", (_Trap,), {"target": faulty_server.url})
    with serve(trap) as url, page.expect_response(f"{faulty_server.url}/v1/videos") as answer:
        page.goto(url)
    assert answer.value.status == 403
    assert "A web page of another site needs an API key" in answer.value.text()
    assert "trapped" not in faulty_server.get("/v1/videos").body.decode()


@pytest.fixture(scope="module")
def video(faulty_server: Server) -> Any:
    """A video with a seed that paints, of two seconds."""
    request = {"model": "faulty-good", "prompt": "anything", "size": "320x240", "seconds": "2", "fps": 10, "seed": 3}
    return faulty_server.post(request).json


def test_the_video_plays_and_seeks(page: Any, faulty_server: Server, video: Any) -> None:
    ranges = []
    page.on("response", lambda response: ranges.append(response.status) if ".mp4" in response.url else None)
    page.goto(f"{faulty_server.url}/healthz")
    state = page.evaluate(
        """async (url) => {
            const video = document.createElement('video');
            video.muted = true;
            video.src = url;
            document.body.append(video);
            await video.play();
            const event = (name) => new Promise((done) => video.addEventListener(name, done, {once: true}));
            await event('timeupdate');
            const played = video.currentTime;
            video.pause();
            const seeked = event('seeked');
            video.currentTime = 1.5;
            await seeked;
            return {
                ready: video.readyState, width: video.videoWidth, height: video.videoHeight,
                duration: video.duration, played, position: video.currentTime,
            };
        }""",
        faulty_server.url + video["data"][0]["url"],
    )
    assert state["ready"] >= 2  # HAVE_CURRENT_DATA
    assert (state["width"], state["height"], state["duration"]) == (320, 240, 2)
    assert state["played"] > 0
    assert state["position"] == 1.5
    assert 206 in ranges


def test_the_admin_shows_the_generation_and_plays_it(
    page: Any, faulty_server: Server, video: Any, tmp_path: Path
) -> None:
    faulty_server.environment |= {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    faulty_server.manage("createsuperuser", "--noinput", "--username", USER, "--email", "operator@example.com")
    page.goto(f"{faulty_server.url}/admin/videoapi/generation/")
    page.fill("#id_username", USER)
    page.fill("#id_password", PASSWORD)
    page.click("input[type=submit]")
    assert page.locator("td.field-state").first.inner_text() == "Completed"
    assert page.evaluate("document.querySelector('td.field-preview img, th.field-preview img').naturalWidth") == 320
    page.screenshot(path=tmp_path / "list.png")
    page.goto(f"{faulty_server.url}/admin/videoapi/generation/{video['id']}/change/")
    page.wait_for_function("document.querySelector('video').readyState >= 1")
    assert page.evaluate("document.querySelector('video').videoWidth") == 320
    assert "seed" in page.inner_text("#content")
    page.screenshot(path=tmp_path / "generation.png")


def test_the_admin_follows_a_running_generation(page: Any, faulty_server: Server, tmp_path: Path) -> None:
    """Logged in by the test before."""
    body = {"model": "faulty-slow", "prompt": "anything", "step": 60}
    path = faulty_server.post(body, Prefer="respond-async").headers["Location"]
    page.goto(f"{faulty_server.url}/admin/")
    assert "videoapi-starter" in page.inner_text("#content")
    page.screenshot(path=tmp_path / "front.png")
    page.goto(f"{faulty_server.url}/admin/videoapi/generation/")
    seen = []
    for _ in range(2):
        condition = "(least) => (document.querySelector('progress')?.value ?? 0) > least"
        page.wait_for_function(condition, arg=max(seen, default=0))
        seen.append(page.evaluate("document.querySelector('progress').value"))
    page.screenshot(path=tmp_path / "live.png")
    # Django's own script still has hold of the boxes after the page has been renewed under it.
    page.click("#action-toggle")
    assert page.locator(".action-select:checked").count() == page.locator(".action-select").count() > 0
    page.goto(f"{faulty_server.url}/admin/videoapi/generation/{path.rpartition('/')[2]}/change/")
    page.wait_for_selector("progress")
    page.wait_for_selector("video")
    assert "Completed" in page.inner_text("#content")


def test_scripts_in_texts_are_shown_and_not_run(page: Any, faulty_server: Server) -> None:
    """Logged in by the test before; every text that a client, a model or a worker can choose holds a script."""
    faulty_server.manage("shell", "--no-imports", "-c", ROWS)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    base = f"{faulty_server.url}/admin/videoapi"
    for path in (
        "generation/",
        f"generation/{HOSTILE}/change/",
        f"generation/?q={quote(SCRIPT)}",
        f"generation/?model={quote(SCRIPT)}",
        "worker/",
        "worker/<name>/change/",
        "apikey/",
        "../",
    ):
        if "<name>" in path:
            page.goto(f"{base}/worker/")
            page.click("th.field-name a >> nth=-1")
        else:
            page.goto(f"{base}/{path}")
        assert page.evaluate("window.pwned === undefined"), path
        assert page.locator("img[src='x']").count() == 0, path
    page.goto(f"{base}/generation/{HOSTILE}/change/")
    shown = page.content()
    assert shown.count("&lt;img src=x") >= 9
    assert errors == []


def test_the_documentation_shows_every_operation_and_asks_no_other_server(
    page: Any, faulty_server: Server, tmp_path: Path
) -> None:
    """Logged in by a test before, which the page makes no use of."""
    key = faulty_server.manage("createkey", "reader").splitlines()[0]
    asked: list[Any] = []
    words: list[str] = []
    page.on("request", lambda request: asked.append(request))
    page.on("console", lambda message: words.append(message.text))
    page.goto(f"{faulty_server.url}/docs")
    page.wait_for_selector(".opblock")
    schema = faulty_server.get("/schema").json
    shown = page.locator(".opblock-summary-path").evaluate_all("each => each.map(one => one.dataset.path)")
    documented = [path for path, methods in schema["paths"].items() for _ in methods]
    assert sorted(shown) == sorted([*documented, *schema["webhooks"]])
    page.screenshot(path=tmp_path / "documentation.png", full_page=True)

    page.click("button.authorize")
    page.screenshot(path=tmp_path / "authorize.png")
    page.fill("#auth-bearer-value", key)
    page.click("button.auth.authorize >> nth=0")
    page.click("button.btn-done")
    page.click("#operations-Models-listModels button.opblock-summary-control")
    page.click("button.try-out__btn")
    page.click("button.execute")
    page.wait_for_selector(".live-responses-table tr.response")
    assert page.inner_text(".live-responses-table tr.response .response-col_status").split()[0] == "200"
    assert "faulty-good" in page.inner_text(".live-responses-table tr.response .response-col_description")
    last = asked[-1].all_headers()
    assert (last["authorization"], last.get("cookie")) == (f"Bearer {key}", None)
    page.screenshot(path=tmp_path / "answer.png", full_page=True)

    elsewhere = [each.url for each in asked if not each.url.startswith((faulty_server.url, "data:", "blob:"))]
    assert elsewhere == []
    assert [each for each in words if "Content Security Policy" in each or "Failed to load" in each] == []
