"""A real S3 store for tests: SeaweedFS from a wheel, on loopback, that can be stopped, killed, paused and restarted."""

import http.client
import json
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
from typing import Any, Self
from uuid import uuid4

from botocore.config import Config
from botocore.session import Session

from tests.ports import free_port, start_on_free_ports, wait_for_start
from tests.waiting import PATIENCE_SECONDS, PROBE_SECONDS

PROGRAM = Path(sysconfig.get_path("scripts")) / "weed"
STOP_SECONDS = PATIENCE_SECONDS
# SeaweedFS uses a second port for gRPC, this many above each port.
GRPC_PORT_OFFSET = 10_000


class RunningSeaweed:
    """One SeaweedFS server with an empty folder of its own, and one access key with all rights."""

    def __init__(self, *, volume_megabytes: int = 256) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="modelyard-seaweed-"))
        self._volume_megabytes = volume_megabytes
        self._process: subprocess.Popen[bytes] | None = None
        self.choose_ports()
        self.access_key = f"key-{secrets.token_hex(8)}"
        self.secret_key = secrets.token_urlsafe(24)

    def __enter__(self) -> Self:
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        credentials = [{"accessKey": self.access_key, "secretKey": self.secret_key}]
        identities = [{"name": "tests", "credentials": credentials, "actions": actions}]
        (self._folder / "s3.json").write_text(json.dumps({"identities": identities}))
        (self._folder / "data").mkdir()
        start_on_free_ports(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)
        # It always creates these sockets there, and leaves them when it is killed.
        for port in self._ports.values():
            for number in (port, port + GRPC_PORT_OFFSET):
                for socket_file in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):  # noqa: S108 - not our choice
                    socket_file.unlink(missing_ok=True)

    @property
    def port(self) -> int:
        return self._ports["s3"]

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The id of the running process, or of the last one."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def choose_ports(self) -> None:
        self._ports = {part: free_port(twin=GRPC_PORT_OFFSET) for part in ("master", "volume", "filer", "s3")}

    def start(self) -> None:
        """Start on the same ports with the stored data, and wait until the S3 gateway and a volume server are ready."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._build_command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder
            )
        wait_for_start(self._process, self._is_answering, lambda: self.log)

    def stop(self, signal_number: signal.Signals = signal.SIGTERM) -> None:
        """Stop the server and wait for its exit: SIGKILL is a crash; does nothing if it is stopped."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal_number)
            self._process.wait(STOP_SECONDS)

    def pause(self) -> None:
        """Stop the process (SIGSTOP): connections are accepted and get no response until ``resume``."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue a paused process."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def bucket(self) -> Iterator[str]:
        """Create an empty bucket, yield its name, and delete it afterwards with its content.

        Each bucket has volumes of its own, so one for a whole run, with a prefix for each test, is quickest.
        """
        name, client = f"test-{uuid4().hex[:12]}", self.client()
        client.create_bucket(Bucket=name)
        try:
            yield name
        finally:
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
                for entry in page.get("Contents", []):
                    client.delete_object(Bucket=name, Key=entry["Key"])
            client.delete_bucket(Bucket=name)

    def client(self) -> Any:
        return create_s3_client(self.endpoint, self.access_key, self.secret_key)

    def _build_command(self) -> list[str]:
        """Build the command that runs master, volume server, filer and S3 gateway."""
        options = {f"{part}.port": port for part, port in self._ports.items()} | {
            "dir": self._folder / "data",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "s3.config": self._folder / "s3.json",
            "master.volumeSizeLimitMB": self._volume_megabytes,
            "volume.max": 100,
            "volume.preStopSeconds": 1,
            "master.telemetry": "false",
            # A single master waits at least this long for other masters when it restarts.
            "master.electionTimeout": "500ms",
            "master.heartbeatInterval": "100ms",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
        }
        return [str(PROGRAM), "server", "-filer", "-s3", *(f"-{name}={value}" for name, value in options.items())]

    def _is_answering(self) -> bool:
        """Return whether the S3 gateway answers (403 without credentials) and a volume server is registered."""
        return self._get("s3", "/")[0] == 403 and b"DataNodes" in self._get("master", "/dir/status")[1]

    def _get(self, part: str, path: str) -> tuple[int, bytes]:
        """Send a GET to one of the server's ports; return status and body, or 0 and nothing on failure."""
        connection = http.client.HTTPConnection("127.0.0.1", self._ports[part], timeout=PROBE_SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()


def create_s3_client(endpoint: str, access_key: str, secret_key: str) -> Any:
    """Create a plain botocore S3 client, without modelyard's settings."""
    return Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )
