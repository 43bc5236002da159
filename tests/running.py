"""A real registry in a process of its own: started, announced, stopped, killed, started again on the same folder."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import httpx2
from fastapi.testclient import TestClient

from tests.server.world import PASSWORD, Someone

OWNER = "owner@studio.test"
START_SECONDS = 120.0
STOP_SECONDS = 40.0
_ANNOUNCED = re.compile(r"modelyard listens on (https?://\S+)")


class RunningServer:
    """One ``modelyard serve`` on a free port of 127.0.0.1, with the owner ``OWNER`` and the team "Studio".

        with RunningServer(tmp_path / "data") as server:
            server.owner().register(content)
            server.kill()        # as by kill -9
            server.start()       # the same folder; another port, unless ``port`` was given

    ``log`` is everything that the process wrote, of all its lives. ``settings`` are ``MODELYARD_*`` without the prefix.
    """

    def __init__(self, data_dir: Path, *, port: int = 0, **settings: str) -> None:
        self.data_dir = data_dir
        self.log = data_dir.with_name(f"{data_dir.name}.log")
        self.url = ""
        self._port = port
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[httpx2.Client] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            client.close()
        if self._process is not None and self._process.poll() is None:
            self.kill()

    @property
    def database_url(self) -> str:
        return self._settings.get("database_url", f"sqlite:///{self.data_dir / 'modelyard.sqlite3'}")

    @property
    def pid(self) -> int:
        """The process id of the life that is running, or of the last one."""
        assert self._process is not None
        return self._process.pid

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, and wait for the announcement.

        Raises:
            AssertionError: it ended or said nothing; the message is its log.
        """
        assert not self.is_alive, "It is running already."
        self.log.touch()
        begins = self.log.stat().st_size
        command = [sys.executable, "-m", "modelyard", "serve"]
        command += ["--data-dir", str(self.data_dir), "--port", str(self._port)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment())
        self.url = self._announced(begins)

    def stop(self) -> int:
        """Ask it to end (SIGTERM), wait, and give its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """End it at once, as the out-of-memory killer or a power cut of the process would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(STOP_SECONDS)

    def client(self) -> httpx2.Client:
        """A plain HTTP client of this life; closed with the server."""
        client = httpx2.Client(base_url=self.url, timeout=30, trust_env=False)
        self._clients.append(client)
        return client

    def nobody(self) -> Someone:
        # Of its client, Someone uses only what every httpx2 client has.
        return Someone(cast(TestClient, self.client()), None)

    def owner(self) -> Someone:
        """The owner, signed in to this life, with the id of the team."""
        someone = self.nobody()
        answer = someone.post("/auth/login", email_address=OWNER, user_password=PASSWORD)
        assert answer.status_code == 200, answer.text
        someone.token = answer.json()["access_token"]
        me = someone.get("/users/me").json()
        someone.user_id, someone.team_id = me["id"], me["team_list"][0]["id"]
        return someone

    def resident_bytes(self) -> int:
        """The memory that the process holds now (Linux)."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
        ours = {"OWNER_EMAIL": OWNER, "OWNER_PASSWORD": PASSWORD} | self._settings
        return kept | {f"MODELYARD_{name.upper()}": value for name, value in ours.items()}

    def _announced(self, begins: int) -> str:
        ends = time.monotonic() + START_SECONDS
        while time.monotonic() < ends:
            said = self.log.read_bytes()[begins:].decode(errors="replace")
            if found := _ANNOUNCED.search(said):
                return found[1]
            if not self.is_alive:
                raise AssertionError(f"The server ended:\n{said}")
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"The server did not announce itself:\n{said}")
