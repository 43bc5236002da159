"""How an agent prepares and applies evictions: the counts after a restart, ComfyUIs that stall, and a full disk."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import pytest

from modelyard.agent.reconcile_result import ReconcileResult
from modelyard.agent.reconciliation.evictions import Evictions, remove_not_held
from modelyard.agent.reconciliation.use_counter import UseCounter
from modelyard.agent.roots import FoundRoots
from modelyard.agent.settings import AgentSettings
from modelyard.agent.state_folder import StatusSnapshot
from modelyard.agent.status import AgentStatus
from modelyard.agent.use.eviction_log import EvictionLog
from modelyard.agent.use.eviction_plan import EvictionPlan
from modelyard.agent.use.use_log import UseLog
from modelyard.client.api.manifests import ReceivedManifest
from modelyard.comfyui.http_api import ComfyUI
from modelyard.comfyui.layout import Install, Root
from modelyard.sync.apply.replica_states import ReplicaState, build_replica_state
from modelyard.sync.desired import DesiredModel, DesiredState
from modelyard.sync.inventory.deadlines import FilesystemNotResponding, StallDeadline
from modelyard.sync.inventory.placement_journal import Placement
from modelyard.sync.inventory.roots import RootOnDisk
from modelyard.sync.planning.actions import HeldRemovals, Remove, Target
from tests.agent.agent_machine import wait_until
from tests.comfyui.comfyui_server import ComfyUIServer

Result = TypeVar("Result")
NOW = datetime.now(UTC).replace(microsecond=0)
INK, OIL = UUID(int=1), UUID(int=2)


def build_model(model_id: UUID, size: int = 10) -> DesiredModel:
    path = f"loras/{model_id.int}.safetensors"
    return DesiredModel(model_id, 1, path, "loras", size, "0" * 64, False, NOW - timedelta(days=300), path)


MODELS = (build_model(INK), build_model(OIL))


def build_status(previous: StatusSnapshot | None = None) -> AgentStatus:
    return AgentStatus(AgentSettings(), "http://127.0.0.1:9", lambda: None, previous)


def test_remove_not_held_builds_the_set_of_ids_once() -> None:
    plan = EvictionPlan(EvictionLog(), (build_replica_state(MODELS[0], "evicted"),))
    assert plan.ids is plan.ids
    assert remove_not_held(DesiredState(MODELS), plan).models == MODELS[1:]


def test_count_states_before_the_first_scan_has_the_evicted_models_of_the_previous_start() -> None:
    previous = StatusSnapshot(
        agent_id="render-07",
        version="1",
        pid=1,
        started_at=NOW,
        written_at=NOW,
        url="http://127.0.0.1:9",
        link="connected",
        phase="idle",
        counts={"ready": 2, "evicted": 3},
    )
    status = build_status(previous=previous)
    assert status.count_states().evicted == 3


@pytest.fixture
def comfyuis(tmp_path: Path) -> Iterator[list[ComfyUIServer]]:
    """Two running ComfyUIs; the first one's folder never responds to a call."""
    with ExitStack() as stack:
        servers = []
        for name in ("stalled", "good"):
            base = tmp_path / name
            for folder in ("models/loras", "custom_nodes"):
                (base / folder).mkdir(parents=True)
            servers.append(stack.enter_context(ComfyUIServer(base)))
        yield servers


def build_result(comfyuis: list[ComfyUIServer], *states: ReplicaState) -> ReconcileResult:
    running = []
    for server in comfyuis:
        models = server.listing.base / "models"
        running.append((ComfyUI(server.url), Install(models, (Root("loras", models / "loras"),))))
    return ReconcileResult(states, roots=FoundRoots(running=tuple(running)))


class StallingDeadline(StallDeadline):
    """A deadline by which every folder named ``stalled`` does not respond."""

    def run(self, path: Path, work: Callable[[Callable[[], None]], Result]) -> Result:
        if "stalled" in path.parts:
            raise FilesystemNotResponding(path)
        return super().run(path, work)


def build_prompt(model_id: UUID) -> dict[str, object]:
    name = f"{model_id.int}.safetensors"
    return {"4": {"class_type": "LoraLoader", "inputs": {"lora_name": name, "model": ["1", 0]}}}


def build_ready(server: ComfyUIServer, model: DesiredModel) -> ReplicaState:
    path = server.listing.base.resolve() / "models" / model.model_path
    return ReplicaState(model.id, model.model_path, "ready", model.size, origin="kept", path=path)


