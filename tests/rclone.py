"""A real S3 store that enforces little: ``rclone serve s3`` from a wheel, on loopback.

It accepts any body for a signed checksum, and overwrites objects despite ``If-None-Match``.
"""

import http.client
import secrets
import shutil
import signal
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from tests.ports import free_port, start_on_free_ports, wait_for_start
from tests.seaweed import create_s3_client
from tests.waiting import PATIENCE_SECONDS, PROBE_SECONDS

PROGRAM = Path(sysconfig.get_path("scripts")) / "rclone"
STOP_SECONDS = PATIENCE_SECONDS


class RunningRclone:
    """One server of a fresh folder, in which each bucket is a folder; with ``is_open`` it checks no signatures."""

    def __init__(self, *, is_open: bool = False) -> None:
        self._is_open = is_open
        self._folder = Path(tempfile.mkdtemp(prefix="modelyard-rclone-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.access_key = f"key-{secrets.token_hex(8)}"
        self.secret_key = secrets.token_urlsafe(24)
        self.choose_ports()

    def __enter__(self) -> Self:
        (self._folder / "buckets").mkdir()
        start_on_free_ports(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def choose_ports(self) -> None:
        self.port = free_port()

    def start(self) -> None:
        """Start on the same port and wait until it answers."""
        command: list[str | Path] = [
            PROGRAM,
            "serve",
            "s3",
            self._folder / "buckets",
            "--addr",
            f"127.0.0.1:{self.port}",
        ]
        command += ["--config", self._folder / "rclone.conf"]
        if not self._is_open:
            command += ["--auth-key", f"{self.access_key},{self.secret_key}"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for_start(self._process, self._is_answering, lambda: self.log)

    def stop(self, signal_number: signal.Signals = signal.SIGTERM) -> None:
        """Stop the server and wait for its exit; does nothing if it is stopped."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal_number)
            self._process.wait(STOP_SECONDS)

    @contextmanager
    def bucket(self) -> Iterator[str]:
        """Create an empty bucket, yield its name, and delete it afterwards with its content."""
        name = f"test-{uuid4().hex[:12]}"
        # It reads its folder only now and then, so creating the folder would not create the bucket at once.
        create_s3_client(self.endpoint, self.access_key, self.secret_key).create_bucket(Bucket=name)
        try:
            yield name
        finally:
            shutil.rmtree(self._folder / "buckets" / name, ignore_errors=True)

    def _is_answering(self) -> bool:
        """Return whether an S3 service answers: another program may have taken the port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PROBE_SECONDS)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().startswith(b"<?xml")
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
