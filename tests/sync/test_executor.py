"""Submitting plans while actions of an earlier one run, on a real disk with content from a real server."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from modelyard.sync.apply.downloads import ApplyOptions
from modelyard.sync.apply.executor import Executor
from modelyard.sync.desired import build_desired_state
from modelyard.sync.inventory.placement_journal import Placement
from modelyard.sync.inventory.scan import MachineState
from modelyard.sync.planning.actions import Plan, Remove, Replace
from modelyard.wire.agents.manifests import ManifestEntry
from tests.agent.agent_machine import wait_until
from tests.sync.real_machine import DEFAULT_OPTIONS, ModelStore, RealMachine, group_by_path, hash_bytes
from tests.transfer.faults import trickle_after
from tests.transfer.faulty_server import Exchange, serve_correctly

pytestmark = pytest.mark.slow

BIG = os.urandom(3_000_000)
SMALL = os.urandom(20_000)


@pytest.fixture
def may_end() -> Iterator[threading.Event]:
    """An event without which no download of ``slow_big`` ends."""
    may_end = threading.Event()
    yield may_end
    may_end.set()


@pytest.fixture
def slow_big(store: ModelStore, may_end: threading.Event) -> ManifestEntry:
    """A model of which the store sends half of each range, unlike of all others, and the rest after ``may_end``."""
    big = store.add_model("loras/big.sft", BIG)
    trickle = trickle_after(100_000, may_end)

    def answer(exchange: Exchange) -> None:
        (trickle if exchange.path == f"/{big.id}" else serve_correctly)(exchange)

    store.server.always = answer
    return big


class ExecutorUnderTest:
    """A machine's executor, with helpers to plan and submit."""

    def __init__(self, machine: RealMachine, opened: MachineState) -> None:
        self.executor = Executor(opened, machine.store.get_download_url, DEFAULT_OPTIONS)
        self._real = machine
        self.machine = opened

    async def scan_and_plan(self, *models: ManifestEntry, **policy: object) -> Plan:
        self.executor.start_tracking_changes()
        return await asyncio.to_thread(self._real.scan_and_plan, self.machine, build_desired_state(models), **policy)

    async def submit(self, *models: ManifestEntry, options: ApplyOptions = DEFAULT_OPTIONS, **policy: object) -> None:
        await self.executor.submit(await self.scan_and_plan(*models, **policy), options)

    def get_bytes_done(self, model: ManifestEntry) -> int:
        """Return how many bytes of a model have been downloaded."""
        replica_state = group_by_path(self.executor.progress.list_replica_states()).get(model.model_path)
        return 0 if replica_state is None else replica_state.bytes_done

    def get_reason(self, model: ManifestEntry) -> str | None:
        return group_by_path(self.executor.progress.list_replica_states())[model.model_path].reason


@asynccontextmanager
async def open_executor(machine: RealMachine) -> AsyncIterator[ExecutorUnderTest]:
    state = machine.open_state()
    made = ExecutorUnderTest(machine, await asyncio.to_thread(state.__enter__))
    try:
        async with made.executor:
            yield made
    finally:
        await asyncio.to_thread(state.__exit__, None, None, None)


async def read_files(machine: RealMachine) -> dict[str, bytes]:
    return await asyncio.to_thread(machine.read_files)


async def list_placements(machine: RealMachine) -> list[Placement]:
    return await asyncio.to_thread(lambda: machine.placements)


async def test_executor_submit_new_plan_runs_while_shared_download_continues(
    machine: RealMachine, store: ModelStore, slow_big: ManifestEntry, may_end: threading.Event
) -> None:
    gone, late = store.add_model("loras/gone.sft", SMALL), store.add_model("loras/late.sft", SMALL[::-1])
    await asyncio.to_thread(machine.sync, gone)
    async with open_executor(machine) as work:
        await work.submit(gone, slow_big)
        await wait_until(lambda: work.get_bytes_done(slow_big) > 100_000)
        store.requested_ids.clear()
        await work.submit(slow_big, late)
        await wait_until(lambda: machine.read_files() == {"loras/late.sft": SMALL[::-1]})
        assert work.get_bytes_done(slow_big) < len(BIG)
        may_end.set()
        await work.executor.wait_until_idle()
    assert await read_files(machine) == {"loras/big.sft": BIG, "loras/late.sft": SMALL[::-1]}
    assert store.requested_ids == [late.id]


