import re

from modelyard import __version__
from tools.repository import ROOT


def test_changelog_newest_release_is_package_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    entries = re.findall(r"^## \[([^]]+)\]", text, re.MULTILINE)
    assert next(entry for entry in entries if entry != "Unreleased") == __version__
