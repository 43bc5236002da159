"""Limits of applying a plan: requests, rate, hours, disk space and cancellation."""

import asyncio
import os
import subprocess
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import httpx2
import pytest

from modelyard.sync.apply import downloads
from modelyard.sync.apply.apply_plan import apply_plan
from modelyard.sync.apply.downloads import ApplyOptions
from modelyard.sync.apply.replica_states import ReplicaState
from modelyard.sync.apply.transfer_window import TransferWindow
from modelyard.transfer.limiter import Limiter
from modelyard.transfer.options import BandwidthLimit
from modelyard.wire.agents.manifests import ManifestEntry
from modelyard.wire.problems import Unauthenticated
from tests.sync.factories import NOW
from tests.sync.real_machine import DEFAULT_OPTIONS, NETWORK_OPTIONS, ModelStore, RealMachine, group_by_path, hash_bytes
from tests.transfer.faults import trickle_after
from tests.transfer.faulty_server import Exchange, FaultyServer, serve_correctly
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow

BIG = os.urandom(2_000_000)
SMALL = os.urandom(100_000)
MIB = 1 << 20


class RequestRecorder:
    """Holds the first requests until ``expected`` have come; records how many come before one is answered.

    ``order`` has the models of all requests.
    """

    def __init__(self, expected: int) -> None:
        self.held = 0
        self.order: list[str] = []
        self._expected = expected
        self._have_come, self._is_answering = threading.Event(), threading.Event()
        self._lock, self._others_lock = threading.Lock(), threading.Lock()

    def __call__(self, exchange: Exchange) -> None:
        with self._lock:
            self.held += not self._is_answering.is_set()
            self.order.append(exchange.path.strip("/"))
            if len(self.order) == self._expected:
                self._have_come.set()
        self._have_come.wait(PATIENCE_SECONDS)
        with self._others_lock:
            if not self._is_answering.is_set():
                # More requests than the limit would come meanwhile.
                answer_others(100)
                self._is_answering.set()
        serve_correctly(exchange)


def answer_others(count: int) -> None:
    """Answer so many requests of other clients, each on a new connection to another server."""
    with closing(FaultyServer()) as server:
        server.put("/x", b"x")
        for _ in range(count):
            assert httpx2.get(server.url("/x"), timeout=PATIENCE_SECONDS, trust_env=False).content == b"x"


def _add_models(store: ModelStore, count: int, size: int = 500_000) -> list[ManifestEntry]:
    """Add models of which the first is the most desired."""
    return [
        store.add_model(f"loras/{number}.sft", os.urandom(size), updated_at=NOW - timedelta(days=number))
        for number in range(count)
    ]


@pytest.fixture
def unchecked_limiter(monkeypatch: pytest.MonkeyPatch) -> None:
    """No request counts as stalled, which would let another one begin, however long the test holds it."""
    monkeypatch.setattr(downloads, "Limiter", partial(Limiter, check_seconds=24 * 3600))


@pytest.mark.usefixtures("unchecked_limiter")
def test_apply_several_downloads_share_one_request_limit(machine: RealMachine, store: ModelStore) -> None:
    crowd = store.server.always = RequestRecorder(3)

    done = machine.sync(*_add_models(store, 6), options=replace(DEFAULT_OPTIONS, parallel=3))

    assert {replica_state.state for replica_state in done.values()} == {"ready"}
    # Three files with three ranges each would be nine.
    assert crowd.held == 3


@pytest.mark.usefixtures("unchecked_limiter")
def test_apply_most_desired_model_is_downloaded_first(machine: RealMachine, store: ModelStore) -> None:
    models = _add_models(store, 6)
    crowd = store.server.always = RequestRecorder(1)

    machine.sync(*reversed(models), options=replace(DEFAULT_OPTIONS, parallel=1))

    assert list(dict.fromkeys(crowd.order)) == [str(model.id) for model in models]


