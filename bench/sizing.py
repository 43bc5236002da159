"""What a server needs: its memory and CPU at rest, while files come in and while they go out, on both set-ups.

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

from bench.processes import peak_bytes
from bench.table import Table, machine
from tests.journeys.large import large
from tests.journeys.program import Program
from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tools.model_files import write_safetensors

AT_ONCE = 3
REST_SECONDS = 20
COLUMNS = ["set-up", "while", "server's memory", "server's CPU"]


class Watched:
    """One server at work: what it used since the last look."""

    def __init__(self, set_up: str, server: RunningServer) -> None:
        self.rows: list[list[str]] = []
        self._set_up, self._server = set_up, server
        self._cpu = self._cpu_seconds()

    def note(self, what: str, gigabytes: float) -> None:
        """A row for what has just been done; the memory is the most that the process has had so far."""
        used, self._cpu = self._cpu_seconds() - self._cpu, self._cpu_seconds()
        cpu = f"{used / gigabytes:.1f} s a GB" if gigabytes else f"{used / REST_SECONDS:.1%} of a core"
        self.rows.append([self._set_up, what, f"{peak_bytes(self._server.pid) / 2**20:.0f} MiB", cpu])

    def _cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._server.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(home: Path, size: int, set_up: str, settings: dict[str, str]) -> list[list[str]]:
    """The rows of one set-up."""
    gigabytes = size / 1e9
    with RunningServer(home / "data", port=0, **settings) as server:
        person = Program(home, server.url, server.owner())
        watched = Watched(set_up, server)
        time.sleep(REST_SECONDS)
        watched.note("nothing happens", 0)
        files = [home / "models" / "loras" / f"{number}.safetensors" for number in range(AT_ONCE + 1)]
        for file in files:
            write_safetensors(file, size)
        _all_end(person, [["push", files[0]]])
        watched.note("one file comes in", gigabytes)
        _all_end(person, [["push", file] for file in files[1:]])
        watched.note(f"{AT_ONCE} files come in at once", AT_ONCE * gigabytes)
        _all_end(person, [["pull", file.name, "-o", home / file.stem] for file in files])
        watched.note(f"{len(files)} files go out at once", len(files) * gigabytes)
    return watched.rows


def _all_end(person: Program, commands: list[list[object]]) -> None:
    """Run these at once, and wait until the registry has read what they brought."""
    for running in [person.start(*command) for command in commands]:
        ended = running.end()
        if ended.code:
            raise RuntimeError(ended.err)
    while person.ask("ls", "--verification", "pending")["model_list"]:
        time.sleep(0.5)


@contextmanager
def _large() -> Iterator[dict[str, str]]:
    with ExitStack() as opened:
        postgres = opened.enter_context(RunningPostgres())
        seaweed = opened.enter_context(RunningSeaweed())
        yield opened.enter_context(large(postgres, seaweed))


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m bench.sizing", description=__doc__)
    options.add_argument("--megabytes", type=int, default=1000, help="size of each file")
    size = options.parse_args().megabytes * 10**6
    with tempfile.TemporaryDirectory(prefix="modelyard-sizing-") as small_home:
        rows = measure(Path(small_home), size, "SQLite, folder", {})
    with tempfile.TemporaryDirectory(prefix="modelyard-sizing-") as large_home, _large() as settings:
        rows += measure(Path(large_home), size, "PostgreSQL, bucket", settings)
    sys.stdout.write(f"{machine()}\n\n{Table('How large', COLUMNS, rows).as_markdown()}\n")


if __name__ == "__main__":
    main()
