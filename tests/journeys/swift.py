"""A registry that is back in a quarter of a second, since its lives come from a nursery.

A sweep over every system call of every operation needs a hundred lives.
"""

import os
import re
import signal
import time
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import httpx2
from fastapi.testclient import TestClient

from tests.journeys.nursery import Nursery
from tests.running import OWNER, START_SECONDS
from tests.server.world import PASSWORD, Someone

_ANNOUNCED = re.compile(r"modelyard listens on (https?://\S+)")


class SwiftServer:
    """One folder and its server, life after life. ``settings`` are ``MODELYARD_*`` without the prefix."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.log = data_dir.with_name(f"{data_dir.name}.log")
        # While it is there, a life that began does nothing: whoever watches its steps is not ready.
        self.gate = self.log.with_name(f"{self.log.name}.gate")
        self.url = ""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
        ours = {"OWNER_EMAIL": OWNER, "OWNER_PASSWORD": PASSWORD} | settings
        environment = kept | {f"MODELYARD_{name.upper()}": value for name, value in ours.items()}
        self._nursery = Nursery(["modelyard.server.main"], environment)
        self._clients: list[httpx2.Client] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            client.close()
        self._nursery.__exit__(kind, error, trace)

    @property
    def pid(self) -> int:
        """The process id of the life that is running; 0 between two."""
        return self._nursery.pid

    def start(self) -> None:
        """Begin a life, and wait for its announcement.

        Raises:
            AssertionError: it said nothing; the message is its log.
        """
        self.log.touch()
        begins = self.log.stat().st_size
        # Signed URLs of one life are good in the next: it has the same address.
        self._ask("serve", "--data-dir", str(self.data_dir), "--port", self.url.rpartition(":")[2] or "0")
        ends = time.monotonic() + START_SECONDS
        while not (found := _ANNOUNCED.search(self.log.read_bytes()[begins:].decode(errors="replace"))):
            assert time.monotonic() < ends, f"The server did not announce itself:\n{self.log.read_text()[-3000:]}"
            time.sleep(0.01)
        self.url = found[1]

    def wait(self) -> int:
        """The exit code of the life that is ending; minus the signal for one that was killed."""
        return self._nursery.wait()

    def end(self, number: signal.Signals) -> int:
        """Send a signal, wait for the end, and give the exit code."""
        return self._nursery.end(number)

    def command(self, *arguments: str) -> int:
        """Run another of the server's commands on the same folder, between two lives; its exit code."""
        self.begin(*arguments)
        return self.wait()

    def begin(self, *arguments: str) -> None:
        """Begin such a command; ``wait`` gives how it ended."""
        self._ask(*arguments, "--data-dir", str(self.data_dir))

    def someone(self, known: Someone | None = None) -> Someone:
        """Who ``known`` was in an earlier life, or nobody, before this one."""
        client = httpx2.Client(base_url=self.url, timeout=20, trust_env=False)
        self._clients.append(client)
        # Of its client, Someone uses only what every httpx2 client has.
        found = Someone(cast(TestClient, client), None)
        if known is not None:
            found.token, found.team_id, found.user_id = known.token, known.team_id, known.user_id
        return found

    def owner(self) -> Someone:
        """The owner, signed in, with the id of the team."""
        someone = self.someone()
        answer = someone.post("/auth/login", email_address=OWNER, user_password=PASSWORD)
        assert answer.status_code == 200, answer.text
        someone.token = answer.json()["access_token"]
        someone.team_id = someone.get("/users/me").json()["team_list"][0]["id"]
        return someone

    def _ask(self, *arguments: str) -> None:
        self._nursery.begin(self.log, *arguments)
