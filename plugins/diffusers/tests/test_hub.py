"""Models that are on the hub: what is downloaded, what is said meanwhile, and what goes wrong."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugins.diffusers.tests.hub import COMMIT, TOKEN, Hub, Repo
from plugins.diffusers.tests.wide import read_transformer, write_gguf, write_safetensors
from videoapi_diffusers.weights.download import Report, describe_size
from videoapi_diffusers.weights.hub_errors import explain

DOWNLOAD = """
import logging, sys
logging.basicConfig(level=logging.INFO, format="%(message)s")
from videoapi import ModelError
from videoapi_diffusers.weights.hub import {function}
try:
    print({function}({arguments}))
except ModelError as error:
    sys.exit(error.message)
"""
WHOLE = "'tiny/wan', None"


@pytest.fixture(scope="module")
def files(text_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Wan as a repository: with pickle, code, a variant and a file of another program beside what is needed."""
    folder = tmp_path_factory.mktemp("repository")
    shutil.copytree(text_folder, folder, dirs_exist_ok=True)
    tensors = read_transformer(folder)
    write_safetensors(tensors, folder / "transformer" / "diffusion_pytorch_model.fp16.safetensors")
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    (folder / "pipeline.py").write_text("raise SystemExit('code was run')")
    (folder / "vae" / "vae.py").write_text("raise SystemExit('code was run')")
    (folder / "text_encoder" / "pytorch_model.bin").write_bytes(b"pickle")
    write_gguf(tensors, folder / "wan-Q8_0.gguf")
    return folder


@pytest.fixture
def hub(files: Path) -> Iterator[Hub]:
    with Hub(wan=Repo(files, branches=("main", "v1.0"))) as hub:
        yield hub


def download(
    hub: Hub, cache: Path, arguments: str = WHOLE, function: str = "download_model", **environment: str
) -> Any:
    return hub.run(cache, DOWNLOAD.format(function=function, arguments=arguments), **environment)


def folder_of(done: Any) -> Path:
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


