"""A real S3 store that keeps few promises: ``rclone serve s3`` from a wheel, on loopback.

It takes any body for a signed checksum, and writes over what is there whatever ``If-None-Match`` says.
"""

import secrets
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from tests.seaweed import plain_client

PROGRAM = Path(sysconfig.get_path("scripts")) / "rclone"
START_SECONDS = 20.0


class RunningRclone:
    """One server of a fresh folder, in which a bucket is a folder; an open one looks at no signature at all."""

    def __init__(self, *, is_open: bool = False) -> None:
        self._is_open = is_open
        self._folder = Path(tempfile.mkdtemp(prefix="modelyard-rclone-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.access_key = f"key-{secrets.token_hex(8)}"
        self.secret_key = secrets.token_urlsafe(24)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.port = int(listening.getsockname()[1])

    def __enter__(self) -> Self:
        (self._folder / "buckets").mkdir()
        self.start()
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

    def start(self) -> None:
        """Start on the same port and wait until it listens."""
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
        ends = time.monotonic() + START_SECONDS
        while not self._listens():
            assert self._process.poll() is None, self.log
            assert time.monotonic() < ends, f"rclone did not answer:\n{self.log}"
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; may be called twice."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(START_SECONDS)

    @contextmanager
    def bucket(self) -> Iterator[str]:
        """A fresh, empty bucket, by its name; deleted afterwards with all that is in it."""
        name = f"test-{uuid4().hex[:12]}"
        # It looks into its folder now and then only, so a folder that is made there is no bucket yet.
        plain_client(self.endpoint, self.access_key, self.secret_key).create_bucket(Bucket=name)
        try:
            yield name
        finally:
            shutil.rmtree(self._folder / "buckets" / name, ignore_errors=True)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=2).close()
        except OSError:
            return False
        return True
