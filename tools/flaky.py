"""Repeats tests beside two busy processes, and prints how often each one failed.

``make flaky TIMES=20 PYTEST="tests/sync -k retry"`` runs it.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tools.repository import ROOT
from tools.test_results import Results, read_results

# It ends with the process that started it, also if that is killed.
BUSY: Final = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"
NEIGHBOURS: Final = 2


def main() -> None:
    """Run pytest ``TIMES`` times with the arguments after it; exit with 1 if a test failed."""
    times, *arguments = sys.argv[1:]
    failed = Counter[str]()
    with running_neighbours(), TemporaryDirectory() as folder:
        for number in range(1, int(times) + 1):
            results = run_tests(arguments, Path(folder) / f"{number}.xml")
            failed.update(failure.test for failure in results.failures)
            print(f"run {number} of {times}: {results.passed} passed, {len(results.failures)} failed", flush=True)
    for test, count in failed.most_common():
        print(f"failed {count} of {times}: {test}")
    sys.exit(bool(failed))


@contextmanager
def running_neighbours() -> Iterator[None]:
    """Keep processors busy until the block ends."""
    neighbours = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(NEIGHBOURS)]
    try:
        yield
    finally:
        for process in neighbours:
            process.kill()
            process.wait()


def run_tests(arguments: list[str], report: Path) -> Results:
    """Run the tests once and return their results.

    Raises:
        SystemExit: pytest ran no test, for example since it does not know an argument.
    """
    options = ["-n", "2", "-p", "no:cacheprovider", "--quiet", "-o", "junit_family=xunit1", f"--junitxml={report}"]
    command = [sys.executable, "-m", "pytest", *options, *arguments]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    results = read_results(report)
    if not results.passed and not results.failures:
        sys.exit(finished.stdout + finished.stderr)
    return results


if __name__ == "__main__":
    main()
