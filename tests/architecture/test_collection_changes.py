"""What changes which models machines get by subscription is written in ``due_machines.writing_changes``."""

import ast
from pathlib import Path

import modelyard

SERVER = Path(modelyard.__path__[0]) / "server"
COLLECTIONS = SERVER / "collections"
HOME = COLLECTIONS / "due_machines.py"
# These change no subscription; the last one, of a job, leaves machines to the job for due machines.
PLAIN_WRITERS = {"create_collection", "delete_model", "stop_rollout", "advance_rollout"}


def list_plain_writers(source: str) -> set[str]:
    """Return the functions that open a transaction which writes, and no more."""
    functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))
    return {each.name for each in functions if any(map(is_writing, ast.walk(each)))}


def is_writing(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".writing")


def test_functions_of_collections_write_in_writing_changes_but_for_a_few() -> None:
    files = [file for file in COLLECTIONS.rglob("*.py") if file != HOME]
    assert {name for file in files for name in list_plain_writers(file.read_text())} == PLAIN_WRITERS


def test_no_other_package_calls_update_or_mark() -> None:
    files = [file for file in SERVER.rglob("*.py") if not file.is_relative_to(COLLECTIONS)]
    assert [file for file in files if "update_or_mark" in file.read_text()] == []
