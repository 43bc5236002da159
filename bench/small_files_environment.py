"""One round of the benchmark of small files: new files, two buckets, a registry, and the measured operations."""

import re
import shlex
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.processes import Measurement, read_cpu_seconds, run_measured
from bench.s3_peers import Peers
from bench.s3_registry import MODELYARD, build_client_environment, run_registry
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tools.model_files import write_safetensors

LONGEST_VERIFICATION_SECONDS = 600.0
_REQUESTS = re.compile(r'^modelyard_requests_total\{.*route="(?P<route>[^"]*)".*\} (?P<count>\S+)$', re.MULTILINE)


@dataclass(frozen=True)
class Run:
    """What one run of a program used, and what it made the registry and the store use meanwhile."""

    client: Measurement
    registry_cpu_seconds: float
    store_cpu_seconds: float
    requests: float  # answered by the registry


class SmallFilesEnvironment:
    """New files in a folder, a bucket for modelyard and one for rclone, and a registry; all are deleted at the end."""

    def __init__(self, home: Path, files: int, size: int, seaweed: RunningSeaweed) -> None:
        home.mkdir()
        self.files = files
        self._home, self._size, self._seaweed = home, size, seaweed
        self._source = home / "loras"
        self._peers = Peers(home, seaweed.endpoint, seaweed.access_key, seaweed.secret_key)
        self._environment = build_client_environment(home)
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        for number in range(self.files):
            write_safetensors(self._source / f"small-{number:05}.safetensors", self._size)
        self._bucket = self._resources.enter_context(self._seaweed.bucket())
        self._peer_bucket = self._resources.enter_context(self._seaweed.bucket())
        self._server = self._start_registry(verification_workers=0)
        # The hash of a file that was written moments ago is not cached.
        time.sleep(3)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._registry.close()
        self._resources.close()
        shutil.rmtree(self._home)

    def push(self) -> Run:
        """Push the folder; known files are not sent again. The later verification is not included."""
        return self._measure(lambda: self._modelyard("push", str(self._source), "--no-wait"))

    def push_with_rclone(self) -> Run:
        """Copy the folder to rclone's bucket; known files are not sent again."""
        return self._measure(lambda: self._rclone(str(self._source), self._peer_url))

    def verify(self) -> None:
        """Restart the registry with a verification worker, and wait until it has verified all files."""
        self._registry.close()
        self._server = self._start_registry(verification_workers=1)
        ends = time.monotonic() + LONGEST_VERIFICATION_SECONDS
        while f'modelyard_blobs_read_total{{found="verified"}} {float(self.files)}' not in self._read_metrics():
            assert time.monotonic() < ends, "The registry did not verify what was pushed."
            time.sleep(0.5)

    def pull(self) -> Run:
        """Pull all files by their paths; they are verified and on the disk at the end."""
        target = self._home / "pulled"
        paths = [f"loras/{file.name}" for file in sorted(self._source.iterdir())]
        run = self._measure(lambda: self._modelyard("pull", *paths, "--tree", "-o", str(target)))
        self._check_and_delete(target / "loras")
        return run

    def pull_with_rclone(self, *, is_synced: bool) -> Run:
        """Copy all files from rclone's bucket, and sync the disk then if ``is_synced``."""
        target = self._home / "copied"
        run = self._measure(lambda: self._rclone(self._peer_url, str(target), is_synced=is_synced))
        self._check_and_delete(target)
        return run

    @property
    def _peer_url(self) -> str:
        return f":s3:{self._peer_bucket}/loras"

    def _start_registry(self, *, verification_workers: int) -> RunningServer:
        self._registry = ExitStack()
        return self._registry.enter_context(
            run_registry(self._home, self._seaweed, self._bucket, self._environment, verification_workers)
        )

    def _modelyard(self, *arguments: str) -> Measurement:
        return run_measured([MODELYARD, "--quiet", *arguments], self._environment)

    def _rclone(self, source: str, target: str, *, is_synced: bool = False) -> Measurement:
        command: Sequence[str] = self._peers.copy_with_rclone(source, target)
        if is_synced:
            command = ["sh", "-ec", f"{shlex.join(command)}; sync --file-system {shlex.quote(target)}"]
        return run_measured(command, self._peers.environment)

    def _measure(self, run: Callable[[], Measurement]) -> Run:
        """Run a program, and measure what the registry and the store do meanwhile."""
        before = self._read_counts()
        client = run()
        registry, store, requests = (after - begin for after, begin in zip(self._read_counts(), before, strict=True))
        return Run(client, registry, store, requests)

    def _read_counts(self) -> tuple[float, float, float]:
        """Return the CPU seconds of the registry and the store, and the requests that the registry has answered."""
        time.sleep(1.1)  # the registry's metrics are a second old at most
        found = _REQUESTS.finditer(self._read_metrics())
        counts = [float(each["count"]) for each in found if not each["route"].startswith("/metrics")]
        return read_cpu_seconds(self._server.pid), read_cpu_seconds(self._seaweed.pid), sum(counts)

    def _read_metrics(self) -> str:
        return self._server.client().get("/metrics").text

    def _check_and_delete(self, folder: Path) -> None:
        """Check number and sizes of the files in a folder, and delete it."""
        assert [file.stat().st_size for file in folder.iterdir()] == [self._size] * self.files
        shutil.rmtree(folder.parent if folder.name == "loras" else folder)
