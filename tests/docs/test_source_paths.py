"""Paths of source files in the documentation."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import GUIDES, read_page
from tools.repository import ROOT

# A path of a Python or TypeScript file in code style, relative to the repository or to one of these folders.
SOURCE_PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|tsx?))`")
BASES = [ROOT, ROOT / "src", ROOT / "src/modelyard", ROOT / "src/modelyard/server", ROOT / "web"]


@pytest.mark.parametrize(
    "page", [page for page in GUIDES if page.parent.name != "decisions"], ids=lambda page: page.name
)
def test_source_paths_in_documentation_exist(page: Path) -> None:
    paths = SOURCE_PATH.findall(read_page(page))
    assert [path for path in paths if not any((base / path).is_file() for base in BASES)] == []
