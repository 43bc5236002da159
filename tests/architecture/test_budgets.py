import ast
import subprocess
from pathlib import Path

import pytest

from tools.budgets import (
    CODE_FOLDERS,
    Function,
    Measurement,
    count_arguments,
    count_function_lines,
    is_typer_command,
    measure,
)
from tools.repository import ROOT, tracked_files

pytestmark = pytest.mark.slow

VAGUE_NAMES = {"base_service", "common", "core", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}


@pytest.fixture(scope="module")
def measured() -> list[Measurement]:
    return measure()


def test_files_functions_and_packages_are_within_size_limits(measured: list[Measurement]) -> None:
    over = [
        f"{measurement.where}: {measurement.size} {measurement.budget.unit}, at most {measurement.budget.may}"
        for measurement in measured
        if measurement.is_over
    ]
    assert not over, "\n".join(over)


def test_size_limits_cover_the_whole_package(measured: list[Measurement]) -> None:
    assert "src/modelyard/__init__.py" in {measurement.where for measurement in measured}


def test_module_names_are_not_vague() -> None:
    files = [file.relative_to(ROOT) for file in tracked_files(".py")]
    vague = [
        str(file) for file in files if file.parts[0] in CODE_FOLDERS and VAGUE_NAMES & {*file.parts[:-1], file.stem}
    ]
    assert not vague


def parse_function(text: str) -> Function:
    node = ast.parse(text).body[0]
    assert isinstance(node, Function)
    return node


def test_count_function_lines_excludes_docstring() -> None:
    assert count_function_lines(parse_function('def f():\n    """One\n\n    two.\n    """\n    return 1')) == 2


@pytest.mark.parametrize(
    ("signature", "count"),
    [("a, b", 2), ("self, a", 1), ("cls", 0), ("a, /, b, *, c", 3), ("*args, **kwargs", 2), ("", 0)],
)
def test_count_arguments_excludes_self_and_cls(signature: str, count: int) -> None:
    assert count_arguments(parse_function(f"def f({signature}): ...")) == count


@pytest.mark.parametrize(
    "text",
    [
        "@app.command()\ndef f(): ...",
        "@app.callback()\ndef f(): ...",
        "def f(a: Annotated[str, typer.Option(help='x')]): ...",
        "def f(context: typer.Context): ...",
    ],
)
def test_typer_function_is_recognised_as_command(text: str) -> None:
    assert is_typer_command(parse_function(text))


def test_plain_function_is_not_recognised_as_command() -> None:
    assert not is_typer_command(parse_function("@cache\ndef f(a: str): ..."))


def test_module_over_size_limit_is_reported(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "long.py").write_text("x = 1\n" * 501)
    assert [measurement.where for measurement in measure(tmp_path) if measurement.is_over] == ["src/long.py"]
