"""Take over what an agent of another name placed in the same folders, for example before this machine was renamed.

Without that, the files would count as the user's own: never replaced, and never removed.
"""

import asyncio
import logging
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from modelyard.agent.reconciliation.adoption import build_adopt_command
from modelyard.agent.roots import ROOT_CACHE
from modelyard.agent.settings import AgentSettings
from modelyard.agent.state_folder import EVICTION_LOG_NAME, USE_LOG_NAME, StateFolder, list_agent_ids, read_host_id
from modelyard.client.atomic_file import locked, write_private_file
from modelyard.comfyui.quoting import counted
from modelyard.sync.inventory.deadlines import FilesystemNotResponding, StallDeadline
from modelyard.sync.inventory.placement_journal import Placement, PlacementJournal, to_stored_inode
from modelyard.sync.inventory.scan import MachineState
from modelyard.sync.inventory.state_db import StateFileError
from modelyard.sync.machine_state import open_machine_state
from modelyard.transfer.source_file import FileIdentity

log = logging.getLogger("modelyard.agent")

_COPIED_FILES = (USE_LOG_NAME, EVICTION_LOG_NAME, ROOT_CACHE)


@dataclass(frozen=True)
class OtherAgent:
    """An agent that has run with some of the same folders and the same registry.

    ``is_same``: it had exactly these folders, and nothing shows that it ran on another host.
    """

    folder: StateFolder
    agent_id: str
    is_same: bool


@dataclass(frozen=True)
class FormerPlacements:
    """What another agent placed: rows about files that are there as it placed them, and rows about missing files."""

    present: tuple[Placement, ...] = ()
    missing: tuple[Placement, ...] = ()


async def take_over_placements(state_dir: Path, settings: AgentSettings, url: str, machine: MachineState) -> str | None:
    """Take over the placements of the only other agent that has run with the same folders, if it does not run now.

    Call it before the first plan. An agent that has placed files itself takes nothing over: both may be in use, one
    after the other. Only files that are still the ones which that agent placed are taken over, by their
    inodes: a user's files stay the user's. Return a warning if agents placed files here and it is unclear whether this
    is one of them, else None.

    Raises:
        StateFileError: see ``StateFile``; only for the state of this machine.
    """
    others = await asyncio.to_thread(find_other_agents, state_dir, settings, url)
    running: list[OtherAgent] = []
    found: list[tuple[OtherAgent, MachineState, FormerPlacements]] = []
    async with AsyncExitStack() as stack:
        for other in others:
            if not await stack.enter_async_context(locked(other.folder.lock, wait_seconds=0)):
                running.append(other)
                continue
            with suppress(StateFileError, FilesystemNotResponding):
                state = await stack.enter_async_context(open_machine_state(state_dir, other.agent_id))
                placements = await asyncio.to_thread(_find_placements_within_deadline, state.journal, machine.journal)
                if placements.present:
                    found.append((other, state, placements))
        has_placed = any(row.origin == "placed" for row in await asyncio.to_thread(machine.journal.list_placements))
        if len(found) == 1 and found[0][0].is_same and not running and not has_placed:
            other, state, placements = found[0]
            await asyncio.to_thread(_move_state, StateFolder(state_dir, settings.agent_id), machine, *found[0])
            count = counted(len(placements.present), "model")
            log.info("Took over %s that the agent '%s' placed in the same folders.", count, other.agent_id)
            return None
    return describe_other_agents([other.agent_id for other, _, _ in found], running, settings)


def find_other_agents(state_dir: Path, settings: AgentSettings, url: str) -> list[OtherAgent]:
    """Return the agents that have a state here, and last ran with some of these folders and this registry. Blocking."""
    own = _resolve((*settings.comfyui, *settings.models_dir))
    host_id = read_host_id()
    found: list[OtherAgent] = []
    for agent_id in list_agent_ids(state_dir):
        folder = StateFolder(state_dir, agent_id)
        status = None if agent_id == settings.agent_id else folder.read_status()
        if status is None or status.url != url or not (state_dir / "sync" / f"{agent_id}.sqlite").is_file():
            continue
        theirs = _resolve(map(Path, (*status.comfyui_dirs, *status.models_dirs)))
        is_same_host = None in (host_id, status.host_id) or host_id == status.host_id
        if own & theirs:
            found.append(OtherAgent(folder, agent_id, own == theirs and is_same_host))
    return found


