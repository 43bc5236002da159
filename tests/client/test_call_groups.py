"""The methods of ``RegistryApi``: each comes from a group of calls that is imported when it is used first."""

import inspect
import pickle
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from modelyard.client.api.calls import methods
from modelyard.client.api.calls.methods import GROUPS
from modelyard.client.api.registry import RegistryApi
from modelyard.wire.models import ModelUpdate


def test_table_of_methods_has_each_module_of_calls() -> None:
    modules = {file.stem for file in Path(inspect.getfile(methods)).parent.glob("*.py")}
    assert modules - {"__init__", "channel", "methods"} == set(GROUPS)


@pytest.mark.parametrize("module", GROUPS)
def test_table_of_methods_has_those_of_the_class(module: str) -> None:
    class_name, names = GROUPS[module]
    group = getattr(import_module(f"modelyard.client.api.calls.{module}"), class_name)
    assert names.split() == [name for name, value in vars(group).items() if inspect.isfunction(value)]
    assert {name: getattr(RegistryApi, name) for name in names.split()} == {
        name: vars(group)[name] for name in names.split()
    }


def test_method_on_a_registry_is_bound_to_it() -> None:
    registry = RegistryApi("http://models.example:8400")
    assert inspect.ismethod(registry.list_models)
    assert registry.list_models.__self__ is registry


def test_unknown_method_raises_attribute_error() -> None:
    assert not hasattr(RegistryApi("http://models.example:8400"), "lst_models")


@pytest.mark.parametrize(
    ("words", "is_deferred"),
    [(["whoami"], True), (["show", "ink"], True), (["agent", "run"], False)],
    ids=["whoami", "show", "agent"],
)
def test_program_defers_validators_except_in_commands_with_threads(words: list[str], is_deferred: bool) -> None:
    code = (
        f"import sys; sys.argv = ['modelyard', *{words}, '--help']\n"
        "from modelyard.__main__ import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "from modelyard.wire.models import ModelUpdate\n"
        "built = ModelUpdate.__pydantic_complete__\n"
        "ModelUpdate(display_name='Ink')\n"
        "print(built, ModelUpdate.__pydantic_complete__)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == f"{not is_deferred} True"


def test_import_of_schemas_builds_validators_and_they_can_be_pickled() -> None:
    """As the server and programs with the Python API import them."""
    assert ModelUpdate.__pydantic_complete__
    change = ModelUpdate(display_name="Ink")
    assert pickle.loads(pickle.dumps(change)) == change
