"""Machines whose agents run as processes, and a thread that polls and hashes a machine's model files."""

import hashlib
import os
import signal
import subprocess
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.fork_server import StartedProcess, start_program
from tests.journeys.command_line import MODELYARD
from tests.server.harness import ApiCaller
from tests.waiting import PATIENCE_SECONDS

# The formats that journeys use.
_MODEL_SUFFIXES = {".safetensors", ".pt"}
# A second, far longer than the resolution of the times of files: no write leaves them as they were.
_SETTLED_ROUNDS = 50


class Machine:
    """A machine with an agent key of its own and a folder laid out like ComfyUI's."""

    def __init__(self, folder: Path, url: str, key: str, **settings: str) -> None:
        self.models = folder / "ComfyUI" / "models"
        self.models.mkdir(parents=True)
        self.log = folder / "agent.log"
        agent_settings = {"URL": url, "KEY": key, "CONFIG": str(folder / "agent.toml"), "KEEP_FREE": "0"} | settings
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
        self._environment |= {f"MODELYARD_AGENT_{name}": value for name, value in agent_settings.items()}
        self._environment["XDG_STATE_HOME"] = str(folder / "state")
        self.arguments = ("agent", "run", "--comfyui", str(self.models.parent), "--agent-id", folder.name)

    def start(self) -> "subprocess.Popen[bytes]":
        """Start ``modelyard agent run`` as a process; its output is appended to ``log``."""
        command = [str(MODELYARD), *self.arguments]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment)

    def start_forked(self) -> StartedProcess:
        """Do the same as ``start`` in milliseconds, from a fork server if possible."""
        return start_program(self.log, *self.arguments, environment=self._environment)

    def has_file(self, path: str, content: bytes) -> bool:
        """Return whether the file at this path below ``models`` has exactly this content."""
        file = self.models / path
        return file.is_file() and file.read_bytes() == content

    def list_work_files(self) -> list[str]:
        """List the names in the machine's work folder, without the trash; empty if there is no work folder."""
        work = self.models / ".modelyard"
        return [path.name for path in work.iterdir() if path.name != "trash"] if work.is_dir() else []

    def get_partial_times(self) -> dict[str, int]:
        """Return when each partial file was last written, in nanoseconds, by its name."""
        work = self.models / ".modelyard"
        return {file.name: file.stat().st_mtime_ns for file in work.glob("*.part")}


def create_machine(team: ApiCaller, folder: Path, url: str, **settings: str) -> Machine:
    """Create a machine named like the folder, with a new agent key of the team."""
    created: dict[str, Any] = team.post("/credentials", kind="agent", display_name=folder.name).json()
    return Machine(folder, url, created["raw_key"], **settings)


@contextmanager
def running_agents(machines: Sequence[Machine]) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Run the machines' agents until the block ends, and check that each exits with 0."""
    agents = [machine.start() for machine in machines]
    try:
        yield agents
    finally:
        for agent in agents:
            agent.send_signal(signal.SIGTERM)
        codes = [agent.wait(PATIENCE_SECONDS) for agent in agents]
    assert codes == [0] * len(agents)


def get_resident_bytes(process: "subprocess.Popen[bytes]") -> int:
    """Return the resident memory of a running process, in bytes (Linux)."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class FilePoller:
    """Reads every file that ComfyUI can see, every 20 ms on a thread, until the block ends.

    A file whose inode, size and times have not changed for 50 rounds is not read again until they do.

    ``digests`` counts in how many rounds each content was seen, by SHA-256; ``first_seen`` has, by path and SHA-256,
    the time before the content was read first; ``gaps`` counts how often a path of ``steady`` was missing after it
    had existed; ``polls`` the rounds.
    """

    def __init__(self, models: Path, steady: tuple[str, ...] = ()) -> None:
        self.digests = Counter[str]()
        self.first_seen = defaultdict[str, dict[str, datetime]](dict)
        self.polls = 0
        self.gaps = Counter[str]()
        self._last: dict[Path, _Read] = {}
        self._models = models
        self._steady = steady
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def has_seen(self, content: bytes) -> bool:
        """Return whether a visible file ever had this content."""
        return hashlib.sha256(content).hexdigest() in self.digests

    def has_seen_more_than(self, count: int) -> bool:
        """Return whether visible files have had more than ``count`` different contents."""
        return len(self.digests) > count

    def _run(self) -> None:
        """Poll until stopped: count missing steady paths, and hash every visible model file."""
        arrived = set[str]()
        while not self._stopped.wait(0.02):
            self.polls += 1
            for path in self._steady:
                is_there = (self._models / path).exists()
                self.gaps[path] += path in arrived and not is_there
                arrived |= {path} if is_there else set()
            for file in self._models.rglob("*"):
                if file.suffix in _MODEL_SUFFIXES and ".modelyard" not in file.parts:
                    self._record_content(file)

    def _record_content(self, file: Path) -> None:
        """Count the content of a file by its SHA-256; a file that is gone meanwhile is ignored."""
        moment = datetime.now(UTC)
        try:
            digest = self._compute_digest(file)
        except FileNotFoundError:
            return
        self.first_seen[str(file.relative_to(self._models))].setdefault(digest, moment)
        self.digests[digest] += 1

    def _compute_digest(self, file: Path) -> str:
        """Return the SHA-256 of a file; that of the last round, if its state has not changed for a second of rounds."""
        status = file.stat()
        state = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        last = self._last.get(file)
        rounds = last.rounds + 1 if last is not None and last.state == state else 0
        if last is None or rounds < _SETTLED_ROUNDS:
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
        else:
            digest = last.digest
        self._last[file] = _Read(state, digest, rounds)
        return digest


class _Read(NamedTuple):
    """The state and SHA-256 of a file, and for how many rounds its state has been the same."""

    state: tuple[int, ...]
    digest: str
    rounds: int
