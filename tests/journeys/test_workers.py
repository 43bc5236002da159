"""Workers without HTTP on PostgreSQL and S3, killed while they read; and a clean-up beside a server that works."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import pytest

from modelyard.server.storage.digest import STRETCH
from tests.journeys.between import Between, Exchange, Fault, Hold
from tests.journeys.waiting import wait_for
from tests.postgres import RunningPostgres
from tests.running import RunningServer
from tests.seaweed import RunningSeaweed
from tests.server.world import Someone, a_model_file

SIZE = 6 * STRETCH
LARGE = a_model_file("large", SIZE)
STOP_SECONDS = 60.0


class Place:
    """A database and a bucket, and the processes that share them."""

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
        """Who reads the one blob."""
        [(lease,)] = self.execute("SELECT lease FROM blobs")
        return lease

    def end_leases(self) -> None:
        """Let two minutes pass for those who say nothing any more."""
        self.execute("UPDATE blobs SET leased_until = clock_timestamp() - interval '1 second'")

    @contextmanager
    def worker(self, name: str, endpoint: str | None = None) -> Iterator["Worker"]:
        settings = self.settings | {"verification_workers": "1"}
        worker = Worker(self.folder / name, settings | ({} if endpoint is None else {"storage_endpoint": endpoint}))
        try:
            yield worker
        finally:
            worker.end(signal.SIGKILL)


class Worker:
    """One ``modelyard serve --no-http``."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.log = folder.with_suffix(".log")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
        ours = {f"MODELYARD_{name.upper()}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "modelyard", "serve", "--no-http", "--data-dir", str(folder)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=kept | ours)

    def end(self, number: signal.Signals) -> int:
        """Send it a signal, wait, and give its exit code; it may have ended already."""
        self._process.send_signal(number)
        return self._process.wait(STOP_SECONDS)


@pytest.fixture
def place(tmp_path: Path, postgres_server: RunningPostgres, seaweed_server: RunningSeaweed) -> Iterator[Place]:
    with postgres_server.database() as database, seaweed_server.bucket() as bucket:
        folder = tmp_path / bucket
        folder.mkdir()
        yield Place(folder, postgres_server, database, seaweed_server)


@pytest.fixture
def owner(place: Place) -> Iterator[Someone]:
    """The owner of a registry whose server verifies nothing itself."""
    with RunningServer(place.folder / "server", port=0, **place.settings) as server:
        yield server.owner()


def register(owner: Someone) -> str:
    answer = owner.post("/models", **owner.new_model(LARGE, "checkpoints/large.safetensors"))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def state(owner: Someone, model_id: str) -> str:
    return str(owner.get(f"/models/{model_id}").json()["verification"])


@contextmanager
def standing_in_the_middle(place: Place) -> Iterator[tuple[Between, threading.Event]]:
    """A way to the store on which the first half of a file comes by, and the second half waits to be let go."""
    between, let_go = Between(place.seaweed.endpoint), threading.Event()

    def rule(exchange: Exchange) -> Fault | None:
        begins = (exchange.range or "").removeprefix("bytes=").partition("-")[0]
        return Hold(let_go) if begins.isdecimal() and int(begins) >= SIZE // 2 else None

    between.rule = rule
    yield between, let_go
    let_go.set()
    between.close()


def is_in_the_middle(between: Between) -> bool:
    moved = sum(each.received for each in between.exchanges if each.range)
    return moved >= SIZE // 2


def test_a_worker_that_is_killed_in_the_middle_is_followed_by_another(place: Place, owner: Someone) -> None:
    model_id = register(owner)
    assert state(owner, model_id) == "pending"
    with standing_in_the_middle(place) as (between, _), place.worker("one", between.url) as one:
        wait_for(lambda: is_in_the_middle(between), seconds=60)
        dead = place.lease
        assert dead is not None
        assert one.end(signal.SIGKILL) == -signal.SIGKILL
        with place.worker("two") as two:
            wait_for(lambda: "works without HTTP" in two.log.read_text(), seconds=60)
            assert place.lease == dead, "Nobody takes what may still be read."
            place.end_leases()
            wait_for(lambda: state(owner, model_id) == "verified", seconds=60)
            assert two.end(signal.SIGTERM) == 0
    url = owner.get(f"/models/{model_id}/download", redirect="false").json()["download_url"]
    assert httpx2.get(url, trust_env=False).content == LARGE


def test_a_worker_that_is_asked_to_end_gives_back_what_it_reads(place: Place, owner: Someone) -> None:
    model_id = register(owner)
    with standing_in_the_middle(place) as (between, let_go), place.worker("one", between.url) as one:
        wait_for(lambda: is_in_the_middle(between), seconds=60)
        ending = threading.Thread(target=one.end, args=(signal.SIGTERM,))
        ending.start()
        wait_for(lambda: place.lease is None, seconds=60)
        with place.worker("two"):
            wait_for(lambda: state(owner, model_id) == "verified", seconds=60)
        let_go.set()
        ending.join()
        assert one.end(signal.SIGTERM) == 0


def test_a_folder_has_one_server_and_no_worker_beside_it(tmp_path: Path) -> None:
    ran = run_modelyard("serve", "--no-http", "--data-dir", str(tmp_path))
    assert ran.returncode == 2
    assert "a folder has one server" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_clean_up_works_beside_a_running_server(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "data") as server:
        owner = server.owner()
        kept = owner.register(a_model_file("kept"), "loras/kept.safetensors")
        lost = a_model_file("lost")
        owner.upload(lost, "loras/lost.safetensors")
        with closing(sqlite3.connect(tmp_path / "data" / "modelyard.sqlite3", timeout=30)) as database:
            database.execute("UPDATE uploads SET touched_at = '2001-01-01 00:00:00.000000'")
            database.commit()
        command = ("collect-garbage", "--data-dir", str(tmp_path / "data"), "--grace", "0", "--json")
        foreseen = run_modelyard(*command, "--dry-run")
        done = run_modelyard(*command)
        assert (foreseen.returncode, done.returncode) == (0, 0), foreseen.stderr + done.stderr
        assert json.loads(foreseen.stdout) == json.loads(done.stdout)
        assert (json.loads(done.stdout)["uploads"], json.loads(done.stdout)["bytes"]) == (1, len(lost))
        again = run_modelyard(*command[:-1])
        assert again.stdout == "Removed 0 models, 0 uploads, 0 files with 0 bytes.\n"
        assert owner.get(f"/models/{kept}/download").status_code == 307


def run_modelyard(*arguments: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MODELYARD_")}
    command = [sys.executable, "-m", "modelyard", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=kept, timeout=120, check=False)
