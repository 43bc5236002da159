"""``modelyard sync``: bring a models folder to its desired state once, without an agent."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal.terminal import require_posix, terminal_of
from modelyard.cli.this_machine.download_progress import make_progress_listener
from modelyard.cli.this_machine.settings import read_agent_settings
from modelyard.cli.this_machine.sync_output import (
    list_plan_lines,
    list_result_lines,
    to_plan_document,
    to_result_document,
)
from modelyard.cli.transfers.options import GiveUpAfter, LimitRate, build_network

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from modelyard.agent.roots import FoundRoots
    from modelyard.cli.terminal.progress import ProgressView
    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.api.registry import RegistryApi
    from modelyard.sync.apply.downloads import ApplyOptions
    from modelyard.sync.apply.replica_states import ReplicaState
    from modelyard.sync.desired import DesiredModel, DesiredState
    from modelyard.sync.folder_sources import FolderSources
    from modelyard.sync.inventory.scan import MachineState
    from modelyard.sync.locked_state import LockedState
    from modelyard.sync.planning.actions import Plan
    from modelyard.sync.reconcile import ReconcileRequest


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("sync")(sync_folder)


def sync_folder(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a ComfyUI, or a models folder.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the plan.")] = False,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", help="A label of this machine: models that require it are placed too."),
    ] = None,
    comfyui_url: Annotated[
        str | None,
        typer.Option("--comfyui-url", metavar="URL", help="The address of its ComfyUI; default http://127.0.0.1:8188."),
    ] = None,
    lock: Annotated[
        Path | None, typer.Option(metavar="LOCK", help="Place the models of this lock, at the content that it pins.")
    ] = None,
    limit_rate: LimitRate = None,
    give_up_after: GiveUpAfter = None,
    approve_removal: Annotated[
        bool, typer.Option("--approve-removal", help="Remove what is not desired any more, however many files.")
    ] = False,
    hard_links: Annotated[
        bool,
        typer.Option(
            "--hard-links",
            help="Where the disk has no reflinks, make files with the same content hard links of one file: a program "
            "that overwrites one of them in place changes all.",
        ),
    ] = False,
) -> None:
    """Print a plan, then place the team's models in a folder and remove what it placed and the team no longer has.

    Files that this command did not place are never changed or removed. If ComfyUI runs, it is asked for its model
    folders, and whether it lists the placed files. To keep a machine in sync: modelyard agent run

    With --lock, the team's other models are not placed, and labels have no effect. Nothing is changed if the registry
    lacks one of the locked contents.

    Examples: modelyard sync ~/ComfyUI --dry-run; modelyard sync /srv/models --lock comfy-lock.yaml
    """
    require_posix("modelyard sync")
    if lock is not None and label:
        raise typer.BadParameter("--label has no effect with --lock.")
    from modelyard.sync.apply.downloads import ApplyOptions

    terminal = terminal_of(context)
    apply_options = ApplyOptions(network=build_network(terminal, limit_rate, give_up_after))
    options = _SyncOptions(folder, comfyui_url, label or [], lock, dry_run, approve_removal, hard_links)

    async def sync(registry: RegistryApi) -> tuple[Plan, tuple[ReplicaState, ...]]:
        """Reconcile the folder with the command's options."""
        return await _sync(terminal, registry, options, apply_options)

    plan, replica_states = terminal.call_registry(sync, retry_until_give_up=True)
    terminal.output.answer(
        document={"plan": to_plan_document(plan), "results": [to_result_document(each) for each in replica_states]},
        lines=list_result_lines(plan, replica_states, dry_run),
        quiet=[str(each.path) for each in replica_states if each.state == "ready"],
    )
    if not dry_run and not _is_complete(plan, replica_states):
        raise typer.Exit(1)


@dataclass(frozen=True)
class _SyncOptions:
    """The command's options that say what to sync."""

    folder: Path
    comfyui_url: str | None
    labels: Sequence[str]
    lock: Path | None
    dry_run: bool
    approve_removal: bool
    hard_links: bool


