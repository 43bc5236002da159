"""A real registry in a process of its own, which can be stopped, killed and restarted on the same folder."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import httpx2
from fastapi.testclient import TestClient

from modelyard.server.data_folder import DATABASE_FILE
from tests.fork_server import CAN_FORK, StartedProcess, start_program
from tests.server.environments import create_migrated_file
from tests.server.harness import MAX_TEAMS, PASSWORD, ApiCaller
from tests.waiting import PATIENCE_SECONDS, wait_until

OWNER = "owner@studio.test"
START_SECONDS = 2 * PATIENCE_SECONDS
STOP_SECONDS = PATIENCE_SECONDS
_ANNOUNCED = re.compile(r"modelyard listens on (https?://\S+)")


class RunningServer:
    """One ``modelyard serve`` on a free port of 127.0.0.1, with the owner ``OWNER`` and the team "Studio".

        with RunningServer(tmp_path / "data") as server:
            server.owner().register(content)
            server.kill()        # SIGKILL
            server.start()       # on the same folder; on another port, unless ``port`` was given

    ``log`` has the output of the process across all restarts. ``settings`` are ``MODELYARD_*`` without the prefix.
    ``open_files`` may be set before the start: the soft and the hard limit on open files of the process. So may
    ``python``, the interpreter of an environment with another version of modelyard. Tests save more than two seconds of
    a core: the server gets a SQLite file that is migrated already, and is forked from a process that has imported it.
    Benches do neither, nor tests that set ``starts_as_users_do`` before the start.
    """

    def __init__(self, data_dir: Path, *, port: int = 0, **settings: str) -> None:
        self.data_dir = data_dir
        self.log = data_dir.with_name(f"{data_dir.name}.log")
        self.url = ""
        self._port = port
        self.open_files: tuple[int, int] | None = None
        self.python = Path(sys.executable)
        self.starts_as_users_do = False
        self._settings = settings
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
        if self._process is not None and self._process.poll() is None:
            self.kill()

    @property
    def database_url(self) -> str:
        return self._settings.get("database_url", f"sqlite:///{self.data_dir / DATABASE_FILE}")

    @property
    def pid(self) -> int:
        """The id of the running process, or of the last one."""
        assert self._process is not None
        return self._process.pid

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server, and wait until it logs that it listens.

        Raises:
            AssertionError: it exited, or logged nothing in time; the message is its log since the start.
        """
        assert not self.is_alive, "It is running already."
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.touch()
        if self._is_shortened and "database_url" not in self._settings:
            create_migrated_file(self.data_dir / DATABASE_FILE)
        log_start = self.log.stat().st_size
        self._process = self._start_process("serve", "--data-dir", str(self.data_dir), "--port", str(self._port))
        self.url = self._wait_for_url(log_start)

    def run_command(self, *arguments: str) -> str:
        """Run another command of the server with the same settings; return its output."""
        command = [str(self.python), "-m", "modelyard", *arguments]
        return subprocess.run(
            command, env=self._build_environment(), capture_output=True, text=True, timeout=START_SECONDS, check=True
        ).stdout

    def stop(self) -> int:
        """Send SIGTERM, wait until the server exits, and return its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """Send SIGKILL, as the out-of-memory killer does, and wait until the process is gone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(STOP_SECONDS)

    def client(self) -> httpx2.Client:
        """Open a plain HTTP client of the running server; it is closed at the end of the block."""
        client = httpx2.Client(base_url=self.url, timeout=PATIENCE_SECONDS, trust_env=False)
        self._clients.append(client)
        return client

    def anonymous(self) -> ApiCaller:
        """Return a caller that is not signed in."""
        # Of its client, ApiCaller uses only what every httpx2 client has.
        return ApiCaller(cast(TestClient, self.client()), None)

    def owner(self) -> ApiCaller:
        """Sign in as the owner and return a caller with the token, the user's id and the team's id."""
        owner = self.anonymous()
        response = owner.post("/auth/login", email_address=OWNER, user_password=PASSWORD)
        assert response.status_code == 200, response.text
        owner.token = response.json()["access_token"]
        me = owner.get("/users/me").json()
        owner.user_id, owner.team_id = me["id"], me["team_list"][0]["id"]
        return owner

    def create_team(self, display_name: str = "Studio North") -> ApiCaller:
        """Sign in as the owner, create an empty team, and return the owner in that team."""
        owner = self.owner()
        created = owner.post("/teams", display_name=display_name)
        assert created.status_code == 201, created.text
        owner.team_id = created.json()["id"]
        return owner

    def stranger(self, email: str = "stranger@elsewhere.test") -> ApiCaller:
        """Create a user, and return them in a team of their own."""
        invited = self.owner().post("/invitations", email_address=email, invitation_role="viewer").json()
        stranger = self.anonymous()
        stranger.post(
            "/invitations/accept",
            invitation_token=invited["invitation_token"],
            first_name="A",
            last_name="Stranger",
            user_password=PASSWORD,
        )
        signed_in = stranger.post("/auth/login", email_address=email, user_password=PASSWORD)
        assert signed_in.status_code == 200, signed_in.text
        stranger.token = signed_in.json()["access_token"]
        stranger.team_id = stranger.post("/teams", display_name="Elsewhere").json()["id"]
        return stranger

    def resident_bytes(self) -> int:
        """Return the resident memory of the process, in bytes (Linux)."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @property
    def _is_shortened(self) -> bool:
        is_default = self.python == Path(sys.executable) and self.open_files is None
        return CAN_FORK and is_default and not self.starts_as_users_do

    def _start_process(self, *arguments: str) -> StartedProcess:
        environment = self._build_environment()
        if self._is_shortened:
            return start_program(self.log, *arguments, environment=environment)
        command = [str(self.python), "-m", "modelyard", *arguments]
        if self.open_files is not None:
            limits = 'ulimit -Sn {} && ulimit -Hn {} && exec "$@"'.format(*self.open_files)
            command = ["sh", "-c", limits, "sh", *command]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def _build_environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
        server_settings = {
            "OWNER_EMAIL": OWNER,
            "OWNER_PASSWORD": PASSWORD,
            "MAX_TEAMS": str(MAX_TEAMS),
        } | self._settings
        return inherited | {f"MODELYARD_{name.upper()}": value for name, value in server_settings.items()}

    def _wait_for_url(self, log_start: int) -> str:
        """Poll the log until the server logs its URL; kill the server if it does not in time."""

        def read_output() -> str:
            return self.log.read_bytes()[log_start:].decode(errors="replace")

        def find_url() -> re.Match[str] | None:
            was_alive = self.is_alive
            announcement = _ANNOUNCED.search(read_output())
            assert announcement or was_alive, f"The server exited:\n{read_output()}"
            return announcement

        try:
            return wait_until(find_url, START_SECONDS, read_output)[1]
        except AssertionError:
            self.kill()
            raise