def names_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_download_brings_what_is_loaded_and_no_code_and_no_pickle(hub: Hub, tmp_path: Path) -> None:
    done = download(hub, tmp_path)
    assert names_in(folder_of(done)) == {
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
        "transformer/config.json",
        "transformer/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    }
    assert "HTTP Request" not in done.stderr
    assert "Fetching" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Downloaded tiny/wan: 10 files, ")


def test_the_variant_is_downloaded_where_there_is_one(hub: Hub, tmp_path: Path) -> None:
    found = names_in(folder_of(download(hub, tmp_path, "'tiny/wan', None, 'fp16'")))
    assert "transformer/diffusion_pytorch_model.fp16.safetensors" in found
    assert "transformer/diffusion_pytorch_model.safetensors" not in found
    assert "vae/diffusion_pytorch_model.safetensors" in found


def test_a_component_from_elsewhere_is_downloaded_without_its_weights(hub: Hub, tmp_path: Path) -> None:
    found = names_in(folder_of(download(hub, tmp_path, "'tiny/wan', None, '', ['transformer']")))
    assert {name for name in found if name.startswith("transformer")} == {"transformer/config.json"}


def test_a_commit_that_is_here_is_loaded_without_asking(hub: Hub, tmp_path: Path) -> None:
    arguments = f"'tiny/wan', {COMMIT!r}"
    folder = folder_of(download(hub, tmp_path, arguments))
    hub.asked.clear()
    assert folder_of(download(hub, tmp_path, arguments)) == folder
    assert hub.asked == []


@pytest.mark.parametrize("environment", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_what_is_here_is_loaded_while_the_hub_is_away(hub: Hub, tmp_path: Path, environment: Any) -> None:
    folder = folder_of(download(hub, tmp_path, "'tiny/wan', 'v1.0'"))
    again = download(hub, tmp_path, "'tiny/wan', 'v1.0'", **environment)
    assert folder_of(again) == folder
    assert "Downloading" not in again.stderr


def test_a_cache_of_an_older_library_is_enough(hub: Hub, tmp_path: Path) -> None:
    folder = folder_of(download(hub, tmp_path))
    shutil.rmtree(folder.parent.parent / "trees")
    assert folder_of(download(hub, tmp_path, HF_HUB_OFFLINE="1")) == folder


def test_a_download_that_was_broken_off_goes_on_where_it_was(hub: Hub, tmp_path: Path) -> None:
    hub.repos["tiny/wan"].broken = "vae/diffusion_pytorch_model.safetensors"
    done = download(hub, tmp_path)
    assert done.stderr.strip().splitlines()[-1] == "The hub answers with status 503 for 'tiny/wan'."
    hub.repos["tiny/wan"].broken = ""
    hub.asked.clear()
    done = download(hub, tmp_path)
    assert len(names_in(folder_of(done))) == 10
    fetched = [asked.rpartition(COMMIT)[2] for asked in hub.asked if asked.startswith("GET /tiny")]
    assert "/vae/diffusion_pytorch_model.safetensors" in fetched
    assert "/transformer/diffusion_pytorch_model.safetensors" not in fetched


def test_a_single_file_comes_from_any_repository(hub: Hub, tmp_path: Path, files: Path) -> None:
    done = download(hub, tmp_path, "'tiny/wan', 'wan-Q8_0.gguf', 'v1.0'", "download_file")
    assert folder_of(done).read_bytes() == (files / "wan-Q8_0.gguf").read_bytes()
    assert names_in(folder_of(done).parent) == {".gitattributes", "wan-Q8_0.gguf"}


def test_a_gated_repository_opens_for_the_token(hub: Hub, tmp_path: Path) -> None:
    hub.repos["tiny/wan"].gated = True
    assert len(names_in(folder_of(download(hub, tmp_path, HF_TOKEN=TOKEN)))) == 10


@pytest.mark.parametrize(
    ("arguments", "repo", "environment", "message"),
    [
        ("'tiny/van', None", {}, {}, "The hub has no 'tiny/van', or it is private: then HF_TOKEN must be a token"),
        ("'tiny/wan', 'v9'", {}, {}, "'tiny/wan' has no revision 'v9'; a revision is a branch, a tag or a commit."),
        (WHOLE, {"gated": True}, {}, "'tiny/wan' is gated. Accept its licence at {url}/tiny/wan, and set HF_TOKEN to"),
        (WHOLE, {}, {"HF_TOKEN": "hf_wrong"}, "The hub does not know the token in HF_TOKEN."),
        (WHOLE, {"status": 503}, {}, "The hub answers with status 503 for 'tiny/wan'."),
        (WHOLE, {}, {"HF_HUB_OFFLINE": "1"}, "'tiny/wan' is not all in the hub's cache, and HF_HUB_OFFLINE forbids"),
        (WHOLE, {}, {"HF_ENDPOINT": "http://127.0.0.1:9"}, "The hub cannot be reached at http://127.0.0.1:9, and 'tin"),
        ("'tiny wan', None", {}, {}, "'tiny wan' is no hub id: that is owner/name."),
        ("'tiny/wan', None, 'fp8'", {}, {}, "The model has no variant 'fp8' of its weights; it has fp16."),
        (
            WHOLE,
            {"sizes": {"vae/diffusion_pytorch_model.safetensors": 10**18}},
            {},
            "'tiny/wan' needs 1000000000.0 GB on the disk of the hub's cache, which has",
        ),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    hub: Hub, tmp_path: Path, arguments: str, repo: Any, environment: Any, message: str
) -> None:
    for name, value in repo.items():
        setattr(hub.repos["tiny/wan"], name, value)
    done = download(hub, tmp_path, arguments, **environment)
    assert done.returncode == 1
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith(message.format(url=hub.url)), done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_the_repository_does_not_have_is_one_sentence(hub: Hub, tmp_path: Path) -> None:
    done = download(hub, tmp_path, "'tiny/wan', 'b.gguf', None", "download_file")
    assert done.stderr.strip().splitlines()[-1] == "'tiny/wan' has no file b.gguf."


def test_a_repository_in_another_format_is_one_sentence(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "wan.safetensors").write_bytes(b"")
    hub.repos["tiny/wan"] = Repo(tmp_path / "files")
    done = download(hub, tmp_path / "cache")
    message = "'tiny/wan' has no model_index.json: it is no model in the format of diffusers."
    assert done.stderr.strip().splitlines()[-1] == message


def test_a_repository_with_pickled_weights_alone_is_one_sentence(hub: Hub, files: Path, tmp_path: Path) -> None:
    shutil.copytree(files, tmp_path / "files")
    (tmp_path / "files" / "text_encoder" / "model.safetensors").unlink()
    hub.repos["tiny/wan"] = Repo(tmp_path / "files")
    done = download(hub, tmp_path / "cache")
    said = done.stderr.strip().splitlines()[-1]
    assert said.startswith("The weights of text_encoder are there as pickle alone, which can run code")
    assert not any("bin" in asked for asked in hub.asked)


def test_a_licence_that_was_not_accepted_is_told_apart_from_a_missing_token(monkeypatch: Any) -> None:
    from huggingface_hub.errors import GatedRepoError

    monkeypatch.setattr("huggingface_hub.get_token", lambda: TOKEN)
    message = explain(GatedRepoError("403", response=_answer(403)), "a/b")
    assert "The account of HF_TOKEN has not accepted its licence at " in message


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "'a/b' does not fit on the disk of the hub's cache. Set HF_",
        ),
        (OSError(errno.EACCES, "Permission denied"), "'a/b' cannot be put into the hub's cache: Permission denied."),
        (OSError("Consistency check failed\nretry"), "'a/b' could not be downloaded: Consistency check failed"),
        (RuntimeError("broken pipe"), "'a/b' could not be downloaded: broken pipe"),
    ],
)
def test_what_the_disk_says_is_one_sentence(error: Exception, message: str) -> None:
    assert explain(error, "a/b").startswith(message)


