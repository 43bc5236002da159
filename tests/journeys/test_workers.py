"""Workers without HTTP on PostgreSQL and S3, killed while they verify; and garbage collection beside a server."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import pytest

from modelyard.server.storage.digest import RANGE_BYTES
from tests.journeys.fault_proxy import Exchange, Fault, FaultProxy, HoldRequest
from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tests.server.harness import ApiCaller, make_model_file
from tests.server.inspection import builders
from tests.waiting import PATIENCE_SECONDS, wait_until

SIZE = 6 * RANGE_BYTES
LARGE = make_model_file("large", SIZE)
STOP_SECONDS = PATIENCE_SECONDS


class DatabaseAndBucket:
    """A database and a bucket, and the worker processes that use them."""

    def __init__(self, folder: Path, postgres: RunningPostgres, database: str, seaweed: RunningSeaweed) -> None:
        self.folder = folder
        self.seaweed = seaweed
        self._postgres = postgres
        self._database = database.rpartition("/")[2]
        self.settings = {
            "database_url": database,
            "storage_url": f"s3://{folder.name}",
            "storage_endpoint": seaweed.endpoint,
            "storage_access_key": seaweed.access_key,
            "storage_secret_key": seaweed.secret_key,
            "verification_workers": "0",
        }

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        return self._postgres.execute(statement, self._database)

    @property
    def lease(self) -> object:
        """The lease of the one blob, or None if no worker verifies it."""
        [(lease,)] = self.execute("SELECT lease FROM blobs")
        return lease

    def end_leases(self) -> None:
        """Expire all leases that are not renewed, as after two minutes."""
        self.execute("UPDATE blobs SET leased_until = clock_timestamp() - interval '1 second'")

    @contextmanager
    def worker(self, name: str, endpoint: str | None = None, **extra_settings: str) -> Iterator["Worker"]:
        """Run a worker until the block ends; ``endpoint`` replaces the store's."""
        settings = self.settings | {"verification_workers": "1"} | extra_settings
        worker = Worker(self.folder / name, settings | ({} if endpoint is None else {"storage_endpoint": endpoint}))
        try:
            yield worker
        finally:
            worker.signal_and_wait(signal.SIGKILL)


class Worker:
    """One ``modelyard serve --no-http``."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.log = folder.with_suffix(".log")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
        variables = {f"MODELYARD_{name.upper()}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "modelyard", "serve", "--no-http", "--data-dir", str(folder)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=inherited | variables)

    def signal_and_wait(self, number: signal.Signals) -> int:
        """Send the worker a signal, wait for its exit, and return its exit code; it may have exited already."""
        self._process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait until the worker exits by itself, and return its exit code."""
        return self._process.wait(STOP_SECONDS)

    def wait_for_url(self) -> str:
        """Wait for the log line that names the metrics address; return the address."""
        matches: list[str] = []

        def is_announced() -> bool:
            matches.extend(re.findall(r"modelyard listens on (http\S+)", self.log.read_text()))
            return bool(matches)

        wait_until(is_announced)
        return matches[0]


@pytest.fixture
def storage(
    tmp_path: Path, postgres_server: RunningPostgres, seaweed_server: RunningSeaweed
) -> Iterator[DatabaseAndBucket]:
    with postgres_server.database() as database, seaweed_server.bucket() as bucket:
        folder = tmp_path / bucket
        folder.mkdir()
        yield DatabaseAndBucket(folder, postgres_server, database, seaweed_server)


@pytest.fixture
def owner(storage: DatabaseAndBucket) -> Iterator[ApiCaller]:
    """Yield the owner of a registry whose server has no verification workers."""
    with RunningServer(storage.folder / "server", port=0, **storage.settings) as server:
        yield server.owner()


def register_large_model(owner: ApiCaller) -> str:
    response = owner.post("/models", **owner.new_model(LARGE, "checkpoints/large.safetensors"))
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def get_verification(owner: ApiCaller, model_id: str) -> str:
    return str(owner.get(f"/models/{model_id}").json()["verification"])


@contextmanager
def pausing_second_half(storage: DatabaseAndBucket) -> Iterator[tuple[FaultProxy, threading.Event]]:
    """Yield a proxy to the store that pauses requests for a file's second half, and the event that releases them."""
    proxy, release = FaultProxy(storage.seaweed.endpoint), threading.Event()

    def rule(exchange: Exchange) -> Fault | None:
        start = (exchange.range or "").removeprefix("bytes=").partition("-")[0]
        return HoldRequest(release) if start.isdecimal() and int(start) >= SIZE // 2 else None

    proxy.rule = rule
    yield proxy, release
    release.set()
    proxy.close()


def has_sent_first_half(proxy: FaultProxy) -> bool:
    received = sum(each.received for each in proxy.exchanges if each.range)
    return received >= SIZE // 2


def test_worker_killed_during_verification_is_replaced_after_its_lease_expires(
    storage: DatabaseAndBucket, owner: ApiCaller
) -> None:
    model_id = register_large_model(owner)
    assert get_verification(owner, model_id) == "pending"
    with pausing_second_half(storage) as (proxy, _), storage.worker("one", proxy.url) as first_worker:
        wait_until(lambda: has_sent_first_half(proxy))
        lease_before_kill = storage.lease
        assert lease_before_kill is not None
        assert first_worker.signal_and_wait(signal.SIGKILL) == -signal.SIGKILL
        with storage.worker("two") as second_worker:
            wait_until(lambda: "runs without HTTP" in second_worker.log.read_text())
            assert storage.lease == lease_before_kill, "A lease that has not expired was taken over."
            storage.end_leases()
            wait_until(lambda: get_verification(owner, model_id) == "verified")
            assert second_worker.signal_and_wait(signal.SIGTERM) == 0
    url = owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
    assert httpx2.get(url, trust_env=False).content == LARGE


