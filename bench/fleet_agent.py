"""A real agent under measurement: ``modelyard agent run`` in a process of its own, on folders of its own."""

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.processes import Run, cpu_seconds, measured, peak_bytes
from bench.transfers import MODELYARD

PATIENCE_SECONDS = 300.0


class Box:
    """A machine, called as its folder is: its models, its agent's state, its key."""

    def __init__(self, home: Path, url: str, key: str) -> None:
        self.agent_id = home.name
        self.models = home / "models"
        self.models.mkdir(parents=True)
        self.state = home / "state"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
        ours = {"URL": url, "KEY": key, "CONFIG": str(home / "agent.toml"), "KEEP_FREE": "0"}
        self.environment = kept | {f"MODELYARD_AGENT_{name}": value for name, value in ours.items()}
        self.environment["XDG_STATE_HOME"] = str(self.state)
        self.command = [MODELYARD, "agent", "run", f"--models-dir={self.models}", f"--agent-id={self.agent_id}"]

    def once(self) -> Run:
        """One look, from the start of the program to its end."""
        return measured([*self.command, "--once"], self.environment)


class Daemon:
    """The agent of a box at work; ended with the block."""

    def __init__(self, box: Box) -> None:
        self.began = time.perf_counter()
        self._process = subprocess.Popen(
            box.command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=box.environment
        )
        self._lines: list[tuple[float, str]] = []
        self._ear = threading.Thread(target=self._hear)

    def __enter__(self) -> Self:
        self._ear.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()
        self._ear.join()

    def said(self, words: str) -> float:
        """When, after its start, it first logged a line with these words; waits for that."""
        self.until(lambda: any(words in line for _, line in self._lines), 0.005)
        return next(when for when, line in self._lines if words in line) - self.began

    def until(self, condition: Callable[[], bool], pause: float) -> None:
        """Wait for something that the agent should do."""
        ends = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert self._process.poll() is None, f"The agent has ended: {self._lines}"
            assert time.monotonic() < ends, f"It did not happen: {self._lines}"
            time.sleep(pause)

    @property
    def cpu_seconds(self) -> float:
        """What it has used so far."""
        return cpu_seconds(self._process.pid)

    @property
    def peak_bytes(self) -> int:
        """The most memory that it has had."""
        return peak_bytes(self._process.pid)

    def _hear(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines.append((time.perf_counter(), line.rstrip("\n")))
