"""``reconcile_once`` on a real disk, with downloads from a real server."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from modelyard.sync.apply.apply_plan import wait_for_final_states
from modelyard.sync.apply.executor import Executor
from modelyard.sync.desired import build_desired_state
from modelyard.sync.inventory.scan import MachineState
from modelyard.sync.planning.actions import Plan
from modelyard.sync.planning.planner import Policy
from modelyard.sync.reconcile import ReconcileRequest, reconcile_once
from modelyard.wire.agents.manifests import ManifestEntry
from tests.sync.real_machine import DEFAULT_OPTIONS, ModelStore, RealMachine

CONTENT = b"ink" * 1000


def build_request(
    machine: RealMachine, models: Sequence[ManifestEntry], approved_removal_tokens: frozenset[str] = frozenset()
) -> ReconcileRequest:
    policy = Policy(datetime.now(UTC), approved_removal_tokens=approved_removal_tokens)
    return ReconcileRequest(machine.installs, build_desired_state(models), policy, DEFAULT_OPTIONS)


def reconcile(machine: RealMachine, request: ReconcileRequest) -> tuple[Plan, list[str]]:
    """Reconcile once and wait for the actions; return the plan and the steps in their order."""
    steps: list[str] = []

    def record_plan(plan: Plan) -> None:
        steps.append(f"planned, {len(machine.store.requested_ids)} downloads")

    async def run(opened: MachineState) -> Plan:
        async with Executor(opened, machine.store.get_download_url, request.apply_options) as executor:
            plan = await reconcile_once(
                executor, opened, request, on_scanned=lambda: steps.append("scanned"), on_planned=record_plan
            )
            await wait_for_final_states(executor)
            return plan

    with machine.open_state() as opened:
        return asyncio.run(run(opened)), steps


def test_reconcile_once_calls_back_after_scan_and_before_actions(machine: RealMachine, store: ModelStore) -> None:
    _, steps = reconcile(machine, build_request(machine, [store.add_model("loras/ink.sft", CONTENT)]))
    assert steps == ["scanned", "planned, 0 downloads"]
    assert machine.read_files() == {"loras/ink.sft": CONTENT}


def test_reconcile_once_dry_run_returns_plan_and_places_nothing(machine: RealMachine, store: ModelStore) -> None:
    request = build_request(machine, [store.add_model("loras/ink.sft", CONTENT)])
    plan, _ = reconcile(machine, replace(request, is_dry_run=True))
    assert [fetch.desired.model_path for fetch in plan.fetch] == ["loras/ink.sft"]
    assert machine.read_files() == {}


def test_reconcile_once_approved_token_removes_held_files(machine: RealMachine, store: ModelStore) -> None:
    models = [store.add_model(f"loras/{number}.sft", bytes([number]) * 100) for number in range(5)]
    reconcile(machine, build_request(machine, models))
    held_plan, _ = reconcile(machine, build_request(machine, []))
    assert held_plan.held_removals is not None
    assert len(machine.read_files()) == 5

    tokens = frozenset({"0" * 64, held_plan.held_removals.token})
    plan, _ = reconcile(machine, build_request(machine, [], approved_removal_tokens=tokens))

    assert plan.approved_removal_token == held_plan.held_removals.token
    assert plan.held_removals is None
    assert machine.read_files() == {}


def test_reconcile_once_token_of_other_removals_removes_nothing(machine: RealMachine, store: ModelStore) -> None:
    models = [store.add_model(f"loras/{number}.sft", bytes([number]) * 100) for number in range(5)]
    reconcile(machine, build_request(machine, models))

    plan, _ = reconcile(machine, build_request(machine, [], approved_removal_tokens=frozenset({"0" * 64})))

    assert plan.approved_removal_token is None
    assert plan.held_removals is not None
    assert len(machine.read_files()) == 5