def test_apply_rate_limit_covers_all_downloads_together(machine: RealMachine, store: ModelStore) -> None:
    models = _add_models(store, 3, 200_000)
    began = asyncio.run(_wait_briefly())

    machine.sync(
        *models,
        options=replace(DEFAULT_OPTIONS, network=replace(NETWORK_OPTIONS, bandwidth_limit=BandwidthLimit(1_000_000))),
    )

    assert asyncio.run(_wait_briefly()) - began > 0.5  # 600,000 bytes; never faster, however fast the machine is


async def _wait_briefly() -> float:
    return asyncio.get_running_loop().time()


def test_apply_cancelled_keeps_partial_downloads(machine: RealMachine, store: ModelStore) -> None:
    big = store.add_model("loras/big.sft", BIG)
    store.server.always = trickle_after(150_000, threading.Event())
    plan = machine.plan(big)

    async def ended_in_the_middle(options: ApplyOptions) -> None:
        came = asyncio.Event()

        def tell(replica_state: ReplicaState) -> None:
            if replica_state.bytes_done > 500_000:
                came.set()

        applying = asyncio.create_task(apply_plan(plan, opened, store.get_download_url, options, tell))
        await came.wait()
        applying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await applying

    with machine.open_state() as opened:
        asyncio.run(ended_in_the_middle(DEFAULT_OPTIONS))
    assert machine.read_files() == {}
    assert machine.list_work_files() == [
        f"{hash_bytes(BIG)}.render-07.part",
        f"{hash_bytes(BIG)}.render-07.part.journal",
    ]
    store.server.always = None
    store.server.seen.clear()

    assert machine.sync(big)["loras/big.sft"].origin == "fetched"
    assert 0 < sum(end - start for start, end in store.server.list_requested_ranges()) < len(BIG)
    assert machine.list_work_files() == []


def test_apply_rejected_key_stops_all_downloads(machine: RealMachine, store: ModelStore) -> None:
    models = _add_models(store, 5)
    good = store.get_download_url

    async def url_of(model_id: UUID, version: int) -> str:
        if store.requested_ids:
            raise Unauthenticated("This key has been revoked.")
        return await good(model_id, version)

    store.server.always = trickle_after(1_000, threading.Event())
    plan = machine.plan(*models)
    with machine.open_state() as opened:
        done = group_by_path(asyncio.run(apply_plan(plan, opened, url_of, DEFAULT_OPTIONS)))

    assert {replica_state.state for replica_state in done.values()} <= {"queued", "failed"}
    assert all("revoked" in (replica_state.reason or "") for replica_state in done.values())
    assert machine.read_files() == {}


def test_apply_outside_transfer_window_only_downloads_wait(machine: RealMachine, store: ModelStore) -> None:
    machine.write_user_file("loras/mine.sft", SMALL)
    night = replace(
        DEFAULT_OPTIONS,
        window=TransferWindow(time(22), time(7)),
        get_now=lambda: datetime(2026, 11, 24, 12, tzinfo=UTC),
    )

    done = machine.sync(store.add_model("loras/big.sft", BIG), store.add_model("loras/small.sft", SMALL), options=night)

    assert done["loras/small.sft"].state == "ready"
    assert (done["loras/big.sft"].state, done["loras/big.sft"].reason) == ("queued", "Downloads start at 22:00.")
    assert store.requested_ids == []


def test_apply_download_stops_with_transfer_window_and_resumes_in_next(machine: RealMachine, store: ModelStore) -> None:
    big = store.add_model("loras/big.sft", BIG)
    store.server.always = trickle_after(20_000, threading.Event())
    night = replace(
        DEFAULT_OPTIONS,
        window=TransferWindow(time(22), time(7)),
        get_now=lambda: datetime(2026, 11, 24, 6, 59, 56, 0, UTC),
    )

    done = machine.sync(big, options=night)["loras/big.sft"]
    store.server.always = None

    assert (done.state, done.reason) == ("queued", "Downloads start at 22:00.")
    assert machine.read_files() == {}
    assert f"{hash_bytes(BIG)}.render-07.part" in machine.list_work_files()
    assert machine.sync(big)["loras/big.sft"].state == "ready"


