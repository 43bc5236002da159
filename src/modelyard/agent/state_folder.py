"""The state folder of an agent: its lock, its status file, and approvals of removals made on the machine.

<state dir>/agents/<agent id>/lock              locked while the agent runs
<state dir>/agents/<agent id>/status.json       what the agent does, at most two seconds old
<state dir>/agents/<agent id>/approved-removal  the token of a removal that a user approved here
<state dir>/agents/<agent id>/use.json          ids of models with the time of their last use
<state dir>/agents/<agent id>/bridge/agent.sock  the socket of the local API while the agent runs, or a link to it
<state dir>/agents/<agent id>/evictions.json    ids of the models that were evicted for the disk budget
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelyard.client.atomic_file import ensure_private_folder, write_private_file
from modelyard.transfer.portable.locks import try_lock
from modelyard.wire.agents.values import ModelState, SyncPhase

_TOKEN_LENGTH = 64
USE_LOG_NAME = "use.json"
EVICTION_LOG_NAME = "evictions.json"

ConnectionState = Literal["connecting", "connected", "lost", "refused", "stopped"]


class ModelStatus(BaseModel):
    """A model that is not ready, or that ComfyUI does not load."""

    model_config = ConfigDict(frozen=True)

    model_path: str
    state: ModelState
    reason: str | None = None
    size: int = 0
    bytes_done: int = 0


class ReasonStatus(BaseModel):
    """Why models are in a state: their number, the reason of the first one, and the first paths."""

    model_config = ConfigDict(frozen=True)

    state: ModelState
    count: int
    reason: str
    model_paths: list[str]


class HeldStatus(BaseModel):
    """A removal that waits for a user's approval."""

    model_config = ConfigDict(frozen=True)

    token: str
    count: int
    reason: str
    paths: list[str]


class StatusSnapshot(BaseModel):
    """The content of the status file."""

    model_config = ConfigDict(frozen=True)

    agent_id: str
    version: str
    pid: int
    started_at: datetime
    written_at: datetime
    url: str
    team_id: UUID | None = None  # as the registry last said
    link: ConnectionState
    link_reason: str | None = None
    link_since: datetime | None = None  # when it became ``link``; None: unknown
    link_retry_at: datetime | None = None  # when the registry is asked again; None: it has answered
    retry_at: datetime | None = None  # when what failed is tried again; None: nothing did
    last_heartbeat: datetime | None = None
    phase: SyncPhase
    detail: str | None = None
    percent: int | None = None
    paused: bool = False
    waiting_for: str | None = None
    folders: list[str] = Field(default_factory=list)
    comfyui_dirs: list[str] = Field(default_factory=list)
    comfyui_urls: list[str] = Field(default_factory=list)
    models_dirs: list[str] = Field(default_factory=list)
    comfyui: str | None = None
    counts: dict[str, int] = Field(default_factory=dict)
    counted_at: datetime | None = None  # last scan of the folders, perhaps before this start; None: never
    bytes_held: int = 0
    disk_free: int | None = None
    models: list[ModelStatus] = Field(default_factory=list)
    reasons: list[ReasonStatus] = Field(default_factory=list)  # that most models have, state by state
    stuck_removals: list[ReasonStatus] = Field(default_factory=list)  # files that no model needs; state is "blocked"
    held: HeldStatus | None = None
    notes: list[str] = Field(default_factory=list)
    is_reported_by_two: bool = False  # another agent reports as this machine


class StateFolder:
    """The state folder of one agent; blocking."""

    def __init__(self, state_dir: Path, agent_id: str) -> None:
        self.path = state_dir / "agents" / agent_id
        self.lock = self.path / "lock"
        self.use_log = self.path / USE_LOG_NAME
        self.local_socket = self.path / "bridge" / "agent.sock"
        self.evictions = self.path / EVICTION_LOG_NAME
        self._status = self.path / "status.json"
        self._approved = self.path / "approved-removal"

    def write_status(self, status: StatusSnapshot) -> None:
        """Write the status file atomically. Not synced to disk, because it is of no use after a power failure.

        Raises:
            OSError: the folder cannot be written.
        """
        ensure_private_folder(self.path)
        draft = self._status.with_name(f".{self._status.name}.{os.getpid()}")
        draft.write_text(status.model_dump_json(indent=2) + "\n", encoding="utf-8")
        draft.replace(self._status)

    def read_status(self) -> StatusSnapshot | None:
        """Return the last written status, even if the agent has ended since; None if missing or invalid."""
        try:
            return StatusSnapshot.model_validate_json(self._status.read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValidationError):
            return None

    def write_approval(self, token: str) -> None:
        """Write the approval of a removal in place of an earlier one; the running agent reads it within seconds."""
        write_private_file(self._approved, token + "\n")

    def read_approval(self) -> str | None:
        """Return the token of the removal approved last; None if missing, unreadable or not 64 characters long."""
        try:
            token = self._approved.read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            return None
        return token if len(token) == _TOKEN_LENGTH else None

    def delete_approval(self) -> None:
        """Delete the approval, if there is one, so that a later removal of the same files needs a new one."""
        self._approved.unlink(missing_ok=True)

    def is_running(self) -> bool:
        """Return whether a process holds the agent's lock; False if the lock file cannot be opened."""
        try:
            handle = os.open(self.lock, os.O_RDWR)
        except OSError:
            return False
        try:
            return not try_lock(handle)
        except OSError:
            return True
        finally:
            os.close(handle)


def list_agent_ids(state_dir: Path) -> list[str]:
    """Return the ids of the agents that have a folder below ``state_dir``, sorted; empty if it cannot be read."""
    try:
        return sorted(path.name for path in (state_dir / "agents").iterdir() if path.is_dir())
    except OSError:
        return []


def read_statuses(state_dir: Path) -> Iterator[tuple[str, StatusSnapshot]]:
    """Yield the agents below ``state_dir`` with their last written statuses, except those that cannot be read.

    Sorted by id, which is that of the folder. Blocking.
    """
    for agent_id in list_agent_ids(state_dir):
        with suppress(OSError):
            status = StateFolder(state_dir, agent_id).read_status()
            if status is not None:
                yield agent_id, status


def find_agent_of_team(state_dir: Path, team_id: UUID, url: str) -> str | None:
    """Return the agent that last ran here for a team, if that was at another address than ``url``; blocking."""
    of_team = [each for each in read_statuses(state_dir) if each[1].team_id == team_id]
    last = max(of_team, key=lambda each: each[1].written_at, default=None)
    return None if last is None or last[1].url == url else last[0]


def to_json_document(status: StatusSnapshot, *, is_running: bool) -> dict[str, object]:
    """Return the status as JSON-compatible values, with ``is_running`` added."""
    document: dict[str, object] = {"is_running": is_running}
    return document | status.model_dump(mode="json")
