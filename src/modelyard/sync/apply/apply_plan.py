"""Apply one plan completely."""

from modelyard.sync.apply.downloads import ApplyOptions, GetDownloadUrl
from modelyard.sync.apply.executor import Executor
from modelyard.sync.apply.replica_states import OnReplicaState, ReplicaState, ignore_replica_state
from modelyard.sync.inventory.scan import MachineState
from modelyard.sync.planning.actions import Plan

_DEFAULT_OPTIONS = ApplyOptions()


async def apply_plan(
    plan: Plan,
    machine: MachineState,
    get_download_url: GetDownloadUrl,
    options: ApplyOptions = _DEFAULT_OPTIONS,
    on_progress: OnReplicaState = ignore_replica_state,
) -> tuple[ReplicaState, ...]:
    """Apply the plan and return the final state of each model.

    A failure of one model is not raised, but becomes its replica state; so does a reason that blocks an action, which
    is not waited for. Cancelling stops everything, and partial downloads are kept for the next run. ``on_progress`` is
    as in ``Progress``. A bug is re-raised at the end.
    """
    async with Executor(machine, get_download_url, options, on_progress) as executor:
        await executor.submit(plan, options)
        return await wait_for_final_states(executor)


async def wait_for_final_states(executor: Executor) -> tuple[ReplicaState, ...]:
    """Wait until no action runs or can begin, and return the state of each model, including blocked ones.

    An unexpected exception of an action is re-raised.
    """
    await executor.wait_until_idle()
    executor.raise_bug()
    return executor.progress.list_replica_states()