async def _sync(
    terminal: Terminal, registry: RegistryApi, options: _SyncOptions, apply_options: ApplyOptions
) -> tuple[Plan, tuple[ReplicaState, ...]]:
    """Reconcile the folder; return the plan and the final state of each model (empty for a dry run).

    After a replacement, ComfyUI unloads its models. A ready model that ComfyUI does not load has the reason.
    """
    import asyncio

    from modelyard.agent.reconciliation.comfyui_hooks import (
        QueueBlocker,
        add_load_problems,
        free_comfyui_memory,
    )
    from modelyard.agent.roots import RootCache, find_roots_at
    from modelyard.client.api.urls import check_download_url
    from modelyard.sync.folder_sources import FolderSources
    from modelyard.sync.folder_state import open_folder_state

    cache = RootCache(terminal.settings.state_dir / "sync" / "folders.json")
    roots = await asyncio.to_thread(find_roots_at, options.folder, options.comfyui_url, os.environ, cache)
    async with open_folder_state(options.folder, terminal.settings.state_dir) as machine:
        sources = FolderSources(registry, machine.journal.folder_lists)

        async def get_file_url(desired: DesiredModel) -> str:
            """Request a presigned URL for a file of a folder, and check that it is safe to use."""
            return check_download_url(await sources.get_url(desired), registry.url)

        locked = await _get_desired_state(terminal, registry, options, sources)
        apply_options = replace(
            apply_options,
            get_blocked_reason=partial(QueueBlocker().find_reason, roots),
            get_file_url=get_file_url,
        )
        request = _build_request(roots, locked.desired, options, apply_options)
        plan, replica_states = await _reconcile(terminal, registry, machine, request, locked.model_ids)
        replaced = {action.target.path for action in plan.replace}
        if any(each.path in replaced and each.state == "ready" for each in replica_states):
            await asyncio.to_thread(free_comfyui_memory, roots)
        return plan, await asyncio.to_thread(add_load_problems, roots, locked.desired, replica_states)


def _build_request(
    roots: FoundRoots, desired: DesiredState, options: _SyncOptions, apply_options: ApplyOptions
) -> ReconcileRequest:
    """Build the request of the reconciliation from the command's options."""
    from datetime import datetime

    from modelyard.sync.planning.planner import Policy
    from modelyard.sync.reconcile import ReconcileRequest

    policy = Policy(
        datetime.now().astimezone(),
        are_hard_links_allowed=options.hard_links,
        has_removal_limit=not options.approve_removal,
    )
    return ReconcileRequest(roots.installs, desired, policy, apply_options, is_dry_run=options.dry_run)


async def _reconcile(
    terminal: Terminal,
    registry: RegistryApi,
    machine: MachineState,
    request: ReconcileRequest,
    model_ids: Mapping[UUID, UUID],
) -> tuple[Plan, tuple[ReplicaState, ...]]:
    """Print the plan, then apply it and draw the progress; return the plan and the final states (none if a dry run)."""
    from modelyard.cli.terminal.progress import show_progress
    from modelyard.client.api.download_urls import DownloadUrls
    from modelyard.client.api.urls import check_download_url
    from modelyard.sync.apply.apply_plan import wait_for_final_states
    from modelyard.sync.apply.executor import Executor
    from modelyard.sync.apply.queue import list_expected_downloads
    from modelyard.sync.locked_state import LockedDownloads
    from modelyard.sync.reconcile import reconcile_once

    urls = DownloadUrls(LockedDownloads(registry, model_ids))

    async def get_download_url(model_id: UUID, version: int) -> str:
        """Request a presigned URL for a version, and check that it is safe to use."""
        return check_download_url(await urls.get(model_id, version), registry.url)

    def print_plan(plan: Plan) -> None:
        """Print the plan on standard error, unless the style is quiet."""
        for line in list_plan_lines(plan):
            terminal.output.note(line)

    def start_view(plan: Plan, view: ProgressView) -> None:
        """Print the plan, and expect its downloads in the progress display and at the registry."""
        view.print_above(lambda: print_plan(plan))
        view.expect({Path(desired.model_path): desired.size for desired in plan.downloads})
        urls.expect(list_expected_downloads(plan))

    with show_progress(terminal.output) as view:
        async with Executor(machine, get_download_url, request.apply_options, make_progress_listener(view)) as executor:
            plan = await reconcile_once(executor, machine, request, on_planned=lambda plan: start_view(plan, view))
            return plan, () if request.is_dry_run else await wait_for_final_states(executor)


async def _get_desired_state(
    terminal: Terminal, registry: RegistryApi, options: _SyncOptions, sources: FolderSources
) -> LockedState:
    """Return the state of the lock, or the machine's manifest if MODELYARD_TOKEN is an agent key, or the team's models.

    Raises:
        ValueError: a lock with an agent key, which may only download what its manifest has.
    """
    from modelyard.client.locks import read_lock_file
    from modelyard.sync.desired_sources import get_machine_desired_state, get_team_desired_state
    from modelyard.sync.locked_state import LockedState, get_locked_state
    from modelyard.wire.credentials import PREFIXES

    is_agent = (terminal.settings.token or "").startswith(PREFIXES["agent"])
    if options.lock is not None:
        if is_agent:
            raise ValueError("A machine's key downloads only what its manifest has. Use --lock with a user's key.")
        return await get_locked_state(registry, await read_lock_file(options.lock))
    if is_agent:
        agent_id = read_agent_settings(terminal).agent_id
        return LockedState(await get_machine_desired_state(registry, agent_id, options.labels, sources.load_lists))
    return LockedState(await get_team_desired_state(registry, options.labels, sources.load_lists))


def _is_complete(plan: Plan, replica_states: Sequence[ReplicaState]) -> bool:
    """Return whether the folder has its desired state: no removal is held or failed, and each model is ready."""
    is_planned = plan.held_removals is None and not plan.blocked
    return is_planned and all(each.is_as_desired for each in replica_states)
