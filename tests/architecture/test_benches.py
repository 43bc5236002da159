"""The benches, which CI does not run, import, build their argument parsers, and keep the goals of several runs."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import bench
from bench.neighbours.flood import Flood, FloodFailedError, send_flood
from bench.results import Results, merge_results, read_results, save_results
from bench.table import Goal
from tests.ports import free_port
from tools.repository import ROOT

# Seconds each, most of them imports.
PROGRAM = pytest.mark.extended(reason="starts a program of a bench; the first test imports all that each needs")

# These need packages of the environment of the peers, ``.venv-bench``.
OF_PEER_ENVIRONMENT = {"bench.plot", "bench.s3_boto3"}
MODULES = sorted({module.name for module in pkgutil.walk_packages(bench.__path__, "bench.")} - OF_PEER_ENVIRONMENT)


@pytest.mark.parametrize("name", MODULES)
def test_import_bench_module_raises_nothing(name: str) -> None:
    importlib.import_module(name)


@PROGRAM
@pytest.mark.parametrize("name", ["bench", "bench.compare_commits", "bench.neighbours", "bench.sizing"])
def test_bench_program_with_help_prints_its_arguments(name: str) -> None:
    shown = subprocess.run([sys.executable, "-m", name, "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--help" in shown.stdout


def test_send_flood_without_a_server_raises_flood_failed() -> None:
    arguments = [str(free_port()), "/", "1"]
    flood = Flood([], "send_brackets", arguments, frozenset({"401", "none"}), frozenset({"401"}))
    with pytest.raises(FloodFailedError), send_flood(flood):
        pass


PUSH, SLOWER_PUSH = Goal("push / limit", 0.9, 0.8), Goal("push / limit", 0.7, 0.8)
IDLE = Goal("idle, % of one core", 2.5, 3, at_least=False)


def test_save_results_replaces_goals_of_same_name_and_keeps_others(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    save_results(file, Results("2 cores", (PUSH, IDLE)))
    assert save_results(file, Results("2 cores", (SLOWER_PUSH,))) == read_results(file)
    assert read_results(file).goals == (SLOWER_PUSH, IDLE)


def test_merge_results_takes_the_goals_of_all_files_and_the_last_of_each_name(tmp_path: Path) -> None:
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    save_results(files[0], Results("2 cores", (PUSH,)))
    save_results(files[1], Results("2 cores", (IDLE, SLOWER_PUSH)))
    assert merge_results(files) == Results("2 cores", (SLOWER_PUSH, IDLE))


def test_results_of_two_machines_are_not_merged_and_leave_the_file_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    save_results(file, Results("2 cores", (PUSH,)))
    with pytest.raises(ValueError, match="two machines"):
        save_results(file, Results("64 cores", (IDLE,)))
    assert read_results(file) == Results("2 cores", (PUSH,))


def test_save_results_replaces_the_file_instead_of_writing_into_it(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    save_results(file, Results("2 cores", (PUSH,)))
    before = file.read_text(encoding="utf-8")
    with file.open(encoding="utf-8") as opened:
        save_results(file, Results("2 cores", (IDLE,)))
        assert opened.read() == before
    assert [each.name for each in tmp_path.iterdir()] == ["results.json"]


@PROGRAM
def test_bench_with_saved_results_of_another_machine_measures_nothing(tmp_path: Path) -> None:
    save_results(tmp_path / "results.json", Results("64 cores", (PUSH,)))
    command = [sys.executable, "-m", "bench", "--only", "s3", "--save", str(tmp_path / "results.json")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, "two machines" in ran.stderr, ran.stdout) == (2, True, "")


def test_make_bench_with_several_results_says_to_name_one() -> None:
    command = ["make", "--dry-run", "bench-fleet", "RESULTS=a.json b.json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, "Name the one" in ran.stderr) == (2, True)


@PROGRAM
def test_bench_with_results_and_without_plot_says_what_to_add(tmp_path: Path) -> None:
    save_results(tmp_path / "results.json", Results("2 cores", (PUSH,)))
    command = [sys.executable, "-m", "bench", "--results", str(tmp_path / "results.json")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, "--plot SVG" in ran.stderr) == (2, True)
