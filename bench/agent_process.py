"""Measures a real agent: ``modelyard agent run`` as a process, on folders of its own."""

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.processes import Measurement, read_cpu_seconds, read_peak_bytes, run_measured
from bench.transfers import MODELYARD

MAX_WAIT_SECONDS = 300.0


class MeasuredMachine:
    """A machine named like its folder, with a models folder, and the key and state of its agent."""

    def __init__(self, home: Path, url: str, key: str) -> None:
        self.agent_id = home.name
        self.models = home / "models"
        self.models.mkdir(parents=True)
        self.state = home / "state"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
        agent_settings = {"URL": url, "KEY": key, "CONFIG": str(home / "agent.toml"), "KEEP_FREE": "0"}
        self.environment = inherited | {f"MODELYARD_AGENT_{name}": value for name, value in agent_settings.items()}
        self.environment["XDG_STATE_HOME"] = str(self.state)
        self.command = [MODELYARD, "agent", "run", f"--models-dir={self.models}", f"--agent-id={self.agent_id}"]

    def sync_once(self) -> Measurement:
        """Run ``agent run --once`` to its end and return what it used."""
        return run_measured([*self.command, "--once"], self.environment)


class RunningAgent:
    """A running agent of a machine, stopped at the end of the block; ``began`` is its start (perf_counter)."""

    def __init__(self, machine: MeasuredMachine) -> None:
        self.began = time.perf_counter()
        self._process = subprocess.Popen(
            machine.command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=machine.environment
        )
        self._lines: list[tuple[float, str]] = []
        self._reader = threading.Thread(target=self._read_log)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()
        self._reader.join()

    def wait_for_log(self, text: str) -> float:
        """Wait until the agent logs a line with this text; return the seconds since its start."""
        self.wait_until(lambda: any(text in line for _, line in self._lines), 0.005)
        return next(when for when, line in self._lines if text in line) - self.began

    def wait_until(self, condition: Callable[[], bool], pause: float) -> None:
        """Poll until the condition is True, every ``pause`` seconds; fail after 300 seconds or if the agent exits."""
        ends = time.monotonic() + MAX_WAIT_SECONDS
        while not condition():
            assert self._process.poll() is None, f"The agent has ended: {self._lines}"
            assert time.monotonic() < ends, f"The condition was still false: {self._lines}"
            time.sleep(pause)

    @property
    def cpu_seconds(self) -> float:
        """The CPU seconds that the agent has used so far."""
        return read_cpu_seconds(self._process.pid)

    @property
    def peak_bytes(self) -> int:
        """The agent's peak resident memory so far."""
        return read_peak_bytes(self._process.pid)

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines.append((time.perf_counter(), line.rstrip("\n")))
