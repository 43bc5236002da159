"""What a sync does within its limits: requests, pace, hours, room, and an end that comes early."""

import asyncio
import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from modelyard.client.sync.acting.apply import apply_plan
from modelyard.client.sync.acting.budget import Window
from modelyard.client.sync.acting.downloads import Terms
from modelyard.client.sync.acting.standing import Standing
from modelyard.transfer.network import Pace
from modelyard.wire.agents import WantedModel
from modelyard.wire.problems import Unauthenticated
from tests.client.sync.making import NOW
from tests.client.sync.real import IMPATIENT, USUAL, RealMachine, Store, by_path, sha256
from tests.transfer.misbehaving import Exchange, behave, trickles

BIG = os.urandom(2_000_000)
SMALL = os.urandom(100_000)
MIB = 1 << 20


class Crowd:
    """How many requests are answered at once, and of which models in which order."""

    def __init__(self) -> None:
        self.most = 0
        self.order: list[str] = []
        self._now = 0
        self._lock = threading.Lock()
        self._slowly = trickles(50_000, 0.002)

    def __call__(self, exchange: Exchange) -> None:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.order.append(exchange.path.strip("/"))
        try:
            self._slowly(exchange)
        finally:
            with self._lock:
                self._now -= 1


def _models(store: Store, count: int, size: int = 500_000) -> list[WantedModel]:
    """The first is the most wanted."""
    return [
        store.model(f"loras/{number}.sft", os.urandom(size), updated_at=NOW - timedelta(days=number))
        for number in range(count)
    ]


def test_several_files_share_one_budget_of_requests(machine: RealMachine, store: Store) -> None:
    crowd = store.server.always = Crowd()

    done = machine.sync(*_models(store, 6), terms=replace(USUAL, parallel=3))

    assert {standing.state for standing in done.values()} == {"ready"}
    # Three files with three ranges each would be nine. The server counts an answer for a moment longer than the client.
    assert 3 <= crowd.most <= 6


def test_the_most_wanted_comes_first(machine: RealMachine, store: Store) -> None:
    models = _models(store, 6)
    crowd = store.server.always = Crowd()

    machine.sync(*reversed(models), terms=replace(USUAL, parallel=1))

    assert list(dict.fromkeys(crowd.order)) == [str(model.id) for model in models]


def test_the_pace_is_that_of_all_files_together(machine: RealMachine, store: Store) -> None:
    models = _models(store, 3, 200_000)
    began = asyncio.run(_moment())

    machine.sync(*models, terms=replace(USUAL, network=replace(IMPATIENT, pace=Pace(1_000_000))))

    assert asyncio.run(_moment()) - began > 0.5  # 600,000 bytes; never faster, however fast the machine is


async def _moment() -> float:
    return asyncio.get_running_loop().time()


def test_an_end_that_comes_early_keeps_what_came(machine: RealMachine, store: Store) -> None:
    big = store.model("loras/big.sft", BIG)
    store.server.always = trickles(20_000, 0.03)
    plan = machine.plan(big)

    async def ended_in_the_middle(url_of: Callable[[UUID], object], terms: Terms) -> None:
        came = asyncio.Event()

        def tell(standing: Standing) -> None:
            if standing.bytes_done > 500_000:
                came.set()

        applying = asyncio.create_task(apply_plan(plan, opened, store.url_of, terms, tell))
        await came.wait()
        applying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await applying

    with machine.opened() as opened:
        asyncio.run(ended_in_the_middle(store.url_of, USUAL))
    assert machine.visible() == {}
    assert machine.left() == [f"{sha256(BIG)}.render-07.part", f"{sha256(BIG)}.render-07.part.journal"]
    store.server.always = None
    store.server.seen.clear()

    assert machine.sync(big)["loras/big.sft"].done == "fetched"
    assert 0 < sum(end - start for start, end in store.server.ranges_asked()) < len(BIG)
    assert machine.left() == []


def test_a_key_that_is_refused_ends_all_downloads_at_once(machine: RealMachine, store: Store) -> None:
    models = _models(store, 5)
    good = store.url_of

    async def url_of(model_id: UUID) -> str:
        if store.asked:
            raise Unauthenticated("This key has been revoked.")
        return await good(model_id)

    store.server.always = trickles(1_000, 0.01)
    plan = machine.plan(*models)
    with machine.opened() as opened:
        done = by_path(asyncio.run(apply_plan(plan, opened, url_of, USUAL)))

    assert {standing.state for standing in done.values()} <= {"wanted", "failed"}
    assert all("revoked" in (standing.reason or "") for standing in done.values())
    assert machine.visible() == {}


