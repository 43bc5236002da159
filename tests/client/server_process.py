"""Start a registry in a process of its own on 127.0.0.1, and create teams in it."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelyard.client.api.registry import RegistryApi
from modelyard.server.data_folder import DATABASE_FILE
from modelyard.wire.accounts import Login
from modelyard.wire.teams import NewTeam
from tests.fork_server import CAN_FORK, StartedProcess, start_program
from tests.server.environments import create_migrated_file
from tests.server.harness import MAX_TEAMS
from tests.waiting import PATIENCE_SECONDS, wait_until

EMAIL, PASSWORD = "ada@studio.example", "a long sentence is best"
_TIMEOUT_SECONDS = 2 * PATIENCE_SECONDS


@dataclass(frozen=True)
class Team:
    """A team of one test, with the access token of its owner."""

    url: str
    token: str
    id: str

    def registry(self) -> RegistryApi:
        return RegistryApi(self.url, self.token, self.id)


@dataclass(frozen=True)
class Server:
    """A running registry and its owner's session."""

    url: str
    token: str

    def new_team(self, name: str = "Studio") -> Team:
        """Create a team that is owned by the registry's owner."""

        async def create() -> str:
            async with RegistryApi(self.url, self.token) as registry:
                return str((await registry.create_team(NewTeam(display_name=name))).id)

        return Team(self.url, self.token, asyncio.run(create()))


@contextmanager
def run_server(folder: Path) -> Iterator[Server]:
    """Run a registry while the block runs; its parts are as small as possible, so that small files have several."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "MODELYARD_OWNER_EMAIL": EMAIL,
        "MODELYARD_OWNER_PASSWORD": PASSWORD,
        "MODELYARD_SINGLE_PUT_LIMIT": "8000000",
        "MODELYARD_PART_SIZE": "5242880",
        "MODELYARD_MAX_TEAMS": str(MAX_TEAMS),
    }
    log = folder / "server.log"
    log.touch()
    if CAN_FORK:
        create_migrated_file(folder / "data" / DATABASE_FILE)
    arguments = ("serve", "--port", "0", "--data-dir", str(folder / "data"))
    process = start_program(log, *arguments, environment=environment)
    try:
        url = _wait_for_url(log, process)
        yield Server(url, asyncio.run(_log_in(url)))
    finally:
        process.terminate()
        process.wait(_TIMEOUT_SECONDS)


def _wait_for_url(log: Path, process: StartedProcess) -> str:
    """Wait until the server has logged its address, and return it; fail if it takes too long or if the server ends."""

    def find_url() -> str | None:
        assert process.poll() is None, f"The registry did not start:\n{log.read_text()}"
        for line in log.read_text().splitlines():
            if line.startswith("modelyard listens on "):
                return line.removeprefix("modelyard listens on ").strip()
        return None

    return wait_until(find_url, _TIMEOUT_SECONDS, log.read_text)


async def _log_in(url: str) -> str:
    """Sign in as the registry's owner and return the access token."""
    async with RegistryApi(url) as registry:
        return (await registry.log_in(Login(email_address=EMAIL, user_password=PASSWORD))).access_token
