"""What changes the state of a content goes through one function: ``uploads.content_states.set_content_state``."""

import ast
from pathlib import Path

import pytest

import modelyard

SERVER = Path(modelyard.__path__[0]) / "server"
HOME = SERVER / "uploads" / "content_states.py"
# Versions show the state of their content in a column of the same name.
SHOWN = {"version"}


def is_write(node: ast.AST) -> bool:
    """Return whether a node sets ``verification`` of something that is no version: as attribute, or of a blob's row."""
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        return node.attr == "verification" and ast.unparse(node.value) not in SHOWN
    if not isinstance(node, ast.Call):
        return False
    called = ast.unparse(node.func)
    if called == "setattr":
        return ast.unparse(node.args[1]) == "'verification'"
    return (called == "BlobRow" or called.endswith(".values")) and any(
        keyword.arg == "verification" for keyword in node.keywords
    )


def has_write(source: str) -> bool:
    return any(map(is_write, ast.walk(ast.parse(source))))


def test_state_of_a_content_is_set_in_one_module_only() -> None:
    assert [file for file in SERVER.rglob("*.py") if has_write(file.read_text())] == [HOME]


@pytest.mark.parametrize(
    "source",
    [
        "blob.verification = 'failed'",
        "blob.verification, blob.verification_error = 'failed', why",
        "row.blob.verification = 'failed'",
        "BlobRow(verification='failed')",
        "update(BlobRow).where(same).values(verification='failed')",
        "setattr(blob, 'verification', 'failed')",
    ],
)
def test_has_write_finds_each_form(source: str) -> None:
    assert has_write(source)
    assert not has_write("version.verification = blob.verification")