def test_nothing_is_downloaded_outside_the_hours_and_the_rest_goes_on(machine: RealMachine, store: Store) -> None:
    machine.put("loras/mine.sft", SMALL)
    night = replace(USUAL, window=Window(time(22), time(7)), now=lambda: datetime(2026, 11, 24, 12, tzinfo=UTC))

    done = machine.sync(store.model("loras/big.sft", BIG), store.model("loras/small.sft", SMALL), terms=night)

    assert done["loras/small.sft"].state == "ready"
    assert (done["loras/big.sft"].state, done["loras/big.sft"].reason) == ("wanted", "Downloads start at 22:00.")
    assert store.asked == []


def test_a_download_ends_with_the_hours_and_goes_on_in_the_next(machine: RealMachine, store: Store) -> None:
    big = store.model("loras/big.sft", BIG)
    store.server.always = trickles(20_000, 0.5)
    night = replace(USUAL, window=Window(time(22), time(7)), now=lambda: datetime(2026, 11, 24, 6, 59, 56, 0, UTC))

    done = machine.sync(big, terms=night)["loras/big.sft"]
    store.server.always = None

    assert (done.state, done.reason) == ("wanted", "Downloads start at 22:00.")
    assert machine.visible() == {}
    assert f"{sha256(BIG)}.render-07.part" in machine.left()
    assert machine.sync(big)["loras/big.sft"].state == "ready"


@pytest.fixture
def small(small_disk: Path, tmp_path: Path, store: Store) -> RealMachine:
    """A machine whose models lie on a disk of 4 MiB."""
    return RealMachine(small_disk / "models", tmp_path / "state", store)


def _fill(disk: Path, *, leave: int = 0) -> None:
    with (disk / "filler").open("ab", buffering=0) as filler:
        while (free := os.statvfs(disk).f_bavail * 4096 - leave) > 0:
            filler.write(b"\0" * min(free, MIB))


def test_two_files_that_fit_only_alone_are_not_begun_together(small: RealMachine, store: Store) -> None:
    one, two = (store.model(f"loras/{number}.sft", os.urandom(2_500_000)) for number in range(2))

    plan = small.plan(one)
    other = small.plan(two)
    done = small.carry_out(replace(plan, fetch=plan.fetch + other.fetch))

    assert sorted(str(standing.state) for standing in done.values()) == ["blocked", "ready"]
    [blocked] = (standing for standing in done.values() if standing.state == "blocked")
    assert "Free some space" in (blocked.reason or "")
    assert len(small.visible()) == 1


def test_the_trash_makes_room_before_anything_is_refused(small: RealMachine, store: Store) -> None:
    small.sync(store.model("loras/old.sft", BIG))
    small.sync()
    assert small.left() == [f"trash/{sha256(BIG)}"]

    done = small.sync(store.model("loras/new.sft", os.urandom(3_000_000)))

    assert done["loras/new.sft"].state == "ready"
    assert small.left() == []


def test_a_disk_that_fills_up_in_the_middle_stops_downloads_only(
    small: RealMachine, small_disk: Path, store: Store
) -> None:
    gone = store.model("loras/gone.sft", SMALL)
    small.sync(gone)
    small.put("loras/mine.sft", SMALL[::-1])
    big, next_one = store.model("loras/big.sft", BIG), store.model("loras/next.sft", BIG[::-1][:200_000])
    adopted = store.model("loras/adopted.sft", SMALL[::-1])
    plan = small.plan(big, next_one, adopted)
    store.server.always = trickles(20_000, 0.02)

    filling = threading.Thread(target=_fill, args=(small_disk,))

    def tell(standing: Standing) -> None:
        if standing.bytes_done > 300_000 and not filling.ident:
            filling.start()

    done = small.carry_out(plan, replace(USUAL, parallel=1), tell)

    assert done["loras/big.sft"].state == "blocked"
    assert "room" in (done["loras/big.sft"].reason or "")
    assert done["loras/adopted.sft"].state == "ready"
    assert small.visible().keys() == {"loras/mine.sft", "loras/adopted.sft"} | (
        {"loras/next.sft"} if done["loras/next.sft"].state == "ready" else set()
    )
    (small_disk / "filler").unlink()
    store.server.always = behave
    assert {standing.state for standing in small.sync(big, next_one, adopted).values()} == {"ready"}


def test_a_disk_that_was_made_read_only_is_said_so(small: RealMachine, small_disk: Path, store: Store) -> None:
    ink = store.model("loras/ink.sft", SMALL)
    plan = small.plan(ink)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    try:
        blocked = small.carry_out(plan)["loras/ink.sft"]
    finally:
        subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)

    assert blocked.state == "blocked"
    assert "read-only" in (blocked.reason or "")
    assert small.sync(ink)["loras/ink.sft"].state == "ready"
