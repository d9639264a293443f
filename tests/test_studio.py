"""The page at `/` in a real browser: its form is the model's, and its videos follow what happens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest
from playwright.sync_api import expect

from tests.clips import encode_clip, greys
from tests.images import plain
from tests.server import Server, send
from tests.studio import generate, open_studio, wait_for_form, wait_for_video, write

SCRIPT = "<img src=x onerror=window.pwned=1><script>window.pwned=1</script>"

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture
def studio(page: Any, faulty_server: Server) -> Any:
    """The page with its form; whatever it made before is gone."""
    for each in faulty_server.get("/video?limit=100").json["data"]:
        faulty_server.delete(f"/v1/videos/{each['id']}")
    open_studio(page, faulty_server)
    return page


def test_a_video_is_made_shown_and_used_again(studio: Any, faulty_server: Server, tmp_path: Path) -> None:
    studio.locator("#empty").wait_for()
    write(studio, prompt="a first try", width=96, height=64, num_frames=6, fps=3, seed=7, cfg_scale=2.5)
    assert studio.inner_text("#duration") == "2 seconds"
    studio.click("#params summary")
    studio.select_option("[data-param=scheduler]", label="heun")
    studio.fill("[data-param=brightness]", "20")
    identifier, sent = generate(studio)
    assert sent == {
        "model": "faulty-good",
        "prompt": "a first try",
        "width": 96,
        "height": 64,
        "num_frames": 6,
        "fps": 3,
        "seed": 7,
        "cfg_scale": 2.5,
        "params": {"scheduler": "heun", "brightness": 20},
    }
    state = wait_for_video(studio).evaluate(
        """async (video) => {
            await video.play();
            return {width: video.videoWidth, height: video.videoHeight, duration: video.duration};
        }"""
    )
    assert state == {"width": 96, "height": 64, "duration": 2}
    assert studio.inner_text("article .prompt") == "a first try"
    assert studio.inner_text("article .facts") == "faulty-good, 96x64, 6 frames at 3 fps, seed 7"
    with studio.expect_download() as download:
        studio.click("text=Download")
    assert download.value.suggested_filename == f"{identifier}.mp4"
    assert download.value.path().read_bytes() == faulty_server.get(f"/generated-videos/{identifier}.mp4").body
    studio.screenshot(path=tmp_path / "studio.png", full_page=True)

    studio.reload()
    studio.click("article >> text=Use again")
    expect(studio.locator("[name=prompt]")).to_have_value("a first try")
    again, sent_again = generate(studio)
    assert sent_again == {**sent, "step": 4, "params": {**sent["params"]}}
    studio.locator("article >> nth=1").wait_for()
    assert faulty_server.wait_for(f"/video/{again}", "completed")["seed"] == 7
    files = [faulty_server.get(f"/generated-videos/{each}.mp4").body for each in (identifier, again)]
    assert files[0] == files[1]


def test_the_form_is_the_models(studio: Any, faulty_server: Server) -> None:
    described = faulty_server.get("/v1/models/faulty-good").json
    for name, value in described["defaults"].items():
        assert studio.get_attribute(f"[name={name}]", "placeholder") == (value if value == "" else f"{value:g}")
    assert studio.get_attribute("[name=num_frames]", "max") == "1000"
    assert studio.get_attribute("[name=width]", "step") == "16"
    assert studio.get_attribute("[data-param=brightness]", "max") == "30"
    choices = studio.locator("[data-param=dark] option").all_text_contents()
    assert choices == ["default", "true", "false"]
    shown = {
        "faulty-good": "start_image end_image",
        "faulty-clip": "start_image input_reference",
        "faulty-text-alone": "",
    }
    for model, files in shown.items():
        studio.select_option("[name=model]", model)
        wait_for_form(studio)
        visible = [
            name for name in ("start_image", "end_image", "input_reference") if studio.is_visible(f"[name={name}]")
        ]
        assert visible == files.split()
        assert studio.is_visible("#params") == (model == "faulty-good")


def test_the_model_that_is_chosen_last_is_asked(studio: Any) -> None:
    held: list[Any] = []
    studio.route("**/v1/models/faulty-*", lambda route: held.append(route) if len(held) < 3 else route.continue_())
    write(studio, prompt="anything")
    studio.select_option("[name=model]", "faulty-text-alone")
    # What it takes is not there yet, and what the next one takes comes later.
    studio.click("text=Generate")
    studio.select_option("[name=model]", "faulty-careful")
    while len(held) < 3:
        studio.wait_for_timeout(20)
    *former, last = held
    with studio.expect_request("**/video") as sent:
        with studio.expect_response("**/faulty-text-alone"):
            for route in former:
                route.continue_()
        last.continue_()
    assert sent.value.post_data_json["model"] == "faulty-careful"


def test_frames_and_clips_are_sent(studio: Any, faulty_server: Server) -> None:
    write(studio, prompt="from red to blue")
    for name, color in (("start_image", "red"), ("end_image", "blue")):
        studio.set_input_files(f"[name={name}]", {"name": "a.png", "mimeType": "image/png", "buffer": plain(color)})
    expect(studio.locator(".file img:visible")).to_have_count(2)
    identifier, _ = generate(studio)
    wait_for_video(studio)
    request = faulty_server.get(f"/video/{identifier}").json["request"]
    assert {"start_image", "end_image"} < request.keys()
    studio.click("article >> text=Use again")
    studio.locator("#message", has_text="Choose the first frame and the last frame again").wait_for()

    studio.select_option("[name=model]", "faulty-clip")
    studio.locator("[name=input_reference]").wait_for()
    clip = {"name": "a.mp4", "mimeType": "video/mp4", "buffer": encode_clip(greys(5, 64, 48), 5)}
    studio.set_input_files("[name=input_reference]", clip)
    identifier, sent = generate(studio)
    assert "end_image" not in sent
    assert sent["input_reference"].startswith("data:video/mp4;base64,")
    assert faulty_server.wait_for(f"/video/{identifier}", "completed")["request"]["input_reference"]["bytes"]


def test_progress_preview_and_cancel(studio: Any, faulty_server: Server, tmp_path: Path) -> None:
    studio.select_option("[name=model]", "faulty-slow")
    write(studio, prompt="a slow one", step=200)
    identifier, _ = generate(studio)
    status = studio.locator("article .status")
    status.filter(has_text=re.compile(r"Denoising, step \d+ of 200", re.IGNORECASE)).wait_for()
    studio.locator("article img").wait_for()
    first = studio.locator("article progress").evaluate("(bar) => bar.value")
    studio.screenshot(path=tmp_path / "running.png")
    expect(studio.locator("article progress")).not_to_have_js_property("value", first)
    studio.click("article >> text=Cancel")
    studio.locator("article[data-status=cancelled]").wait_for()
    assert faulty_server.get(f"/video/{identifier}").json["status"] == "cancelled"
    studio.once("dialog", lambda dialog: dialog.accept())
    studio.click("article >> text=Delete")
    studio.locator("#empty").wait_for()
    assert faulty_server.get(f"/video/{identifier}").status == 404


def test_what_is_wrong_is_said_at_its_field(studio: Any, faulty_server: Server) -> None:
    write(studio, prompt="anything", width=70)
    studio.click("text=Generate")
    assert not studio.locator("[name=width]").evaluate("(field) => field.checkValidity()")
    assert faulty_server.get("/video").json["data"] == []

    # What the browser cannot know, the server says.
    write(studio, width=2048, height=2048, num_frames=1000)
    studio.evaluate("() => document.querySelector('[name=width]').removeAttribute('max')")
    write(studio, width=2064)
    with studio.expect_response("**/video") as answer:
        studio.click("text=Generate")
    message = answer.value.json()["error"]["message"]
    studio.locator("[name=width]:invalid").wait_for()
    assert studio.locator("[name=width]").evaluate("(field) => field.validationMessage") == message
    write(studio, width="", height="", num_frames="")
    assert studio.locator("[name=width]").evaluate("(field) => field.validationMessage") == ""

    studio.click("#params summary")
    studio.evaluate("() => document.querySelector('[data-param=brightness]').removeAttribute('max')")
    studio.fill("[data-param=brightness]", "31")
    studio.click("text=Generate")
    studio.locator("[data-param=brightness]:invalid").wait_for()
    text = studio.locator("[data-param=brightness]").evaluate("(field) => field.validationMessage")
    assert "31" in text
    assert faulty_server.get("/video").json["data"] == []


def test_a_failure_and_hostile_texts_are_shown(studio: Any, faulty_server: Server) -> None:
    studio.select_option("[name=model]", "faulty-model-error")
    write(studio, prompt=SCRIPT)
    generate(studio)
    studio.locator("article .status", has_text="The numbers do not add up.").wait_for()
    studio.select_option("[name=model]", "faulty-careful")
    generate(studio)
    studio.locator("article[data-status=completed]").wait_for()
    assert studio.locator("article >> nth=0").locator(".prompt").inner_text() == SCRIPT
    assert studio.locator("article >> nth=0").locator(".warnings").inner_text() == SCRIPT
    assert studio.evaluate("() => window.pwned === undefined")
    assert studio.locator("img[src='x']").count() == 0


def test_several_videos_are_a_card_each(studio: Any) -> None:
    write(studio, prompt="several", n=3, seed=5)
    generate(studio)
    studio.locator("article[data-status=completed] >> nth=2").wait_for()
    facts = studio.locator("article .facts").all_inner_texts()
    assert sorted(each.rpartition(" ")[2] for each in facts) == ["5", "6", "7"]


def test_only_this_server_is_asked_and_the_policy_is_kept(studio: Any, faulty_server: Server) -> None:
    asked: list[str] = []
    words: list[str] = []
    studio.on("request", lambda request: asked.append(request.url))
    studio.on("console", lambda message: words.append(message.text))
    write(studio, prompt="anything")
    generate(studio)
    wait_for_video(studio)
    studio.reload()
    wait_for_video(studio)
    assert [each for each in asked if not each.startswith((faulty_server.url, "blob:"))] == []
    assert [each for each in words if "Content Security Policy" in each] == []


def test_a_server_that_wants_a_key_is_given_one(page: Any, tmp_path: Path, faulty_plugins: Path) -> None:
    server = Server(tmp_path, faulty_plugins, VIDEOAPI_PRELOAD="faulty-slow")
    server.manage("migrate", "--verbosity", "0")
    server.environment |= {"DJANGO_SETTINGS_MODULE": "settings.prod", "SECRET_KEY": "x" * 60, "VIDEOAPI_HTTPS": "0"}
    server.environment |= {"ALLOWED_HOSTS": "127.0.0.1"}
    keys = [server.manage("createkey", name).splitlines()[0] for name in ("ann", "ben")]
    server.start()
    try:
        page.goto(server.url)
        dialog = page.locator("#key-dialog")
        dialog.wait_for()
        dialog.locator("input").fill("va-wrong")
        page.keyboard.press("Enter")
        page.locator("#trouble", has_text="This API key is not valid here").wait_for()
        dialog.locator("input").fill(keys[0])
        page.keyboard.press("Enter")
        page.locator("[name=model] option").first.wait_for(state="attached")
        expect(page.locator("#trouble")).to_have_text("")
        page.select_option("[name=model]", "faulty-slow")
        write(page, prompt="Ann's", step=30)
        identifier, _ = generate(page)
        page.locator("article img").wait_for()
        video = wait_for_video(page)
        assert video.evaluate(
            "(video) => new Promise((done) => video.readyState ? done(1) : (video.onloadedmetadata = () => done(1)))"
        )
        assert send(Request(f"{server.url}/video/{identifier}", headers={"x-api-key": keys[1]})).status == 404

        page.click("#key-button")
        dialog.locator("input").fill(keys[1])
        page.click("text=Use it")
        page.locator("#empty").wait_for()
    finally:
        server.stop()


def test_a_server_that_is_away_is_found_again(page: Any, tmp_path: Path, faulty_plugins: Path) -> None:
    with Server(tmp_path, faulty_plugins, VIDEOAPI_PRELOAD="faulty-good") as server:
        open_studio(page, server)
        server.stop()
        write(page, prompt="anything")
        page.click("text=Generate")
        page.locator("#message", has_text="The server does not answer.").wait_for()
        server.start()
        identifier, _ = generate(page)
        wait_for_video(page)
        expect(page.locator("#message")).to_have_text("")
        expect(page.locator("#trouble")).to_have_text("")
        assert server.get(f"/video/{identifier}").json["status"] == "completed"