@pytest.fixture
def small(small_disk: Path, tmp_path: Path, store: ModelStore) -> RealMachine:
    """A machine whose models are on a disk of 4 MiB."""
    return RealMachine(small_disk / "models", tmp_path / "state", store)


def _fill_disk(disk: Path, *, leave: int = 0) -> None:
    with (disk / "filler").open("ab", buffering=0) as filler:
        while (free := os.statvfs(disk).f_bavail * 4096 - leave) > 0:
            filler.write(b"\0" * min(free, MIB))


def test_apply_downloads_that_fit_only_alone_do_not_run_together(small: RealMachine, store: ModelStore) -> None:
    one, two = (store.add_model(f"loras/{number}.sft", os.urandom(2_500_000)) for number in range(2))

    plan = small.plan(one)
    other = small.plan(two)
    done = small.apply(replace(plan, fetch=plan.fetch + other.fetch))

    assert sorted(str(replica_state.state) for replica_state in done.values()) == ["blocked", "ready"]
    [blocked] = (replica_state for replica_state in done.values() if replica_state.state == "blocked")
    assert "Free some space" in (blocked.reason or "")
    assert len(small.read_files()) == 1


def test_apply_full_disk_purges_trash_before_blocking(small: RealMachine, store: ModelStore) -> None:
    small.sync(store.add_model("loras/old.sft", BIG))
    small.sync()
    assert small.list_work_files() == [f"trash/{hash_bytes(BIG)}"]

    done = small.sync(store.add_model("loras/new.sft", os.urandom(3_000_000)))

    assert done["loras/new.sft"].state == "ready"
    assert small.list_work_files() == []


def test_apply_disk_filling_up_stops_only_downloads(small: RealMachine, small_disk: Path, store: ModelStore) -> None:
    gone = store.add_model("loras/gone.sft", SMALL)
    small.sync(gone)
    small.write_user_file("loras/mine.sft", SMALL[::-1])
    big, next_one = store.add_model("loras/big.sft", BIG), store.add_model("loras/next.sft", BIG[::-1][:200_000])
    adopted = store.add_model("loras/adopted.sft", SMALL[::-1])
    plan = small.plan(big, next_one, adopted)
    is_full = threading.Event()

    trickle = trickle_after(400_000, is_full)

    def serve_rest_of_big_to_full_disk(exchange: Exchange) -> None:
        (trickle if exchange.path == f"/{big.id}" else serve_correctly)(exchange)

    def fill() -> None:
        _fill_disk(small_disk)
        is_full.set()

    store.server.always = serve_rest_of_big_to_full_disk
    filling = threading.Thread(target=fill)

    def tell(replica_state: ReplicaState) -> None:
        if replica_state.bytes_done > 300_000 and not filling.ident:
            filling.start()

    done = small.apply(plan, replace(DEFAULT_OPTIONS, parallel=1), tell)

    assert done["loras/big.sft"].state == "blocked"
    assert "Free some space" in (done["loras/big.sft"].reason or "")
    assert done["loras/adopted.sft"].state == "ready"
    assert small.read_files().keys() == {"loras/mine.sft", "loras/adopted.sft"} | (
        {"loras/next.sft"} if done["loras/next.sft"].state == "ready" else set()
    )
    (small_disk / "filler").unlink()
    store.server.always = serve_correctly
    assert {replica_state.state for replica_state in small.sync(big, next_one, adopted).values()} == {"ready"}


def test_apply_read_only_disk_is_reported(small: RealMachine, small_disk: Path, store: ModelStore) -> None:
    ink = store.add_model("loras/ink.sft", SMALL)
    plan = small.plan(ink)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    try:
        blocked = small.apply(plan)["loras/ink.sft"]
    finally:
        subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)

    assert blocked.state == "blocked"
    assert "read-only" in (blocked.reason or "")
    assert small.sync(ink)["loras/ink.sft"].state == "ready"
