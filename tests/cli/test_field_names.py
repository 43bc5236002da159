"""Each field of a request that commands send has a name in messages: an option, an argument or another word."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from typer.main import get_command

import modelyard.cli
from modelyard.cli.command_tree import app
from modelyard.cli.terminal.remedies.invalid_values import get_parameter_names

_CLI = Path(modelyard.cli.__file__).parent
# What commands fill in themselves, ask for, or read from standard input.
_NOT_TYPED = {
    *("current_password", "new_password", "user_password", "refresh_token", "new_owner_id", "missing_on"),
    *("is_held", "is_pinned", "is_enabled", "paused", "model_status", "loader_list", "expected_loader_list"),
    *("facet", "deleted", "file_hash", "token"),
}


def _list_commands(group: Any) -> Iterator[Any]:
    """Yield the commands below a group."""
    context: Any = None
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield from _list_commands(command) if hasattr(command, "commands") else [command]


def _list_sent_fields(module: ast.Module) -> set[str]:
    """Return the fields of the requests that a module builds, as far as it names them."""
    wire = {
        alias.name: getattr(import_module(node.module), alias.name)
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("modelyard.wire")
        for alias in node.names
    }
    kinds = {name: kind for name, kind in wire.items() if isinstance(kind, type) and issubclass(kind, BaseModel)}
    names = {each.value for each in ast.walk(module) if isinstance(each, ast.Constant)}
    names |= {each.arg for each in ast.walk(module) if isinstance(each, ast.keyword)}
    called = {each.func for each in ast.walk(module) if isinstance(each, ast.Call)}
    built = {
        each.value if isinstance(each, ast.Attribute) and each.attr == "model_validate" else each for each in called
    }
    requests = [kinds[each.id] for each in built if isinstance(each, ast.Name) and each.id in kinds]
    return {str(field) for request in requests for field in request.model_fields if field in names}


def _list_parameters() -> dict[str, set[str]]:
    """Return the names of the parameters of the commands of each module."""
    parameters: dict[str, set[str]] = {}
    for command in _list_commands(get_command(app)):
        parameters.setdefault(command.callback.__module__, set()).update(each.name for each in command.params)
    return parameters


@pytest.mark.parametrize(
    ("module", "parameters"), _list_parameters().items(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_fields_of_requests_have_a_parameter_of_a_command_of_the_module(module: str, parameters: set[str]) -> None:
    file = _CLI / f"{module.removeprefix('modelyard.cli.').replace('.', '/')}.py"
    sent = _list_sent_fields(ast.parse(file.read_text())) - _NOT_TYPED
    assert {field for field in sent if parameters.isdisjoint(get_parameter_names(field))} == set()
