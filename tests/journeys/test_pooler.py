"""PostgreSQL behind PgBouncer with ``pool_mode = transaction``: each transaction may be on another connection."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.program import Program
from tests.journeys.sizes import MEBIBYTE
from tests.journeys.waiting import wait_for
from tests.postgres import UNPRIVILEGED, RunningPostgres, free_port
from tests.running import RunningServer
from tools.model_files import write_safetensors

FEW = 3
FILES = 8
CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={postgres} user=modelyard
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {few}
max_client_conn = 500
"""


@pytest.fixture
def pooled(tmp_path: Path, postgres_server: RunningPostgres) -> Iterator[str]:
    """A fresh database, by a URL that leads there through a pooler with very few connections."""
    if shutil.which("pgbouncer") is None:
        pytest.skip("pgbouncer stands in between")
    port = free_port()
    file = tmp_path / "pgbouncer.ini"
    file.write_text(CONFIGURATION.format(postgres=postgres_server.port, port=port, few=FEW))
    # It refuses to run as root, and reads its configuration before it knows who it is.
    as_whom: dict[str, Any] = {"user": UNPRIVILEGED} if os.geteuid() == 0 else {}
    with postgres_server.database() as url, (tmp_path / "pgbouncer.log").open("ab") as log, file.open("rb") as read:
        command = ["pgbouncer", f"/proc/self/fd/{read.fileno()}"]
        process = subprocess.Popen(command, stdout=log, stderr=log, pass_fds=[read.fileno()], **as_whom)
        try:
            wait_for(lambda: answers(port))
            yield url.replace(f":{postgres_server.port}/", f":{port}/")
        finally:
            process.terminate()
            process.wait(30)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_servers_work_through_a_pooler_that_has_far_fewer_connections(
    pooled: str, postgres_server: RunningPostgres, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "loras"
    for number in range(FILES):
        write_safetensors(folder / f"{number}.safetensors", MEBIBYTE)
    with RunningServer(tmp_path / "data", database_url=pooled) as server:
        person = Program(tmp_path / "home", server.url, server.owner())
        pushes = [person.start("push", file, "--json") for file in folder.iterdir()]
        assert [push.end().code for push in pushes] == [0] * FILES
        assert len(person.ask("ls", "--verification", "verified")["model_list"]) == FILES

    connections = postgres_server.execute("SELECT datname FROM pg_stat_activity")
    assert 0 < connections.count((pooled.rpartition("/")[2],)) <= FEW