async def test_executor_submit_plan_without_running_download_cancels_it_and_keeps_partial_file(
    machine: RealMachine, store: ModelStore, slow_big: ManifestEntry
) -> None:
    async with open_executor(machine) as work:
        await work.submit(slow_big)
        await wait_until(lambda: work.get_bytes_done(slow_big) > 300_000)
        await work.submit()
        await work.executor.wait_until_idle()
        assert f"{hash_bytes(BIG)}.render-07.part" in await asyncio.to_thread(machine.list_work_files)
        store.server.always = None
        store.server.seen.clear()
        await work.submit(slow_big)
        await work.executor.wait_until_idle()
    assert await read_files(machine) == {"loras/big.sft": BIG}
    assert 0 < sum(end - start for start, end in store.server.list_requested_ranges()) < len(BIG)


async def test_executor_submit_new_content_for_downloading_path_replaces_download(
    machine: RealMachine, store: ModelStore, slow_big: ManifestEntry
) -> None:
    other = store.add_model("loras/big.sft", SMALL, id=store.add_model("loras/x.sft", SMALL).id)
    async with open_executor(machine) as work:
        await work.submit(slow_big)
        await wait_until(lambda: work.get_bytes_done(slow_big) > 100_000)
        await work.submit(other)
        await work.executor.wait_until_idle()
        if work.executor.take_stale():
            await work.submit(other)
            await work.executor.wait_until_idle()
    assert await read_files(machine) == {"loras/big.sft": SMALL}
    assert [row.sha256 for row in await list_placements(machine)] == [hash_bytes(SMALL)]


async def test_executor_submit_outdated_plan_leaves_out_changed_files(machine: RealMachine, store: ModelStore) -> None:
    ink = store.add_model("loras/ink.sft", SMALL)
    async with open_executor(machine) as work:
        first = await work.scan_and_plan(ink)
        overtaken = await work.scan_and_plan(ink)
        await work.executor.submit(first, DEFAULT_OPTIONS)
        await work.executor.wait_until_idle()
        await work.executor.submit(overtaken, DEFAULT_OPTIONS)
        await work.executor.wait_until_idle()
        assert work.executor.take_stale()
        assert [replica_state.state for replica_state in work.executor.progress.list_replica_states()] == ["ready"]
    assert store.requested_ids == [ink.id]
    assert [(row.origin, row.is_confirmed) for row in await list_placements(machine)] == [("placed", True)]


async def test_executor_submit_keeps_journal_rows_of_files_being_placed(
    machine: RealMachine, slow_big: ManifestEntry, may_end: threading.Event
) -> None:
    async with open_executor(machine) as work:
        await work.submit(slow_big)
        await wait_until(lambda: work.get_bytes_done(slow_big) > 100_000)
        # As a scan sees it between the row and the rename.
        path = machine.models / "loras/big.sft"
        row = Placement(path, hash_bytes(BIG), len(BIG), slow_big.id, "placed", is_confirmed=False)
        await asyncio.to_thread(work.machine.journal.record_intent, row)
        await work.executor.submit(replace(await work.scan_and_plan(slow_big), rows_to_delete=(row,)), DEFAULT_OPTIONS)
        assert [entry.path for entry in await asyncio.to_thread(work.machine.journal.list_placements)] == [path]
        may_end.set()
        await work.executor.wait_until_idle()
    assert [(entry.sha256, entry.is_confirmed) for entry in await list_placements(machine)] == [(hash_bytes(BIG), True)]


async def test_executor_blocked_removal_waits_while_others_run(machine: RealMachine, store: ModelStore) -> None:
    named, other = store.add_model("loras/named.sft", SMALL), store.add_model("loras/other.sft", SMALL[::-1])
    await asyncio.to_thread(machine.sync, named, other)
    why: dict[str, str | None] = {"loras/named.sft": "A prompt in ComfyUI's queue names it."}

    def blocker(action: Remove | Replace) -> str | None:
        return why.get(f"loras/{action.target.name}")

    async with open_executor(machine) as work:
        await work.submit(options=replace(DEFAULT_OPTIONS, get_blocked_reason=blocker))
        await work.executor.wait_until_idle()
        assert list(await read_files(machine)) == ["loras/named.sft"]
        assert work.executor.list_blocked_reasons() == ("A prompt in ComfyUI's queue names it.",)
        await work.submit(options=replace(DEFAULT_OPTIONS, get_blocked_reason=blocker))
        assert work.executor.list_blocked_reasons() == ("A prompt in ComfyUI's queue names it.",)
        why.clear()
        await wait_until(lambda: not machine.read_files())
        await work.executor.wait_until_idle()
    assert await list_placements(machine) == []


