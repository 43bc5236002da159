"""``modelyard agent adopt``: add files to the state of an agent that placed them before it lost its state."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal.terminal import Terminal, require_posix, terminal_of
from modelyard.cli.this_machine.settings import ComfyUI, KnownAgentId, ModelsDir, read_known_agent_settings
from modelyard.comfyui.quoting import counted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from modelyard.agent.reconciliation.adoption import AdoptableFile
    from modelyard.agent.settings import AgentSettings
    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.models import Model


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("adopt")(adopt_files)


def adopt_files(
    context: typer.Context,
    comfyui: ComfyUI = None,
    models_dir: ModelsDir = None,
    agent_id: KnownAgentId = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list the files.")] = False,
) -> None:
    """Let this machine's agent manage the files that it placed before its state was lost. Stop the agent first.

    A file, also one that you put there, is adopted if it is in a model's place and has the content of a version that
    the team has, also in its trash. The agent replaces and removes adopted files. The machine's own key cannot list the
    versions: sign in, or set MODELYARD_TOKEN to another key (sk- or dk-), which may be one that only reads.

    Without --comfyui and --models-dir, the folders are those of the agent when it ran last.

    Example: modelyard agent adopt --dry-run
    """
    require_posix("The agent")
    terminal = terminal_of(context)
    state_dir = terminal.settings.state_dir
    settings = _read_settings(terminal, comfyui=comfyui, models_dir=models_dir, agent_id=agent_id)

    async def adopt(registry: RegistryApi) -> list[AdoptableFile]:
        """Load all versions of the team, then find and adopt their files."""
        versions = await _list_all_versions(registry)
        return await _find_and_adopt(settings, state_dir, versions, dry_run=dry_run)

    files = _call_with_account(terminal, settings, adopt)
    count = counted(len(files), "file")
    terminal.output.answer(
        document={
            "is_done": not dry_run,
            "adopted": [
                {
                    "path": each.path,
                    "model_id": each.desired.id,
                    "version": each.desired.version,
                    "file_hash": f"sha256:{each.desired.sha256}",
                }
                for each in files
            ],
        },
        lines=[*(str(each.path) for each in files), f"{'Would adopt' if dry_run else 'Adopted'} {count}."],
        quiet=[str(each.path) for each in files],
    )


def _read_settings(terminal: Terminal, **flags: object) -> AgentSettings:
    """Return the settings of the agent for which files are adopted, with the folders that it had when it ran last.

    Raises:
        ValueError: neither the settings nor an agent of their name that has run here name folders.
    """
    from modelyard.agent.roots import add_folders_of_last_agent
    from modelyard.agent.state_folder import StateFolder, read_statuses

    state_dir = terminal.settings.state_dir
    settings = read_known_agent_settings(terminal, **flags)
    settings = add_folders_of_last_agent(settings, StateFolder(state_dir, settings.agent_id))
    if settings.comfyui or settings.models_dir:
        return settings
    others = [each for each, status in read_statuses(state_dir) if status.comfyui_dirs or status.models_dirs]
    if not others:
        raise ValueError(
            "No agent has run here. Name the models folders: modelyard agent adopt --comfyui DIR or --models-dir DIR"
        )
    commands = "\n".join(f"  modelyard agent adopt --agent-id {each}" for each in others)
    raise ValueError(f"No agent '{settings.agent_id}' has run here. Name an agent that has:\n{commands}")


def _call_with_account(
    terminal: Terminal, settings: AgentSettings, adopt: Callable[[RegistryApi], Awaitable[list[AdoptableFile]]]
) -> list[AdoptableFile]:
    """Call the registry, not with the machine's key.

    Raises:
        AccountRequired: this user is not signed in, or MODELYARD_TOKEN is a machine's key or is not accepted.
    """
    from modelyard.client.profile import AccountRequired
    from modelyard.wire.problems import KeyNotAllowed, Unauthenticated

    try:
        return terminal.call_registry(adopt, retry_until_give_up=True)
    except (Unauthenticated, KeyNotAllowed) as refusal:
        is_agent_key = (terminal.settings.token or "").startswith("ak-")
        reason = "A machine's key (ak-) cannot do this." if is_agent_key else str(refusal)
        raise AccountRequired(
            f"{reason} To adopt files, they are compared with all versions of the team's models, which a machine's key"
            " cannot list.",
            _find_url(terminal, settings),
        ) from None


def _find_url(terminal: Terminal, settings: AgentSettings) -> str | None:
    """Return the address of the registry in the settings, or of the one that this machine was paired with last."""
    from modelyard.agent.registry.keys import AgentKeyStore

    named = terminal.settings.url or settings.url
    return named or AgentKeyStore(terminal.settings.profile_file, terminal.output.warn).find_url()


async def _list_all_versions(registry: RegistryApi) -> list[Model]:
    """Return the team's models with each of their versions, and those in its trash with their last one."""
    from modelyard.client.api.models import list_all_models
    from modelyard.wire.model_filter import ModelFilter

    models = [model async for model in list_all_models(registry)]
    with_versions = [model for model in models if max(model.version, model.version_count) > 1]
    versions = [each for model in with_versions async for each in _list_versions(registry, model)]
    deleted = [model async for model in list_all_models(registry, ModelFilter(deleted=True))]
    return [*models, *versions, *deleted]


async def _list_versions(registry: RegistryApi, model: Model) -> AsyncIterator[Model]:
    """Yield the model as it was with each of its versions, also those in the trash."""
    from modelyard.client.api.models import list_all_versions, replace_content

    for is_deleted in (False, True):
        for version in await list_all_versions(registry, model.id, deleted=is_deleted):
            yield replace_content(model, version)


async def _find_and_adopt(
    settings: AgentSettings, state_dir: Path, versions: list[Model], *, dry_run: bool
) -> list[AdoptableFile]:
    """Find the adoptable files on this machine, adopt them unless it is a dry run, and return them.

    Raises:
        LockHeld: the agent is running.
        RootsNotFound: no models folder can be used.
        StateFileError: see ``StateFile``.
    """
    from modelyard.agent.reconciliation.adoption import adopt_files, find_adoptable_files
    from modelyard.agent.roots import ROOT_CACHE, RootCache, RootFinder
    from modelyard.agent.state_folder import StateFolder
    from modelyard.client.atomic_file import LockHeld, locked
    from modelyard.sync.machine_state import open_machine_state
    from modelyard.transfer.thread_pool import ThreadPool

    folder = StateFolder(state_dir, settings.agent_id)
    root_finder = RootFinder(settings, os.environ, RootCache(folder.path / ROOT_CACHE))

    async with locked(folder.lock, wait_seconds=0.5) as is_held, ThreadPool(1) as threads:
        if not is_held:
            raise LockHeld(f"The agent '{settings.agent_id}' is running. Stop it, then run this command again.")
        roots = await threads.run(root_finder.find, timeout_seconds=None)
        async with open_machine_state(state_dir, settings.agent_id) as machine:
            files = await threads.run(
                lambda: find_adoptable_files(roots.installs, versions, machine), timeout_seconds=None
            )
            if not dry_run:
                await threads.run(lambda: adopt_files(files, machine), timeout_seconds=None)
            return files
