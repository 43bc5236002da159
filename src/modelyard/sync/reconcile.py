"""One reconciliation, for ``modelyard sync`` and the agent: scan the folders, make a plan, start its actions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from modelyard.comfyui.layout import Install
from modelyard.sync.apply.downloads import ApplyOptions
from modelyard.sync.apply.executor import Executor
from modelyard.sync.desired import DesiredState
from modelyard.sync.inventory.file_hashes import ScanOptions
from modelyard.sync.inventory.inventory import Inventory
from modelyard.sync.inventory.scan import MachineState, scan_roots
from modelyard.sync.planning.actions import Plan
from modelyard.sync.planning.planner import Policy, plan_sync
from modelyard.transfer.thread_pool import ThreadPool


@dataclass(frozen=True)
class ReconcileRequest:
    """The folders of a machine, what they should hold, and what may be done to reach that.

    ``is_dry_run``: the plan is not submitted. ``policy.approved_files`` is replaced by what the executor has.
    """

    installs: Sequence[Install]
    desired: DesiredState
    policy: Policy
    apply_options: ApplyOptions = field(default_factory=ApplyOptions)
    is_dry_run: bool = False
    scan_options: ScanOptions = field(default_factory=ScanOptions)


def _ignore() -> None:
    """Do nothing: the default of ``on_scanned``."""


def _ignore_plan(plan: Plan) -> None:
    """Do nothing: the default of ``on_planned``."""


async def reconcile_once(
    executor: Executor,
    machine: MachineState,
    request: ReconcileRequest,
    *,
    on_scanned: Callable[[], None] = _ignore,
    on_planned: Callable[[Plan], None] = _ignore_plan,
) -> Plan:
    """Scan the folders, make a plan and submit it to the executor; return the plan.

    The actions have only started then: ``Executor.wait_until_idle`` waits for them. Removals that were approved for an
    earlier plan of this executor, and are not done yet, stay approved.

    Args:
        executor: applies the plan instead of its earlier one.
        machine: the state of this machine that the executor uses.
        request: what to reconcile.
        on_scanned: called on the event loop after the scan.
        on_planned: called on the event loop with the plan, before any of its actions starts.

    Raises:
        StateFileError: see ``StateFile``.
    """
    executor.start_tracking_changes()
    approved_files = executor.progress.list_approved_files()
    inventory = await scan_folders(machine, request.installs, request.desired, request.scan_options)
    on_scanned()
    policy = replace(request.policy, approved_files=approved_files)
    async with ThreadPool(1) as threads:
        plan = await threads.run(lambda: plan_sync(request.desired, inventory, policy), timeout_seconds=None)
    on_planned(plan)
    if not request.is_dry_run:
        await executor.submit(plan, request.apply_options)
    return plan


async def scan_folders(
    machine: MachineState, installs: Sequence[Install], desired: DesiredState, options: ScanOptions
) -> Inventory:
    """Scan all folders in a thread and return the inventory.

    Cancelling stops the scan by setting ``options.stopped``; such options cannot be used again.

    Raises:
        StateFileError: see ``StateFile``.
    """
    async with ThreadPool(1) as threads:
        return await threads.run(
            lambda: scan_roots(installs, desired.models, machine, options), options.stopped.set, timeout_seconds=None
        )
