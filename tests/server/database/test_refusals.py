"""A program that cannot use its database says why in one line, and ends."""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.server.database.migrations import migrate
from modelyard.server.database.session import Database
from tests.postgres import RunningPostgres

pytestmark = pytest.mark.slow

PASSWORD = secrets.token_urlsafe(16)


@pytest.fixture(scope="module")
def guarded() -> Iterator[RunningPostgres]:
    with RunningPostgres(password=PASSWORD) as server:
        yield server


def ran(command: str, url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command with this database, to its end."""
    ours = {"MODELYARD_DATABASE_URL": url, "MODELYARD_DATA_DIR": str(folder), "MODELYARD_PORT": "0"}
    program = [sys.executable, "-m", "modelyard", command]
    return subprocess.run(program, env=os.environ | ours, capture_output=True, text=True, check=False, timeout=250)


def refused(command: str, url: str, folder: Path) -> str:
    """The one line that the command says to this URL."""
    done = ran(command, url, folder)
    assert done.returncode == 1, done.stderr
    said = done.stdout + done.stderr
    for secret in ("Traceback", PASSWORD, "postgresql://"):
        assert secret not in said
    [line] = [line for line in said.splitlines() if line.startswith("modelyard: ")]
    return line


@pytest.mark.extended(
    reason="starts five programs; test_failures.py covers the messages, and the test below starts a refused program"
)
def test_start_with_denied_database_access_fails(guarded: RunningPostgres, tmp_path: Path) -> None:
    right = guarded.url()
    assert "user or password" in refused("serve", right.replace(PASSWORD, "wrong"), tmp_path)
    assert "user or password" in refused("migrate", right.replace(PASSWORD, "wrong"), tmp_path)
    assert "does not exist" in refused("serve", right.replace("/postgres", "/nowhere"), tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert "does not answer" in refused("serve", right.replace(str(guarded.port), str(port)), tmp_path)
    assert "not a valid database URL" in refused("serve", f"postgresql://modelyard:{PASSWORD}@host:port/x", tmp_path)


def test_start_with_newer_schema_fails(guarded: RunningPostgres, tmp_path: Path) -> None:
    with guarded.database() as url:
        database = Database(url)
        migrate(database.engine)
        with database.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        database.close()
        assert "newer modelyard" in refused("serve", url, tmp_path)
