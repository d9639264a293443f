"""The READMEs lead where they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.server import ROOT

READMES = [ROOT / "README.md", *sorted((ROOT / "plugins").rglob("README.md"))]
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def find_anchors(readme: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", readme.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("readme", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(readme: Path) -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", CODE.sub("", readme.read_text())) if "://" not in link]
    for link in links:
        path, _, anchor = link.partition("#")
        target = readme.parent / path if path else readme
        assert target.exists(), link
        assert not anchor or anchor in find_anchors(target), link