async def test_executor_failing_recheck_is_reported_once_and_repeated(machine: RealMachine, store: ModelStore) -> None:
    ink = store.add_model("loras/ink.sft", SMALL)
    await asyncio.to_thread(machine.sync, ink)
    answers: list[str | Exception | None] = ["ComfyUI renders.", RuntimeError("first"), RuntimeError("second"), None]
    asked = iter(answers)

    def blocker(_: Remove | Replace) -> str | None:
        answer = next(asked, None)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with open_executor(machine) as work:
        await work.submit(options=replace(DEFAULT_OPTIONS, get_blocked_reason=blocker))
        await wait_until(lambda: not machine.read_files())
        await work.executor.wait_until_idle()
        with pytest.raises(RuntimeError, match="first"):
            work.executor.raise_bug()
        work.executor.raise_bug()


async def test_executor_blocked_replacement_is_downloaded_once_and_delays_no_other(
    machine: RealMachine, store: ModelStore
) -> None:
    ink = store.add_model("loras/ink.sft", SMALL)
    await asyncio.to_thread(machine.sync, ink)
    new, other = store.add_model("loras/ink.sft", BIG), store.add_model("loras/other.sft", SMALL[::-1])
    rendering = ["ComfyUI renders."]
    options = replace(DEFAULT_OPTIONS, parallel=1, get_blocked_reason=lambda _: rendering[0] if rendering else None)
    async with open_executor(machine) as work:
        await work.submit(new, other, options=options)
        await wait_until(lambda: len(machine.read_files()) == 2)
        await work.executor.wait_until_idle()
        assert work.get_reason(new) == "ComfyUI renders."
        assert (await read_files(machine))["loras/ink.sft"] == SMALL
        store.server.seen.clear()
        rendering.clear()
        await wait_until(lambda: machine.read_files()["loras/ink.sft"] == BIG)
        await work.executor.wait_until_idle()
    assert store.server.list_requested_ranges() == []


async def test_executor_approval_stays_valid_for_files_not_removed_yet(machine: RealMachine, store: ModelStore) -> None:
    models = [store.add_model(f"loras/{number}.sft", bytes([number]) * 100) for number in range(6)]
    await asyncio.to_thread(machine.sync, *models)
    held = (await asyncio.to_thread(machine.plan)).held_removals
    assert held is not None
    async with open_executor(machine) as work:
        await work.submit(
            approved_removal_tokens=frozenset({held.token}),
            options=replace(DEFAULT_OPTIONS, get_blocked_reason=lambda _: "Not yet."),
        )
        await work.executor.wait_until_idle()
        approved = work.executor.progress.list_approved_files()
        assert len(approved) == 6
        assert (
            await work.scan_and_plan(models[0], approved_removal_tokens=frozenset({held.token}))
        ).held_removals is not None
        await work.submit(models[0], approved_files=approved)
        await wait_until(lambda: not work.executor.progress.list_approved_files())
        await work.executor.wait_until_idle()
        assert list(await read_files(machine)) == ["loras/0.sft"]
        assert await asyncio.to_thread(work.machine.journal.list_recent_removals) == frozenset()


async def test_executor_stop_leaves_no_worker_and_next_submit_works(
    machine: RealMachine, slow_big: ManifestEntry, store: ModelStore
) -> None:
    async with open_executor(machine) as work:
        await work.submit(slow_big)
        await wait_until(lambda: work.get_bytes_done(slow_big) > 100_000)
        await work.executor.stop()
        assert not work.executor.is_active
        assert work.executor.is_cancelled
        store.server.always = None
        await work.submit(slow_big)
        await work.executor.wait_until_idle()
    assert await read_files(machine) == {"loras/big.sft": BIG}
