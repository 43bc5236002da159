"""How tests wait, and with which bounds: without sleeps, comparisons with a clock, or short bounds.

Options of the product, such as ``Limits(read_seconds=0.1)``, are no bounds: those have the names below.
"""

import ast
from collections.abc import Iterator

import pytest

from tools.repository import ROOT, tracked_files

pytestmark = pytest.mark.slow

# How others wait; a sleep as the subject; a program of another environment; one that is ``flaky`` until mended.
ALLOWED = {"waiting.py", "architecture/test_no_blocking_calls.py"}
ALLOWED |= {"journeys/generated_clients/main_job.py", "journeys/test_stalled_bucket.py"}
SLEEPS = {"sleep", "time.sleep", "asyncio.sleep", "anyio.sleep"}
CLOCKS = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "thread_time"}
ORDERS = ast.Lt | ast.LtE | ast.Gt | ast.GtE
DURATIONS = {"elapsed", "took", "duration"}
MIN_BOUND_SECONDS = 30
BOUND_NAMES = {"timeout", "connect_timeout", "seconds"}
# Functions that take a bound by position, and its position.
BOUNDS = {"wait": 0, "join": 0, "result": 0, "exception": 0, "settimeout": 0, "timeout": 0, "fail_after": 0}
BOUNDS |= {"wait_for": 1, "wait_until": 1, "wait_until_async": 1}
FAULTS = ["time.sleep(1)", "assert elapsed < 5", "x = monotonic() - began", "event.wait(5)", "run(timeout=5)"]
RIGHT = ["await asyncio.sleep(0)", "while not event.wait(0.1): pass", "timedelta(seconds=1)"]


def find_faults(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line of each sleep, measurement of time and short bound, and which of these it is."""
    nodes = list(ast.walk(module))
    constants = {ast.unparse(node.targets[0]): node.value for node in nodes if isinstance(node, ast.Assign)}
    # A wait in the head of a loop is the pause between its rounds.
    pauses = {part for node in nodes if isinstance(node, ast.While) for part in ast.walk(node.test)}
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from ((line, "measured time") for line in find_comparisons(node))
        if not isinstance(node, ast.Call):
            continue
        name, first = ast.unparse(node.func), node.args[0] if node.args else None
        if name in SLEEPS and not (isinstance(first, ast.Constant) and first.value == 0):
            yield node.lineno, "sleep"
        name = name.rpartition(".")[2]
        bounds = [each.value for each in node.keywords if each.arg in BOUND_NAMES and name != "timedelta"]
        bounds += [] if node in pauses or name not in BOUNDS else node.args[BOUNDS[name] :][:1]
        for bound in (constants.get(ast.unparse(each), each) for each in bounds):
            value = bound.value if isinstance(bound, ast.Constant) else None
            if isinstance(value, int | float) and 0 < value < MIN_BOUND_SECONDS:
                yield node.lineno, "short bound"


def find_comparisons(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[int]:
    """Yield the line of each comparison or difference of clocks, or of names to which the function gives their time."""
    times = {*CLOCKS, *DURATIONS, "time.time", "loop.time"}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and times & list_names(node.value):
            times |= set().union(*(list_names(target) for target in node.targets))
    for node in ast.walk(function):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ORDERS) and times & list_names(node):
            yield node.lineno
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and CLOCKS & list_names(node.left):
            yield node.lineno


def list_names(expression: ast.expr) -> set[str]:
    named = [ast.unparse(part) for part in ast.walk(expression) if isinstance(part, ast.Name | ast.Attribute)]
    return {*named, *(name.rpartition(".")[2] for name in named)}


def test_tests_wait_for_conditions_with_generous_bounds() -> None:
    files = [file for file in tracked_files(".py") if file.is_relative_to(ROOT / "tests")]
    files = [file for file in files if str(file.relative_to(ROOT / "tests")) not in ALLOWED]
    faults = {file: set(find_faults(ast.parse(file.read_text(encoding="utf-8")))) for file in files}
    assert [f"{file}:{line}: {kind}" for file in files for line, kind in sorted(faults[file])] == []


@pytest.mark.parametrize("line", FAULTS + RIGHT)
def test_find_faults_in_function_finds_sleeps_measured_times_and_short_bounds_only(line: str) -> None:
    assert bool([*find_faults(ast.parse(f"async def test():\n    {line}"))]) == (line in FAULTS)
