"""Paths of API calls are built by ``build_path``, which encodes names and refuses "." and "..".

Only f-strings are checked, and not other ways to join texts.
"""

import ast
from pathlib import Path

from tools.repository import ROOT, tracked_files

PROGRAMS = [ROOT / "src/modelyard" / name for name in ("agent", "cli", "client", "sync")]
# The types of problems, which are no paths of calls.
NOT_PATHS = ("/problems/",)


def find_written_paths(file: Path) -> list[str]:
    """List the f-strings in a file that begin with a slash, and have a value in them."""
    texts = [node for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.JoinedStr)]
    found = [(text, text.values[0]) for text in texts if len(text.values) > 1]
    return [
        f"{file.relative_to(ROOT)}:{text.lineno}"
        for text, first in found
        if isinstance(first, ast.Constant) and str(first.value).startswith("/") and first.value not in NOT_PATHS
    ]


def test_no_f_string_of_a_program_begins_with_a_slash_and_has_a_value() -> None:
    files = [file for file in tracked_files(".py") if any(file.is_relative_to(folder) for folder in PROGRAMS)]
    assert files
    assert [place for file in files for place in find_written_paths(file)] == []
