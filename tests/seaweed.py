"""A real S3 store of the tests' own: SeaweedFS from a wheel, on loopback, started, stopped hard, started again."""

import http.client
import json
import secrets
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from botocore.config import Config
from botocore.session import Session

PROGRAM = Path(sysconfig.get_path("scripts")) / "weed"
START_SECONDS = 40.0
STOP_SECONDS = 20.0
# Each port has a twin for gRPC, so many above it, and below these no program is given a port by the system.
TWIN = 10_000
LOWEST_PORT, HIGHEST_PORT = 20_000, 32_000


class RunningSeaweed:
    """One SeaweedFS server with an empty folder of its own, and one identity that may do everything."""

    def __init__(self, *, volume_megabytes: int = 256) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="modelyard-seaweed-"))
        self._volume_megabytes = volume_megabytes
        self._process: subprocess.Popen[bytes] | None = None
        self._ports = dict(zip(("master", "volume", "filer", "s3"), _free_ports(4), strict=True))
        self.access_key = f"key-{secrets.token_hex(8)}"
        self.secret_key = secrets.token_urlsafe(24)

    def __enter__(self) -> Self:
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        credentials = [{"accessKey": self.access_key, "secretKey": self.secret_key}]
        identities = [{"name": "tests", "credentials": credentials, "actions": actions}]
        (self._folder / "s3.json").write_text(json.dumps({"identities": identities}))
        (self._folder / "data").mkdir()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)
        # It puts these there whatever it is told, and a killed one leaves them.
        for port in self._ports.values():
            for number in (port, port + TWIN):
                for left in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):  # noqa: S108 - not our choice
                    left.unlink(missing_ok=True)

    @property
    def port(self) -> int:
        return self._ports["s3"]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start on the same ports, with what was stored, and wait until it takes and gives bytes."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder
            )
        self._wait()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it: SIGKILL is a crash; may be called twice."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(STOP_SECONDS)

    def pause(self) -> None:
        """It accepts connections and answers nothing, until ``resume``."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def bucket(self) -> Iterator[str]:
        """A fresh, empty bucket, by its name; deleted afterwards with all that is in it.

        Each bucket has volumes of its own, so one for a whole run, with a prefix for each test, is quickest.
        """
        name, client = f"test-{uuid4().hex[:12]}", self.client()
        client.create_bucket(Bucket=name)
        try:
            yield name
        finally:
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
                for found in page.get("Contents", []):
                    client.delete_object(Bucket=name, Key=found["Key"])
            client.delete_bucket(Bucket=name)

    def client(self) -> Any:
        return plain_client(self.endpoint, self.access_key, self.secret_key)

    def _command(self) -> list[str]:
        named = {f"{part}.port": port for part, port in self._ports.items()} | {
            "dir": self._folder / "data",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "s3.config": self._folder / "s3.json",
            "master.volumeSizeLimitMB": self._volume_megabytes,
            "volume.max": 100,
            "volume.preStopSeconds": 1,
            "master.telemetry": "false",
            # A master alone waits this long, and more, for rivals when it comes back.
            "master.electionTimeout": "500ms",
            "master.heartbeatInterval": "100ms",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
        }
        return [str(PROGRAM), "server", "-filer", "-s3", *(f"-{name}={value}" for name, value in named.items())]

    def _wait(self) -> None:
        assert self._process is not None
        ends = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self.log[-4000:]
            assert time.monotonic() < ends, f"SeaweedFS did not answer:\n{self.log[-4000:]}"
            time.sleep(0.05)

    def _answers(self) -> bool:
        """Whether the S3 gateway is there (without credentials its right answer is 403), with a place to put bytes."""
        return self._get("s3", "/")[0] == 403 and b"DataNodes" in self._get("master", "/dir/status")[1]

    def _get(self, part: str, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._ports[part], timeout=2)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, whose twins are free as well."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            port = LOWEST_PORT + secrets.randbelow(HIGHEST_PORT - LOWEST_PORT)
            try:
                for number in (port, port + TWIN):
                    held.enter_context(socket.create_server(("127.0.0.1", number)))
            except OSError:
                continue
            found.append(port)
    return found


def plain_client(endpoint: str, access_key: str, secret_key: str) -> Any:
    """An S3 client of botocore's, with nothing of ours."""
    return Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )
