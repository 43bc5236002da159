"""A real registry in a process of its own on 127.0.0.1, and a team of its own for every test."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelyard.client.registry import Registry
from modelyard.wire.accounts import Login
from modelyard.wire.teams import NewTeam

EMAIL, PASSWORD = "ada@studio.example", "a long sentence is best"
_PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class Team:
    """A team nobody else uses, and its owner's access token."""

    url: str
    token: str
    id: str

    def registry(self) -> Registry:
        return Registry(self.url, self.token, self.id)


@dataclass(frozen=True)
class Server:
    """A running registry and its owner's session."""

    url: str
    token: str

    def new_team(self, name: str = "Studio") -> Team:
        async def made() -> str:
            async with Registry(self.url, self.token) as registry:
                return str((await registry.create_team(NewTeam(display_name=name))).id)

        return Team(self.url, self.token, asyncio.run(made()))


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """Parts are as small as the registry allows, so that a small file has several."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "MODELYARD_OWNER_EMAIL": EMAIL,
        "MODELYARD_OWNER_PASSWORD": PASSWORD,
        "MODELYARD_SINGLE_PUT_LIMIT": "8000000",
        "MODELYARD_PART_SIZE": "5242880",
    }
    command = [sys.executable, "-m", "modelyard", "serve", "--port", "0", "--data-dir", str(folder / "data")]
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        url = _listening(log, process)
        yield Server(url, asyncio.run(_token(url)))
    finally:
        process.terminate()
        process.wait(_PATIENCE_SECONDS)


def _listening(log: Path, process: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end and process.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith("modelyard listens on "):
                return line.removeprefix("modelyard listens on ").strip()
        time.sleep(0.05)
    raise AssertionError(f"The registry did not start:\n{log.read_text()}")


async def _token(url: str) -> str:
    async with Registry(url) as registry:
        return (await registry.log_in(Login(email_address=EMAIL, user_password=PASSWORD))).access_token
