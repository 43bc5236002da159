"""Measures the length of files and functions and the number of their arguments, against two limits each.

`make budgets` lists what is over the *should* limit; a test in ``tests/architecture`` fails over the *may* limit.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.repository import ROOT, tracked_files

CODE_FOLDERS = ("src", "tests", "tools", "bench")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Budget:
    """A limit on sizes in one unit: ``should`` is the recommended maximum, ``may`` the enforced one."""

    unit: str
    should: int
    may: int


@dataclass(frozen=True)
class Measurement:
    """The size of a file, function or folder, and its budget; ``where`` is ``path:line name``."""

    where: str
    size: int
    budget: Budget

    @property
    def is_over(self) -> bool:
        return self.size > self.budget.may

    @property
    def is_long(self) -> bool:
        return self.size > self.budget.should


FILE_LINES = Budget("lines in a file", should=250, may=500)
FUNCTION_LINES = Budget("lines in a function", should=25, may=50)
ARGUMENTS = Budget("arguments", should=4, may=6)
FOLDER_FILES = Budget("files in a folder", should=12, may=16)


def measure(root: Path = ROOT) -> list[Measurement]:
    """Measure every file, function and folder of the Python code, and every file of the page's code.

    The length of the page's functions is limited by Biome (web/biome.json).
    """
    files = [file for file in tracked_files(".py", root=root) if file.relative_to(root).parts[0] in CODE_FOLDERS]
    of_python = [measured for file in files for measured in measure_file(file, root)]
    return of_python + list(measure_folders(files, root)) + list(measure_page(root))


def measure_page(root: Path) -> Iterator[Measurement]:
    """Count the lines of each file of the page's code."""
    for file in tracked_files(".ts", ".tsx", ".css", root=root):
        yield Measurement(str(file.relative_to(root)), len(file.read_text(encoding="utf-8").splitlines()), FILE_LINES)


def measure_file(file: Path, root: Path) -> Iterator[Measurement]:
    """Measure a Python file and its functions, without the parts that no limit applies to."""
    text = file.read_text(encoding="utf-8")
    where = str(file.relative_to(root))
    yield Measurement(where, len(text.splitlines()), FILE_LINES)
    is_migration = "versions" in file.parts
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, Function):
            name = f"{where}:{node.lineno} {node.name}"
            # A migration is a list of tables: splitting it would not make it easier to read.
            if not is_migration:
                yield Measurement(name, count_function_lines(node), FUNCTION_LINES)
            # The arguments of a command are its options, which may be many.
            if not is_typer_command(node):
                yield Measurement(name, count_arguments(node), ARGUMENTS)


def measure_folders(files: list[Path], root: Path) -> Iterator[Measurement]:
    """Count the modules of each folder of ``src``. Migrations are left out, since each release may add some."""
    modules = [file for file in files if file.name != "__init__.py" and file.relative_to(root).parts[0] == "src"]
    for folder, size in sorted(Counter(file.parent for file in modules if "versions" not in file.parts).items()):
        yield Measurement(str(folder.relative_to(root)), size, FOLDER_FILES)


def count_function_lines(function: Function) -> int:
    """Count the lines from ``def`` to the end, without the docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def count_arguments(function: Function) -> int:
    """Count the parameters, without ``self`` and ``cls``."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    names = [argument.arg for argument in (*positional, *arguments.kwonlyargs)]
    variadic = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    own = 1 if names and names[0] in ("self", "cls") else 0
    return len(names) + len(variadic) - own


def is_typer_command(function: Function) -> bool:
    """Return whether it is a typer command: by its decorator, or by typer annotations of its parameters."""
    calls = [decorator.func for decorator in function.decorator_list if isinstance(decorator, ast.Call)]
    if any(isinstance(call, ast.Attribute) and call.attr in ("command", "callback") for call in calls):
        return True
    declared = [*function.args.args, *function.args.kwonlyargs]
    spelled = [ast.unparse(argument.annotation) for argument in declared if argument.annotation is not None]
    return any(word in text for text in spelled for word in ("typer.Option(", "typer.Argument(", "typer.Context"))


def main() -> None:
    """Print everything over the recommended limit, longest first."""
    long = [measured for measured in measure() if measured.is_long]
    for measured in sorted(long, key=lambda measurement: (measurement.budget.unit, -measurement.size)):
        budget = measured.budget
        mark = "!" if measured.is_over else " "
        print(f"{mark} {measured.size:4} {budget.unit} ({budget.should}, at most {budget.may})  {measured.where}")
    over = sum(measured.is_over for measured in long)
    print(f"{len(long)} sizes are over the recommended limit, {over} of them over the enforced one.")


if __name__ == "__main__":
    main()
