"""Memory and CPU of a server that is idle, receives files and sends files, on SQLite and on PostgreSQL with a bucket.

`python -m bench.sizing` prints the table of docs/operate.md.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.processes import read_peak_bytes
from bench.table import Table, describe_machine
from tests.journeys.command_line import CommandLine
from tests.journeys.postgres_and_bucket import create_database_and_bucket
from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tools.model_files import write_safetensors

CONCURRENT_FILES = 3
IDLE_SECONDS = 20
COLUMNS = ["set-up", "while", "server's memory", "server's CPU"]


class ServerUsage:
    """The memory and CPU that one server used, as table rows, one for each measured activity."""

    def __init__(self, set_up: str, server: RunningServer) -> None:
        self.rows: list[list[str]] = []
        self._set_up, self._server = set_up, server
        self._cpu = self._cpu_seconds()

    def add_row(self, activity: str, gigabytes: float) -> None:
        """Add a row for the CPU since the last row, and the process's peak memory so far."""
        used, self._cpu = self._cpu_seconds() - self._cpu, self._cpu_seconds()
        cpu = f"{used / gigabytes:.1f} s a GB" if gigabytes else f"{used / IDLE_SECONDS:.1%} of a core"
        self.rows.append([self._set_up, activity, f"{read_peak_bytes(self._server.pid) / 2**20:.0f} MiB", cpu])

    def _cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(home: Path, size: int, set_up: str, settings: dict[str, str]) -> list[list[str]]:
    """Measure one kind of registry and return its table rows."""
    gigabytes = size / 1e9
    with RunningServer(home / "data", port=0, **settings) as server:
        command_line = CommandLine(home, server.url, server.owner())
        usage = ServerUsage(set_up, server)
        time.sleep(IDLE_SECONDS)
        usage.add_row("idle", 0)
        files = [home / "models" / "loras" / f"{number}.safetensors" for number in range(CONCURRENT_FILES + 1)]
        for file in files:
            write_safetensors(file, size)
        _run_concurrently(command_line, [["push", files[0]]])
        usage.add_row("one upload", gigabytes)
        _run_concurrently(command_line, [["push", file] for file in files[1:]])
        usage.add_row(f"{CONCURRENT_FILES} uploads at once", CONCURRENT_FILES * gigabytes)
        _run_concurrently(command_line, [["pull", file.name, "-o", home / file.stem] for file in files])
        usage.add_row(f"{len(files)} downloads at once", len(files) * gigabytes)
    return usage.rows


def _run_concurrently(command_line: CommandLine, commands: list[list[object]]) -> None:
    """Run commands concurrently, and wait until the registry has verified all models."""
    for running in [command_line.start(*command) for command in commands]:
        result = running.wait_for_exit()
        if result.code:
            raise RuntimeError(result.err)
    while command_line.run_json("ls", "--verification", "pending")["model_list"]:
        time.sleep(0.5)


@contextmanager
def _create_large_settings() -> Iterator[dict[str, str]]:
    with ExitStack() as stack:
        postgres = stack.enter_context(RunningPostgres())
        seaweed = stack.enter_context(RunningSeaweed())
        yield stack.enter_context(create_database_and_bucket(postgres, seaweed))


def main() -> None:
    """Measure both kinds of registry and print the table."""
    options = argparse.ArgumentParser(prog="python -m bench.sizing", description=__doc__)
    options.add_argument("--megabytes", type=int, default=1000, help="size of each file")
    size = options.parse_args().megabytes * 10**6
    with tempfile.TemporaryDirectory(prefix="modelyard-sizing-") as small_home:
        rows = measure(Path(small_home), size, "SQLite, folder", {})
    with tempfile.TemporaryDirectory(prefix="modelyard-sizing-") as large_home, _create_large_settings() as settings:
        rows += measure(Path(large_home), size, "PostgreSQL, bucket", settings)
    sys.stdout.write(f"{describe_machine()}\n\n{Table('How large', COLUMNS, rows).as_markdown()}\n")


if __name__ == "__main__":
    main()
