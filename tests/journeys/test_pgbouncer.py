"""PostgreSQL behind PgBouncer with ``pool_mode = transaction``: each transaction may be on another connection."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.command_line import CommandLine
from tests.journeys.upload_sizes import MEBIBYTE
from tests.ports import free_port
from tests.postgres import UNPRIVILEGED, RunningPostgres
from tests.running import RunningServer
from tests.waiting import PATIENCE_SECONDS, wait_until
from tools.model_files import write_safetensors

POOL_SIZE = 3
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
default_pool_size = {pool_size}
max_client_conn = 500
"""


@pytest.fixture
def pooled_url(tmp_path: Path, postgres_server: RunningPostgres) -> Iterator[str]:
    """Yield the URL of a fresh database through a PgBouncer with three server connections."""
    if shutil.which("pgbouncer") is None:
        pytest.skip("pgbouncer is not there: CONTRIBUTING.md lists what `make check-all` needs")
    port = free_port()
    file = tmp_path / "pgbouncer.ini"
    file.write_text(CONFIGURATION.format(postgres=postgres_server.port, port=port, pool_size=POOL_SIZE))
    # It refuses to run as root; the configuration is passed as a descriptor that the other user can read.
    user_options: dict[str, Any] = {"user": UNPRIVILEGED} if os.geteuid() == 0 else {}
    with (
        postgres_server.database() as url,
        (tmp_path / "pgbouncer.log").open("ab") as log,
        file.open("rb") as configuration,
    ):
        command = ["pgbouncer", f"/proc/self/fd/{configuration.fileno()}"]
        process = subprocess.Popen(command, stdout=log, stderr=log, pass_fds=[configuration.fileno()], **user_options)
        try:
            wait_until(lambda: accepts_connections(port))
            yield url.replace(f":{postgres_server.port}/", f":{port}/")
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def accepts_connections(port: int) -> bool:
    """Return whether a TCP connection to the port succeeds."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS).close()
    except OSError:
        return False
    return True


def test_server_behind_pgbouncer_uses_at_most_its_three_connections(
    pooled_url: str, postgres_server: RunningPostgres, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "loras"
    for number in range(FILES):
        write_safetensors(folder / f"{number}.safetensors", MEBIBYTE)
    with RunningServer(tmp_path / "data", database_url=pooled_url) as server:
        command_line = CommandLine(tmp_path / "home", server.url, server.owner())
        pushes = [command_line.start("push", file, "--json") for file in folder.iterdir()]
        assert [push.wait_for_exit().code for push in pushes] == [0] * FILES
        assert len(command_line.run_json("ls", "--verification", "verified")["model_list"]) == FILES

    connections = postgres_server.execute("SELECT datname FROM pg_stat_activity")
    assert 0 < connections.count((pooled_url.rpartition("/")[2],)) <= POOL_SIZE
