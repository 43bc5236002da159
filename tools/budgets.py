"""How long files and functions are and how many arguments they take, against what they should and may.

Past *should*, `make budgets` lists it; past *may*, a test in ``tests/house`` fails.
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
    """One limit: what a thing should have at most, and what it may."""

    unit: str
    should: int
    may: int


@dataclass(frozen=True)
class Measured:
    """One thing's size against its budget; ``where`` is ``path:line name``."""

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
SLICE_FILES = Budget("files in a slice", should=4, may=8)


def measure(root: Path = ROOT) -> list[Measured]:
    """Every file, function and slice of the repository's Python code, and every file of the page's.

    How long a function of the page may be is Biome's to say (web/biome.json).
    """
    files = [file for file in tracked_files(".py", root=root) if file.relative_to(root).parts[0] in CODE_FOLDERS]
    of_python = [measured for file in files for measured in measure_file(file, root)]
    return of_python + list(measure_slices(files, root)) + list(measure_page(root))


def measure_page(root: Path) -> Iterator[Measured]:
    for file in tracked_files(".ts", ".tsx", ".css", root=root):
        yield Measured(str(file.relative_to(root)), len(file.read_text(encoding="utf-8").splitlines()), FILE_LINES)


def measure_file(file: Path, root: Path) -> Iterator[Measured]:
    text = file.read_text(encoding="utf-8")
    where = str(file.relative_to(root))
    yield Measured(where, len(text.splitlines()), FILE_LINES)
    is_migration = "versions" in file.parts
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, Function):
            name = f"{where}:{node.lineno} {node.name}"
            # A migration is a list of tables: cutting it in two would not make it shorter to read.
            if not is_migration:
                yield Measured(name, function_lines(node), FUNCTION_LINES)
            # The options of a command are its arguments: they are as many as people may type.
            if not is_command(node):
                yield Measured(name, argument_count(node), ARGUMENTS)


def measure_slices(files: list[Path], root: Path) -> Iterator[Measured]:
    """A slice is a folder of the server with routes of its own."""
    modules = [file for file in files if file.name != "__init__.py"]
    slices = {file.parent for file in modules if file.name == "routes.py"}
    for folder, size in sorted(Counter(file.parent for file in modules if file.parent in slices).items()):
        yield Measured(str(folder.relative_to(root)), size, SLICE_FILES)


def function_lines(function: Function) -> int:
    """Lines from ``def`` to the end, without the docstring: explaining more costs nothing."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def argument_count(function: Function) -> int:
    """Every name a caller may give; ``self`` and ``cls`` are not given."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    names = [argument.arg for argument in (*positional, *arguments.kwonlyargs)]
    variadic = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    own = 1 if names and names[0] in ("self", "cls") else 0
    return len(names) + len(variadic) - own


def is_command(function: Function) -> bool:
    """Does typer call it: decorated as a command or callback, or with options and arguments of typer's kind?"""
    calls = [decorator.func for decorator in function.decorator_list if isinstance(decorator, ast.Call)]
    if any(isinstance(call, ast.Attribute) and call.attr in ("command", "callback") for call in calls):
        return True
    declared = [*function.args.args, *function.args.kwonlyargs]
    spelled = [ast.unparse(argument.annotation) for argument in declared if argument.annotation is not None]
    return any(word in text for text in spelled for word in ("typer.Option(", "typer.Argument(", "typer.Context"))


def main() -> None:
    long = [measured for measured in measure() if measured.is_long]
    for measured in sorted(long, key=lambda one: (one.budget.unit, -one.size)):
        budget = measured.budget
        mark = "!" if measured.is_over else " "
        print(f"{mark} {measured.size:4} {budget.unit} ({budget.should}, at most {budget.may})  {measured.where}")
    print(f"{len(long)} things are longer than they should be, {sum(one.is_over for one in long)} than they may.")


if __name__ == "__main__":
    main()