def describe_other_agents(ended: list[str], running: list[OtherAgent], settings: AgentSettings) -> str | None:
    """Return a warning about files that other agents placed in these folders; None without such agents. Pure."""
    if ended:
        names = ", ".join(f"'{name}'" for name in ended)
        return (
            f"Files in these folders were placed by {names}, and count as the user's own here. If this machine had that"
            f" name, stop this agent and run: {build_adopt_command(settings)}"
        )
    if running:
        names = ", ".join(f"'{other.agent_id}'" for other in running)
        return f"Another agent runs in the same folders: {names}. What it places counts as the user's own here."
    return None


def _resolve(folders: Iterable[Path]) -> frozenset[Path]:
    """Return folders with symbolic links resolved."""
    return frozenset(folder.resolve() for folder in folders)


def _find_placements_within_deadline(theirs: PlacementJournal, own: PlacementJournal) -> FormerPlacements:
    """Return what ``find_placements`` finds.

    Raises:
        FilesystemNotResponding: a disk does not respond.
    """
    rows = theirs.list_placements()
    if not rows:
        return FormerPlacements()
    return StallDeadline().run(rows[0].path, lambda moved: find_placements(rows, own, moved))


def find_placements(rows: Iterable[Placement], own: PlacementJournal, moved: Callable[[], None]) -> FormerPlacements:
    """Sort another agent's rows about placed files by whether the file is there; others are left out. Blocking.

    Left out are files that were replaced since, and those that this agent has placed itself.
    """
    known = {row.path for row in own.list_placements() if row.origin == "placed"}
    present: list[Placement] = []
    missing: list[Placement] = []
    for row in rows:
        if row.origin != "placed" or row.path in known:
            continue
        status = _find_status(row.path)
        if status is None:
            missing.append(row)
        elif to_stored_inode(status.st_ino) == row.inode:
            present.append(row)
        moved()
    return FormerPlacements(tuple(present), tuple(missing))


def _find_status(path: Path) -> os.stat_result | None:
    """Return the status of a file or folder; None if it is missing or cannot be reached."""
    try:
        return path.lstat()
    except OSError:
        return None


def _move_state(
    own_folder: StateFolder, own: MachineState, other: OtherAgent, theirs: MachineState, placements: FormerPlacements
) -> None:
    """Record another agent's placements as this one's, with pictures, hashes and times of use; delete its own rows.

    What this machine has already stays. A kill in between leaves rows of both agents, of which one runs. Blocking.
    """
    rows = [*placements.present, *placements.missing]
    previews = theirs.journal.for_previews()
    pictures = find_placements(previews.list_placements(), own.journal.for_previews(), lambda: None)
    picture_rows = [*pictures.present, *pictures.missing]
    for name in _COPIED_FILES:
        source, target = other.folder.path / name, own_folder.path / name
        # They save time and downloads, and nothing depends on them.
        with suppress(OSError):
            if not target.exists():
                write_private_file(target, source.read_text(encoding="utf-8"))
    for row in rows:
        if row.is_folder and (files := theirs.journal.folder_lists.find(row.sha256)) is not None:
            own.journal.folder_lists.save(row.sha256, files)
    for path, identity, sha256 in _list_hashes(placements.present, theirs):
        own.index.add_hash(path, identity, sha256)
    own.index.flush()
    own.journal.for_previews().confirm_all(picture_rows)
    own.journal.confirm_all(rows)
    previews.delete_placements(picture_rows)
    theirs.journal.delete_placements(rows)
    other.folder.delete_status()


def _list_hashes(rows: Iterable[Placement], theirs: MachineState) -> Iterator[tuple[Path, FileIdentity, str]]:
    """Yield the files of these rows that have not changed since another agent read them, with their hashes."""
    for row in rows:
        status = _find_status(row.path)
        if status is None or not stat.S_ISREG(status.st_mode):
            continue
        identity = FileIdentity(status.st_size, status.st_mtime_ns, status.st_ino)
        if (sha256 := theirs.index.get_hash(row.path, identity)) is not None:
            yield row.path, identity, sha256
