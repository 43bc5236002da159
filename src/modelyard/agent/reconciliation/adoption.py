"""Adoption of model files that are in their places but missing in the agent's state, for example after its loss."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from modelyard.agent.settings import AgentSettings
from modelyard.agent.state_folder import StateFolder, read_statuses
from modelyard.comfyui.layout import Install
from modelyard.sync.desired import DesiredModel, build_desired_state
from modelyard.sync.inventory.inventory import Inventory
from modelyard.sync.inventory.placement_journal import Placement
from modelyard.sync.inventory.scan import MachineState, scan_roots
from modelyard.wire.models import Model


@dataclass(frozen=True)
class AdoptableFile:
    """A file at the place of a model, with the content of a version that the team has or had."""

    path: Path
    desired: DesiredModel
    device: int
    inode: int


def find_adoptable_files(
    installs: Iterable[Install], versions: Iterable[Model], machine: MachineState
) -> list[AdoptableFile]:
    """Return the files that ``adopt_files`` may take over, sorted by path.

    Blocking: reads every file that has the size of a version and no valid hash in the index. A file with another name
    or in another folder is never adoptable, whatever its content is, nor is one that the agent's state has as placed.

    Raises:
        StateFileError: see ``StateFile``.
    """
    # One by one, because versions of one model share a place, and a list of desired models may not contain that.
    desired = [model for version in versions for model in build_desired_state([version]).models]
    held = scan_roots(installs, desired, machine)
    placed = {entry.path for entry in held.placements if entry.origin == "placed"}
    found = {file.path: file for version in desired for file in _find_at_place(version, held)}
    return [found[path] for path in sorted(found.keys() - placed)]


def adopt_files(files: Iterable[AdoptableFile], machine: MachineState) -> None:
    """Add files to the agent's state: from now on it replaces and removes them as if it had placed them.

    Raises:
        StateFileError: see ``StateFile``.
    """
    machine.journal.confirm_all(
        Placement(
            file.path,
            file.desired.sha256,
            file.desired.size,
            file.desired.id,
            "placed",
            device=file.device,
            inode=file.inode,
        )
        for file in files
    )


def describe_other_agents(state_dir: Path, settings: AgentSettings, url: str) -> str | None:
    """Return a warning if this agent has not run here before, and agents of other names have, in its folders.

    Blocking. Only status files are read, and those that cannot be read are left out.
    """
    if StateFolder(state_dir, settings.agent_id).read_status() is not None:
        return None
    # This agent is not among them, because it has no status.
    others = [f"'{each}'" for each in _find_agents(state_dir, settings, url)]
    if not others:
        return None
    folders = [f"--comfyui={folder}" for folder in settings.comfyui]
    folders += [f"--models-dir={folder}" for folder in settings.models_dir]
    command = shlex.join(["modelyard", "agent", "adopt", *folders, f"--agent-id={settings.agent_id}", "--dry-run"])
    subject, verb, it = ("agent", "has", "it") if len(others) == 1 else ("agents", "have", "they")
    return (
        f"The {subject} {', '.join(others)} {verb} run in these folders. What {it} placed counts as your own files for"
        " this one. If this machine was renamed, stop this agent and let it adopt them. It takes all files at models'"
        " places that have the content of the team's models, also those that you put there. Look first, then run this"
        f" without --dry-run: {command}"
    )


def _find_agents(state_dir: Path, settings: AgentSettings, url: str) -> Iterator[str]:
    """Yield the names of agents that last ran with this registry and at least one of these folders, as written.

    The folders themselves are not looked at, because their disk may not respond.
    """
    folders = {str(folder) for folder in (*settings.comfyui, *settings.models_dir)}
    for agent_id, status in read_statuses(state_dir):
        if status.url == url and not folders.isdisjoint(status.folders):
            yield agent_id


def _find_at_place(version: DesiredModel, held: Inventory) -> Iterable[AdoptableFile]:
    """Yield the regular files with a version's content at its places: at most one for each root of the model type."""
    for install in held.installs:
        for root in install:
            path = root.path / version.name
            file = held.files.get(path) if root.key == version.model_type and root.problem is None else None
            if file is not None and file.is_regular_file and file.path == path and file.sha256 == version.sha256:
                yield AdoptableFile(path, version, file.device, file.inode)