async def test_count_one_comfyui_stalls_counts_the_uses_of_the_others(
    comfyuis: list[ComfyUIServer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stalled, good = comfyuis
    status = build_status()
    status.use_log = UseLog((stalled.url, good.url))
    status.result = build_result(comfyuis, build_ready(stalled, MODELS[0]), build_ready(good, MODELS[1]))
    for server, model in zip(comfyuis, MODELS, strict=True):
        server.end_prompt(build_prompt(model.id), NOW)
    counter = UseCounter(status, tmp_path / "use.json", StallingDeadline())
    await counter.count()
    await counter.count()
    assert status.use_log.last_uses == {OIL: NOW}
    assert caplog.text.count("does not respond") == 1


async def test_count_model_that_is_not_ready_counts_its_uses(comfyuis: list[ComfyUIServer], tmp_path: Path) -> None:
    status = build_status()
    status.use_log = UseLog((comfyuis[1].url,))
    status.result = build_result(comfyuis[1:], build_replica_state(MODELS[0], "queued"))
    comfyuis[1].end_prompt(build_prompt(INK), NOW)
    await UseCounter(status, tmp_path / "use.json").count()
    assert status.use_log.last_uses == {INK: NOW}


def build_evictions(
    comfyuis: list[ComfyUIServer], file: Path, *, deadline: StallDeadline | None = None
) -> tuple[Evictions, AgentStatus]:
    """Return the evictions of a scanned machine that counts use and has ink and oil, each of 10 bytes."""
    status = build_status()
    status.use_log = UseLog(
        tuple(server.url for server in comfyuis),
        counted_since=NOW - timedelta(days=90),
        last_uses={INK: NOW - timedelta(days=9), OIL: NOW - timedelta(days=2)},
    )
    status.set_result(build_result(comfyuis, *(build_ready(comfyuis[-1], model) for model in MODELS)))
    return Evictions(status, file, deadline), status


def build_manifest(budget: int | None) -> ReceivedManifest:
    return ReceivedManifest.model_construct(revision=1, model_list=[], disk_budget_bytes=budget, assigned_ids=[])


async def test_plan_evictions_folder_of_comfyui_stalls_evicts_nothing(
    comfyuis: list[ComfyUIServer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    evictions, _ = build_evictions(comfyuis, tmp_path / "evictions.json", deadline=StallingDeadline())
    comfyuis[0].queued = [build_prompt(INK)]
    for _ in range(2):
        plan = await evictions.plan(DesiredState(MODELS), build_manifest(15))
    assert plan.ids == frozenset()
    assert caplog.text.count("does not respond") == 1


async def test_run_evictions_folder_of_comfyui_stalls_continues(comfyuis: list[ComfyUIServer], tmp_path: Path) -> None:
    deadline = StallingDeadline()
    evictions, _ = build_evictions(comfyuis, tmp_path / "evictions.json", deadline=deadline)
    assert (await evictions.plan(DesiredState(MODELS), build_manifest(15))).ids == {INK}
    evictions.queue_seconds = 0.01
    requests: list[None] = []
    work = asyncio.create_task(evictions.run(lambda: requests.append(None)))
    comfyuis[0].queued = [build_prompt(INK)]
    await wait_until(lambda: comfyuis[0].asked.count("GET /queue") > 3)
    assert (work.done(), requests) == (False, [])
    comfyuis[0].queued, comfyuis[1].queued = [], [build_prompt(INK)]
    await wait_until(lambda: requests)
    work.cancel()


async def test_plan_evictions_log_cannot_be_written_keeps_the_evictions_that_were_saved(
    comfyuis: list[ComfyUIServer], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "agent"
    folder.mkdir()
    evictions, _ = build_evictions(comfyuis, folder / "evictions.json")
    assert (await evictions.plan(DesiredState(MODELS), build_manifest(15))).ids == {INK}
    (folder / "evictions.json").unlink()
    folder.rmdir()
    folder.write_bytes(b"")  # so that nothing can be written below it
    for _ in range(2):
        assert (await evictions.plan(DesiredState(MODELS), build_manifest(5))).ids == {INK}
    assert caplog.text.count("Evictions cannot be saved") == 1
    folder.unlink()
    folder.mkdir()
    assert (await evictions.plan(DesiredState(MODELS), build_manifest(5))).ids == {INK, OIL}


async def test_plan_evictions_queue_is_unknown_fetches_only_what_fits(
    comfyuis: list[ComfyUIServer], tmp_path: Path
) -> None:
    new = build_model(UUID(int=3))
    evictions, _ = build_evictions(comfyuis, tmp_path / "evictions.json", deadline=StallingDeadline())
    comfyuis[0].queued = [build_prompt(INK)]
    plan = await evictions.plan(DesiredState((*MODELS, new)), build_manifest(25))
    assert plan.ids == {new.id}
    assert not plan.log.evicted_at


async def test_plan_evictions_removal_is_held_and_budget_is_corrected_keeps_the_model(
    comfyuis: list[ComfyUIServer], tmp_path: Path
) -> None:
    evictions, status = build_evictions(comfyuis, tmp_path / "evictions.json")
    plan = await evictions.plan(DesiredState(MODELS), build_manifest(15))
    ready = build_ready(comfyuis[-1], MODELS[0])
    assert ready.path is not None
    placement = Placement(ready.path, "0" * 64, 10, INK, "placed")
    root = RootOnDisk("loras", ready.path.parent, ready.path.parent, tmp_path, 0, 0)
    held = HeldRemovals((Remove(placement, Target(root, ready.path.name)),), "token", "One file.")
    states = (*plan.states, build_ready(comfyuis[-1], MODELS[1]))
    status.set_result(replace(build_result(comfyuis, *states), held=held))
    assert (await evictions.plan(DesiredState(MODELS), build_manifest(15))).log == plan.log
    assert (await evictions.plan(DesiredState(MODELS), build_manifest(20))).ids == frozenset()
