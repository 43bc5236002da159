"""What a running agent leaves in its state folder for people and programs on the same machine, and takes from there.

<state dir>/agents/<agent id>/lock              held while it runs
<state dir>/agents/<agent id>/status.json       what it does, at most two seconds old
<state dir>/agents/<agent id>/approved-removal  the token of a removal that a person approved here
"""

import os
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from modelyard.client.durable import write_private
from modelyard.wire.agents import ModelState, SyncPhase

_APPROVAL_DIGITS = 64

LinkState = Literal["connecting", "connected", "lost", "refused", "stopped"]


class ModelStatus(BaseModel):
    """One model that is not simply here."""

    model_config = ConfigDict(frozen=True)

    model_path: str
    state: ModelState
    reason: str | None = None
    size: int = 0
    bytes_done: int = 0


class HeldStatus(BaseModel):
    """A removal that waits for a person."""

    model_config = ConfigDict(frozen=True)

    token: str
    count: int
    reason: str
    paths: list[str]


class Status(BaseModel):
    """What an agent does."""

    model_config = ConfigDict(frozen=True)

    agent_id: str
    version: str
    pid: int
    started_at: datetime
    written_at: datetime
    url: str
    link: LinkState
    link_reason: str | None = None
    last_heartbeat: datetime | None = None
    phase: SyncPhase
    detail: str | None = None
    percent: int | None = None
    paused: bool = False
    waiting_for: str | None = None
    folders: list[str] = Field(default_factory=list)
    comfyui: str | None = None
    counts: dict[str, int] = Field(default_factory=dict)
    bytes_held: int = 0
    disk_free: int | None = None
    models: list[ModelStatus] = Field(default_factory=list)
    held: HeldStatus | None = None
    notes: list[str] = Field(default_factory=list)


class StateFolder:
    """The state folder of one agent; blocking."""

    def __init__(self, state_dir: Path, agent_id: str) -> None:
        self.path = state_dir / "agents" / agent_id
        self.lock = self.path / "lock"
        self._status = self.path / "status.json"
        self._approved = self.path / "approved-removal"

    def write(self, status: Status) -> None:
        """Leave word of what the agent does, whole or not at all. Not synced: after a power cut it is of no use.

        Raises:
            OSError: the folder cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._status.with_name(f".{self._status.name}.{os.getpid()}")
        draft.write_text(status.model_dump_json(indent=2) + "\n", encoding="utf-8")
        draft.replace(self._status)

    def read(self) -> Status | None:
        """The last word of the agent, which may have ended since; None if there is none."""
        try:
            return Status.model_validate_json(self._status.read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValidationError):
            return None

    def approve(self, token: str) -> None:
        """Say that a removal may go on; the agent sees it within seconds."""
        write_private(self._approved, token + "\n")

    def approved(self) -> str | None:
        """The token of the removal that was approved last."""
        try:
            token = self._approved.read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            return None
        return token if len(token) == _APPROVAL_DIGITS else None

    def forget_approval(self) -> None:
        """The removal was made: the same files may be wanted and unwanted again, and then somebody is asked anew."""
        self._approved.unlink(missing_ok=True)

    def is_running(self) -> bool:
        """Whether an agent holds the lock."""
        import fcntl

        try:
            handle = os.open(self.lock, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(handle)
        return False


def known_agents(state_dir: Path) -> list[str]:
    """The agents that have run here."""
    try:
        return sorted(path.name for path in (state_dir / "agents").iterdir() if path.is_dir())
    except OSError:
        return []


def as_document(status: Status, *, is_running: bool) -> dict[str, object]:
    """The status as JSON says it."""
    document: dict[str, object] = {"is_running": is_running}
    return document | status.model_dump(mode="json")
