"""Runs the stages of ``make check`` and ``make check-all``, each one a target of the Makefile.

A stage that fails does not end the run. Its failed tests run a second time, alone: those that pass then are named, and
leave the stage green. More than three of them fail the run. The table of the stages is also written into ``build``.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from tools.repository import ROOT
from tools.test_results import Failure, Results, read_results

REPORTS: Final = ROOT / "build" / "check"
MAX_SECOND_TRIES: Final = 3
Runner = Literal["make", "pytest", "playwright"]
CHECK: Final[dict[str, Runner]] = {
    "lint": "make",
    "types": "make",
    "imports": "make",
    "page": "make",
    "test-check": "pytest",
    "test-stores": "pytest",
    "journeys": "pytest",
    "browser": "playwright",
}
# What takes long, depends on time or on luck, or is the same behaviour in a second set-up.
REST: Final[dict[str, Runner]] = {
    "test-extended": "pytest",
    "test-random": "pytest",
    "test-large": "pytest",
    "journeys-extended": "pytest",
    "browser-extended": "playwright",
    "packaging": "pytest",
    "hf-clients": "pytest",
    "manager-models": "pytest",
    "older-release": "pytest",
    "kills": "pytest",
    "torch": "pytest",
    "from-pretrained": "pytest",
    "container": "pytest",
}


@dataclass
class Limits:
    """How many tests may still fail, and when the last one may begin; ``make check-all`` has no such limits."""

    failures: int | None = None
    ends: float | None = None

    def get_seconds_left(self) -> int | None:
        return None if self.ends is None else max(0, round(self.ends - time.monotonic()))

    @property
    def is_reached(self) -> bool:
        return self.failures == 0 or self.get_seconds_left() == 0


@dataclass(frozen=True)
class Outcome:
    """What a stage did; ``second_tries`` are the tests that failed and passed when they ran again."""

    stage: str
    is_green: bool
    seconds: float = 0.0
    results: Results = field(default_factory=Results)
    second_tries: list[str] = field(default_factory=list)

    def format_row(self) -> str:
        verdict = "passed" if self.is_green else "FAILED" if self.seconds else "not run"
        counts = (self.results.passed, len(self.results.failures), self.results.skipped, len(self.second_tries))
        return f"| {self.stage} | {verdict} | {self.seconds:.0f} | {' | '.join(map(str, counts))} |"


def main() -> None:
    """Run the stages of ``check`` or of ``all``, or those of them that are named; exit with 1 unless all passed."""
    which, *names = sys.argv[1:]
    known = CHECK if which == "check" else CHECK | REST
    if unknown := set(names) - set(known):
        sys.exit(f"No such stage: {', '.join(sorted(unknown))}. There are {', '.join(known)}.")
    limits = Limits(failures=20, ends=time.monotonic() + 3600) if which == "check" else Limits()
    outcomes = [run_stage(name, known[name], limits) for name in names or known]
    sys.exit(report(outcomes, "check" if which == "check" else "check-all"))


def run_stage(name: str, runner: Runner, limits: Limits) -> Outcome:
    """Run a stage and, if tests fail, these once more."""
    if limits.is_reached:
        return Outcome(name, is_green=False)
    print(f"\n== {name} ==", flush=True)
    get_first_report(name, runner).unlink(missing_ok=True)
    began = time.monotonic()
    is_green = run_make(name, build_arguments(name, runner, limits))
    results = Results() if runner == "make" else read_results(get_report(name, runner))
    outcome = Outcome(name, is_green and (runner == "make" or results.passed > 0), results=results)
    if limits.failures is not None:
        limits.failures = max(0, limits.failures - len(results.failures))
    if results.failures and not limits.is_reached:
        outcome = run_second_try(outcome, runner)
    return replace(outcome, seconds=time.monotonic() - began)


def run_second_try(outcome: Outcome, runner: Runner) -> Outcome:
    """Run the failed tests of a stage once more, one at a time; the stage is green if all of them pass.

    The report of the first try is kept beside that of the second.
    """
    get_report(outcome.stage, runner).replace(get_first_report(outcome.stage, runner))
    print(f"\n== {outcome.stage}: {len(outcome.results.failures)} failed tests run a second time ==", flush=True)
    is_green = run_make(outcome.stage, build_arguments(outcome.stage, runner, Limits(), is_second_try=True))
    failures = read_results(get_report(outcome.stage, runner)).failures
    if not is_green and not failures:  # it ended before it wrote a report
        failures = outcome.results.failures
    failed = {failure.test for failure in failures}
    passed = [failure.test for failure in outcome.results.failures if failure.test not in failed]
    counts = Results(outcome.results.passed + len(passed), outcome.results.skipped, failures)
    return Outcome(outcome.stage, is_green, results=counts, second_tries=passed)


def run_make(name: str, arguments: Sequence[str]) -> bool:
    return subprocess.run(["make", "--no-print-directory", name, *arguments], cwd=ROOT, check=False).returncode == 0


def build_arguments(name: str, runner: Runner, limits: Limits, *, is_second_try: bool = False) -> list[str]:
    """Return the make variables that tell a test program where to report, when to give up, and what to repeat."""
    if runner == "make":
        return []
    get_report(name, runner).unlink(missing_ok=True)
    seconds = limits.get_seconds_left()
    if runner == "playwright":
        words = ["--last-failed", "--workers=1", "--trace=retain-on-failure"] if is_second_try else []
        words += [f"--max-failures={limits.failures}"] if limits.failures else []
        return [f"PLAYWRIGHT={' '.join([*words, *([f'--global-timeout={seconds}000'] if seconds else [])])}"]
    words = ["-o", f"cache_dir={REPORTS / name}", "-o", "junit_family=xunit1", f"--junitxml={get_report(name, runner)}"]
    words += ["--last-failed", "-n", "0"] if is_second_try else ["--durations=10", "--durations-min=2"]
    words += [f"--maxfail={limits.failures}"] if limits.failures else []
    return [f"PYTEST={' '.join([*words, *([f'--session-timeout={seconds}'] if seconds else [])])}"]


def get_report(name: str, runner: Runner) -> Path:
    return ROOT / "web" / "results" / "junit.xml" if runner == "playwright" else REPORTS / f"{name}.xml"


def get_first_report(name: str, runner: Runner) -> Path:
    """Return where the report of a first try is kept when the failed tests run a second time."""
    report = get_report(name, runner)
    return report.with_stem(f"{report.stem}-first-try")


def report(outcomes: list[Outcome], title: str) -> int:
    """Print what failed and the table, write both into ``build``, and return the exit code."""
    second_tries = [test for outcome in outcomes for test in outcome.second_tries]
    lines = [line for outcome in outcomes for line in format_failures(outcome)]
    lines += [f"passed at a second try: {test}" for test in second_tries]
    too_many = len(second_tries) > MAX_SECOND_TRIES
    if too_many:
        lines.append(f"More than {MAX_SECOND_TRIES} tests passed only at a second try: the run fails.")
    table = ["| stage | result | seconds | passed | failed | skipped | second tries |", "|---|---|---|---|---|---|---|"]
    table += [outcome.format_row() for outcome in outcomes]
    REPORTS.mkdir(parents=True, exist_ok=True)
    (REPORTS.parent / f"{title}.md").write_text("\n".join([*table, "", *lines, ""]), encoding="utf-8")
    (REPORTS.parent / "flaky.txt").write_text("".join(f"{test}\n" for test in second_tries), encoding="utf-8")
    print("", *table, "", *lines, sep="\n", flush=True)
    return int(too_many or not all(outcome.is_green for outcome in outcomes))


def format_failures(outcome: Outcome) -> list[str]:
    """Return a line for each failed test with its first line of error, and the command that runs just these."""
    if outcome.is_green or not outcome.seconds:
        return []
    failures = outcome.results.failures
    if not failures:
        return [f"FAILED {outcome.stage}: run `make {outcome.stage}`"]
    return [
        *(f"FAILED {each.test}: {each.error}" for each in failures),
        f"Run these: {build_command(outcome, failures)}",
    ]


def build_command(outcome: Outcome, failures: list[Failure]) -> str:
    if outcome.stage.startswith("browser"):
        return f'make {outcome.stage} PLAYWRIGHT="--last-failed --trace=retain-on-failure"'
    on = "MODELYARD_TEST_ON=large " if outcome.stage in ("test-stores", "test-large") else ""
    python = Path(sys.executable).relative_to(ROOT) if Path(sys.executable).is_relative_to(ROOT) else sys.executable
    return f"{on}{python} -m pytest {' '.join(repr(each.test) for each in failures)}"


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
