import ast
import subprocess
from pathlib import Path

import pytest

from tools.budgets import CODE_FOLDERS, Function, Measured, argument_count, function_lines, is_command, measure
from tools.repository import ROOT, tracked_files

VAGUE = {"base_service", "common", "core", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}


@pytest.fixture(scope="module")
def measured() -> list[Measured]:
    return measure()


def test_no_file_function_or_slice_is_larger_than_it_may_be(measured: list[Measured]) -> None:
    over = [f"{one.where}: {one.size} {one.budget.unit}, at most {one.budget.may}" for one in measured if one.is_over]
    assert not over, "\n".join(over)


def test_the_whole_package_is_measured(measured: list[Measured]) -> None:
    assert "src/modelyard/__init__.py" in {one.where for one in measured}


def test_every_module_has_a_name_that_says_what_it_is() -> None:
    files = [file.relative_to(ROOT) for file in tracked_files(".py")]
    vague = [str(file) for file in files if file.parts[0] in CODE_FOLDERS and VAGUE & {*file.parts[:-1], file.stem}]
    assert not vague


def function(text: str) -> Function:
    node = ast.parse(text).body[0]
    assert isinstance(node, Function)
    return node


def test_a_docstring_does_not_make_a_function_longer() -> None:
    assert function_lines(function('def f():\n    """One\n\n    two.\n    """\n    return 1')) == 2


@pytest.mark.parametrize(
    ("signature", "count"),
    [("a, b", 2), ("self, a", 1), ("cls", 0), ("a, /, b, *, c", 3), ("*args, **kwargs", 2), ("", 0)],
)
def test_every_name_that_a_caller_may_give_is_an_argument(signature: str, count: int) -> None:
    assert argument_count(function(f"def f({signature}): ...")) == count


@pytest.mark.parametrize(
    "text",
    [
        "@app.command()\ndef f(): ...",
        "@app.callback()\ndef f(): ...",
        "def f(a: Annotated[str, typer.Option(help='x')]): ...",
        "def f(context: typer.Context): ...",
    ],
)
def test_what_typer_calls_is_a_command(text: str) -> None:
    assert is_command(function(text))


def test_what_nobody_types_is_no_command() -> None:
    assert not is_command(function("@cache\ndef f(a: str): ..."))


def test_a_module_past_its_budget_is_seen(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "long.py").write_text("x = 1\n" * 501)
    assert [one.where for one in measure(tmp_path) if one.is_over] == ["src/long.py"]