def test_worker_stopped_during_verification_releases_its_lease(storage: DatabaseAndBucket, owner: ApiCaller) -> None:
    model_id = register_large_model(owner)
    with pausing_second_half(storage) as (proxy, release), storage.worker("one", proxy.url) as first_worker:
        wait_until(lambda: has_sent_first_half(proxy))
        ending = threading.Thread(target=first_worker.signal_and_wait, args=(signal.SIGTERM,))
        ending.start()
        wait_until(lambda: storage.lease is None)
        with storage.worker("two"):
            wait_until(lambda: get_verification(owner, model_id) == "verified")
        release.set()
        ending.join()
        assert first_worker.signal_and_wait(signal.SIGTERM) == 0


def test_worker_scans_pickle_uploads_of_team_with_scan_policy(storage: DatabaseAndBucket, owner: ApiCaller) -> None:
    assert owner.put("/teams/current", pickle_policy="scan").status_code == 200
    unsafe = builders.build_tensorless_checkpoint(builders.call(builders.named("os", "system"), builders.text("true")))
    ids = {}
    for name, content in {"harmless.ckpt": builders.build_checkpoint(), "unsafe.ckpt": unsafe}.items():
        response = owner.post("/models", **owner.new_model(content, f"checkpoints/{name}"))
        assert response.status_code == 201, response.text
        ids[name] = str(response.json()["id"])
    assert [get_verification(owner, model_id) for model_id in ids.values()] == ["pending", "pending"]

    with storage.worker("one") as worker:
        wait_until(lambda: "pending" not in [get_verification(owner, model_id) for model_id in ids.values()])
        assert worker.signal_and_wait(signal.SIGTERM) == 0

    assert {name: get_verification(owner, model_id) for name, model_id in ids.items()} == {
        "harmless.ckpt": "verified",
        "unsafe.ckpt": "failed",
    }
    model = owner.get(f"/models/{ids['unsafe.ckpt']}").json()
    assert model["metadata"]["refusal"]["found"] == "unsafe pickle"


@pytest.mark.core
def test_worker_on_sqlite_folder_exits_with_2(tmp_path: Path) -> None:
    result = run_modelyard("serve", "--no-http", "--data-dir", str(tmp_path))
    assert result.returncode == 2
    assert "which only one server can use" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.core
def test_collect_garbage_beside_running_server_removes_abandoned_upload_and_keeps_model(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "data") as server:
        owner = server.owner()
        inherited = owner.register(make_model_file("kept"), "loras/kept.safetensors")
        abandoned = make_model_file("lost")
        owner.upload(abandoned, "loras/lost.safetensors")
        with closing(sqlite3.connect(tmp_path / "data" / "modelyard.sqlite3", timeout=30)) as database:
            database.execute("UPDATE uploads SET touched_at = '2001-01-01 00:00:00.000000'")
            database.commit()
        command = ("collect-garbage", "--data-dir", str(tmp_path / "data"), "--grace", "0", "--json")
        preview = run_modelyard(*command, "--dry-run")
        collected = run_modelyard(*command)
        assert (preview.returncode, collected.returncode) == (0, 0), preview.stderr + collected.stderr
        assert json.loads(preview.stdout) == json.loads(collected.stdout)
        assert (json.loads(collected.stdout)["uploads"], json.loads(collected.stdout)["bytes"]) == (1, len(abandoned))
        repeated = run_modelyard(*command[:-1])
        assert repeated.stdout == "Removed 0 models, 0 versions, 0 uploads, 0 files with 0 bytes.\n"
        assert owner.get(f"/models/{inherited}/download").status_code == 307


def run_modelyard(*arguments: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
    command = [sys.executable, "-m", "modelyard", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=inherited, timeout=PATIENCE_SECONDS, check=False)


def test_worker_serves_only_metrics_and_health_on_loopback(storage: DatabaseAndBucket, owner: ApiCaller) -> None:
    with storage.worker("one", metrics_port="0") as worker:
        url = worker.wait_for_url()
        assert url.startswith("http://127.0.0.1:")
        model_id = register_large_model(owner)
        wait_until(lambda: get_verification(owner, model_id) == "verified")

        with httpx2.Client(base_url=url, trust_env=False) as client:
            metrics = client.get("/metrics").text.splitlines()
            statuses = {path: client.get(path).status_code for path in ("/healthz", "/readyz", "/", "/api/v1/models")}

        assert 'modelyard_blobs_read_total{found="verified"} 1.0' in metrics
        assert "modelyard_pending_files 0.0" in metrics
        assert any(line.startswith('modelyard_job_done_timestamp_seconds{job="verification"}') for line in metrics)
        assert statuses == {"/healthz": 200, "/readyz": 200, "/": 404, "/api/v1/models": 404}
        assert worker.signal_and_wait(signal.SIGTERM) == 0


def test_worker_with_metrics_port_in_use_exits_with_error(storage: DatabaseAndBucket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        worker = Worker(storage.folder / "one", storage.settings | {"metrics_port": str(listener.getsockname()[1])})
        assert worker.wait() != 0
        assert "is taken by another program" in worker.log.read_text()
