"""The generated modules of the page name the files that have their facts."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator

import pytest

from tools.page_facts import MODULES
from tools.repository import ROOT

PACKAGE = ROOT / "src" / "modelyard"


@pytest.mark.parametrize("build", MODULES.values(), ids=MODULES)
def test_generated_module_names_each_file_with_its_facts(build: Callable[[], str]) -> None:
    sources = re.findall(r"^//     (\S+)$", build(), re.MULTILINE)
    assert sources == sorted(list_imported_files(build))


def list_imported_files(build: Callable[[], str]) -> Iterator[str]:
    """Return the files and packages below ``src/modelyard`` that a builder imports from."""
    for node in ast.walk(ast.parse(inspect.getsource(build))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            path = "/".join(node.module.split(".")[1:])
            yield f"{path}/" if PACKAGE.joinpath(path).is_dir() else f"{path}.py"
