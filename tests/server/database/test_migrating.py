"""Migrating as servers do it: several at once, and killed in the middle."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from modelyard.server.database.engine import Limits, open_migration
from modelyard.server.database.migrations import migrate, schema_state
from modelyard.server.database.session import Database
from modelyard.wire.problems import Unavailable
from tests.server.database.first_release import FirstRelease
from tests.server.database.test_migrations import differences
from tools.repository import ROOT

pytestmark = pytest.mark.slow

PROGRAM = [sys.executable, "-m", "tests.server.database.migrate_program"]


def ran(*arguments: str) -> list[str]:
    """The lines that the program prints."""
    done = subprocess.run([*PROGRAM, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_migrate_ten_servers_at_once_all_start(database_url: str) -> None:
    ran(database_url, "together", "10")
    database = Database(database_url)
    assert schema_state(database.engine) == "current"
    assert differences(database.engine) == []
    database.close()


def test_first_connections_to_new_file_at_once_all_open(tmp_path: Path) -> None:
    for number in range(20):
        url = f"sqlite:///{tmp_path / f'{number}.sqlite3'}"
        start = Barrier(10)

        def read_schema(url: str = url, start: Barrier = start) -> str:
            database = Database(url)
            start.wait()
            state = schema_state(database.engine)
            database.close()
            return state

        with ThreadPoolExecutor(10) as threads:
            states = [threads.submit(read_schema) for _ in range(10)]
        assert [state.result() for state in states] == ["behind"] * 10


@pytest.mark.parametrize(
    ("step", "kills"),
    [
        pytest.param(
            6, 6, marks=pytest.mark.extended(reason="kills at every sixth statement; the other case kills at a few")
        ),
        (100, 2),
    ],
)
def test_migrate_killed_at_any_point_keeps_old_schema(database_url: str, tmp_path: Path, step: int, kills: int) -> None:
    FirstRelease().write(database_url, tmp_path)
    *after_kills, last = ran(database_url, "killed", str(step))
    assert len(after_kills) >= kills
    assert {line.split()[0] for line in after_kills} == {"behind"}
    assert len(set(after_kills)) == 1
    assert last.startswith("current")


def test_migrate_lock_timeout_fails_start(database_url: str) -> None:
    one, other = Database(database_url), Database(database_url, Limits(migration=200))
    with open_migration(one.engine) as connection:
        connection.exec_driver_sql("SELECT 1")
        with pytest.raises(Unavailable):
            migrate(other.engine)
    migrate(other.engine)
    assert schema_state(one.engine) == "current"
    one.close()
    other.close()