def _answer(status: int) -> Any:
    from huggingface_hub.errors import HfHubHTTPError

    client = __import__(HfHubHTTPError.__bases__[0].__module__.partition(".")[0])
    return client.Response(status, request=client.Request("GET", "http://127.0.0.1/"))


def test_a_report_counts_what_was_here_before() -> None:
    report = Report("a/b", files=3, size=2_000_000_000, size_here=500_000_000)

    class Counted:
        unit, n = "B", 250_000_000

    class Files:
        unit, n = "it", 2

    for bar in (Counted(), Files()):
        report.update(bar)  # type: ignore[arg-type]
    assert report.describe() == "Downloading a/b: 2 of 3 files, 0.8 of 2.0 GB"


def test_sizes_are_told_as_a_reader_wants_them() -> None:
    assert [describe_size(size) for size in (12, 1_500, 2_500_000, 28.6e9)] == ["0.0 kB", "1.5 kB", "2.5 MB", "28.6 GB"]


def test_a_downloaded_model_is_loaded_with_a_transformer_of_the_hub(hub: Hub, tmp_path: Path) -> None:
    code = """
import json
from pathlib import Path
from videoapi import ModelFile
from videoapi_diffusers import load
from videoapi_diffusers.plugin import build_spec
keys = {"pipeline_type": "WanPipeline", "transformer": "tiny/wan/wan-Q8_0.gguf", "revision": "v1.0"}
data = {"name": "wan", "backend": "diffusers", "parameters": {"model": "tiny/wan"}, "diffusers": keys}
before = build_spec(ModelFile(Path("wan.yaml"), data))
pipeline = load(**before.settings).pipeline
after = build_spec(ModelFile(Path("wan.yaml"), data))
found = {"class": type(pipeline.transformer).__name__, "before": sorted(before.modes), "after": sorted(after.modes)}
print(json.dumps(found))
"""
    done = hub.run(tmp_path, code.replace("import json\n", "import json, warnings\nwarnings.simplefilter('default')\n"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "class": "WanTransformer3DModel",
        "before": ["text"],
        "after": ["clip", "text"],
    }
