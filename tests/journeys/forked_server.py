"""A registry server that restarts on its port, and whose start can be held until a tracer has attached.

A sweep that kills the server after every system call of every operation needs hundreds of restarts.
"""

import os
import re
import signal
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import httpx2
from fastapi.testclient import TestClient

from tests.fork_server import StartedProcess, start_program
from tests.running import OWNER, START_SECONDS
from tests.server.harness import MAX_TEAMS, PASSWORD, ApiCaller
from tests.waiting import PATIENCE_SECONDS, wait_until

_ANNOUNCED = re.compile(r"modelyard listens on (https?://\S+)")


class ForkedServer:
    """The server of one data folder, restarted many times. ``settings`` are ``MODELYARD_*`` without the prefix."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.log = data_dir.with_name(f"{data_dir.name}.log")
        # While this file exists, a started process waits, so that a tracer can attach before it does anything.
        self.gate = self.log.with_name(f"{self.log.name}.gate")
        self.url = ""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
        server_settings = {"OWNER_EMAIL": OWNER, "OWNER_PASSWORD": PASSWORD, "MAX_TEAMS": str(MAX_TEAMS)} | settings
        self._environment = inherited | {f"MODELYARD_{name.upper()}": value for name, value in server_settings.items()}
        self._process: StartedProcess | None = None
        self._clients: list[httpx2.Client] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            client.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_SECONDS)

    @property
    def pid(self) -> int:
        """The id of the process that was started last."""
        return self._running.pid

    def start(self) -> None:
        """Start the server on the same port as before, and wait until it logs that it listens.

        Raises:
            AssertionError: it did not in time; the message is the end of its log.
        """
        self.log.touch()
        begins = self.log.stat().st_size
        # The same port, so that signed URLs stay valid across restarts.
        self._start_process("serve", "--data-dir", str(self.data_dir), "--port", self.url.rpartition(":")[2] or "0")
        announcement = wait_until(
            lambda: _ANNOUNCED.search(self.log.read_bytes()[begins:].decode(errors="replace")),
            START_SECONDS,
            lambda: f"The server did not announce itself:\n{self.log.read_text()[-3000:]}",
        )
        self.url = announcement[1]

    def wait_for_exit(self) -> int:
        """Wait until the process ends and return its exit code; minus the signal number if a signal killed it."""
        return self._running.wait()

    def signal_and_wait(self, signal_number: signal.Signals) -> int:
        """Send the process a signal, wait until it ends, and return its exit code."""
        self._running.send_signal(signal_number)
        return self._running.wait()

    def run_command(self, *arguments: str) -> int:
        """Run another server command on the data folder while the server is stopped; return its exit code."""
        self.start_command(*arguments)
        return self.wait_for_exit()

    def start_command(self, *arguments: str) -> None:
        """Start such a command; ``wait_for_exit`` returns its exit code."""
        self._start_process(*arguments, "--data-dir", str(self.data_dir))

    def open_caller(self, known: ApiCaller | None = None) -> ApiCaller:
        """Open a client of the running server with the token and team of ``known``; anonymous if that is None."""
        client = httpx2.Client(base_url=self.url, timeout=PATIENCE_SECONDS, trust_env=False)
        self._clients.append(client)
        # Of its client, ApiCaller uses only what every httpx2 client has.
        caller = ApiCaller(cast(TestClient, client), None)
        if known is not None:
            caller.token, caller.team_id, caller.user_id = known.token, known.team_id, known.user_id
        return caller

    def owner(self) -> ApiCaller:
        """Return a caller signed in as the owner, with the team's id."""
        owner = self.open_caller()
        response = owner.post("/auth/login", email_address=OWNER, user_password=PASSWORD)
        assert response.status_code == 200, response.text
        owner.token = response.json()["access_token"]
        owner.team_id = owner.get("/users/me").json()["team_list"][0]["id"]
        return owner

    @property
    def _running(self) -> StartedProcess:
        assert self._process is not None
        return self._process

    def _start_process(self, *arguments: str) -> None:
        assert self._process is None or self._process.poll() is not None, "It is running already."
        self._process = start_program(self.log, *arguments, environment=self._environment, gate=self.gate)
