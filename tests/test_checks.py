"""`manage.py check` and `manage.py plugins`."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from tests.distributions import write_remote
from videoapi.checks import check_catalog, check_settings
from videoapi.engine.registry import get_catalog

pytestmark = pytest.mark.usefixtures("faulty")


def test_a_broken_plugin_and_an_ignored_key_are_warnings_with_a_way_out(configure: Callable[..., Any]) -> None:
    folder: Path = configure().models_dir
    (folder / "wan.yaml").write_text(
        "name: wan\nbackend: diffusers\nmmproj: a.gguf\nparameters: {model: a/b}\n"
        "diffusers: {pipeline_type: WanPipeline}\n"
    )
    get_catalog.cache_clear()
    messages = {message.id: message for message in check_catalog(None)}
    assert messages["videoapi.W001"].msg.startswith("Plugin 'broken' of videoapi-broken does not load: ImportError")
    assert messages["videoapi.W001"].hint == "pip install --force-reinstall videoapi-broken"
    assert messages["videoapi.W002"].msg == "wan.yaml: 'mmproj' is not honoured."


def test_wrong_settings_are_errors(configure: Callable[..., Any], settings: Any) -> None:
    configure(ffmpeg="/nonexistent", preload=("nobody", " video-model"), slots=("*", "faulty-good, somebody"))
    messages = {message.id: message.msg for message in check_settings(None)}
    assert sorted(messages) == ["videoapi.E002", "videoapi.E003", "videoapi.W003"]
    assert messages["videoapi.E003"].startswith("VIDEOAPI_SLOTS: Unknown model 'somebody'.")
    assert messages["videoapi.W003"].startswith("VIDEOAPI_PRELOAD: Unknown model 'nobody'.")
    settings.VIDEOAPI = {**settings.VIDEOAPI, "colour": "red"}
    with pytest.raises(SystemCheckError, match=r"\(videoapi.E001\) settings.VIDEOAPI: .*'colour'"):
        call_command("check")


@pytest.mark.parametrize(
    "secret", ["whsec_", "whsec_c2hvcnQ=", "whsec_" + "A" * 90, "A" * 32, "whsec_" + "!" * 32, "whsec_" + "A" * 33]
)
def test_a_secret_for_webhooks_that_is_none_is_an_error(configure: Callable[..., Any], secret: str) -> None:
    configure(webhook_secret=secret)
    (message,) = check_settings(None)
    assert (message.id, message.hint) == ("videoapi.E004", 'echo "whsec_$(openssl rand -base64 24)"')
    assert message.msg == "VIDEOAPI_WEBHOOK_SECRET is not 'whsec_' followed by 24 to 64 bytes in base64."


def test_a_secret_for_webhooks_may_have_any_allowed_length(configure: Callable[..., Any]) -> None:
    for size in (24, 25, 64):
        configure(webhook_secret=f"whsec_{b64encode(bytes(size)).decode()}")
        assert check_settings(None) == []


def test_defaults_that_the_models_own_limits_refuse_are_a_warning(configure: Callable[..., Any]) -> None:
    folder: Path = configure().models_dir
    (folder / "small.yaml").write_text("name: starter\nbackend: starter\nstep: 30\nlimits: {max_steps: 20}\n")
    get_catalog.cache_clear()
    (message,) = [message for message in check_catalog(None) if message.id == "videoapi.W004"]
    assert message.msg == ("Model 'starter' refuses a request that leaves out 'step': 30 is over the limit of 20.")


def test_params_without_a_valid_schema_or_with_a_refused_default_are_warnings(configure: Callable[..., Any]) -> None:
    first, second = [message.msg for message in check_catalog(None) if message.id == "videoapi.W005"]
    assert first.startswith("Model 'faulty-refuse': the schema of 'depth' in params is not valid: 'nonsense'")
    assert second.startswith("Model 'faulty-refuse' refuses its own default of 'tiling' in params: 'perhaps' is not")


@pytest.mark.parametrize(
    ("words", "warnings"),
    [
        ("", []),
        ("its engine is old\nits disk is slow", ["its engine is old", "its disk is slow"]),
        ("A TEXT", ["Its plugin's check failed with ConfigurationError: Plugin 'remote' answered with a text, not"]),
        ("RAISE", ["Its plugin's check failed with ConnectionError: no route"]),
    ],
)
def test_what_a_plugin_says_of_its_model_is_a_warning(
    configure: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, warnings: list[str]
) -> None:
    (tmp_path / "remote").mkdir()
    write_remote(tmp_path / "remote")
    monkeypatch.syspath_prepend(str(tmp_path / "remote"))
    monkeypatch.setenv("REMOTE_WARNS", words)
    get_catalog.cache_clear()
    found = [message.msg for message in check_catalog(None) if message.id == "videoapi.W006"]
    assert len(found) == len(warnings)
    for message, warning in zip(found, warnings, strict=True):
        assert message.startswith(f"Model 'remote': {warning}")
    sys.modules.pop("remote", None)


def test_the_plugins_are_listed_with_models_modes_and_faults(
    configure: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("plugins")
    out = capsys.readouterr().out
    assert "starter  (videoapi-starter 0.1.0)" in out
    assert "starter (also video-model): first_and_last_frame, first_frame, text" in out
    assert "does not load: ImportError: no module named 'left_pad'" in out
