"""The page at `/`, as a person uses it."""

from __future__ import annotations

from typing import Any

from tests.server import Server


def open_studio(page: Any, server: Server, model: str = "faulty-good") -> None:
    page.goto(server.url)
    page.locator("[name=model] option").first.wait_for(state="attached")
    page.select_option("[name=model]", model)
    wait_for_form(page)


def wait_for_form(page: Any) -> None:
    """It is what the chosen model takes."""
    page.locator("#request[aria-busy=false]").wait_for()


def write(page: Any, **fields: Any) -> None:
    for name, value in fields.items():
        page.fill(f"[name={name}]", str(value))


def generate(page: Any) -> Any:
    """The card of what is then made, and the request that was sent."""
    with page.expect_response(lambda answer: answer.url.endswith("/video")) as answer:
        page.click("text=Generate")
    identifier = answer.value.json()["id"]
    page.locator("article[data-status]").first.wait_for()
    return identifier, answer.value.request.post_data_json


def wait_for_video(page: Any) -> Any:
    """Of the first card."""
    video = page.locator("article >> nth=0").locator("video")
    video.wait_for()
    return video
