"""Where one model stands on this machine while a plan is carried out: what heartbeats and screens tell."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import UUID

from modelyard.client.sync.acting.staging import How
from modelyard.client.sync.acting.troubles import NotPlaced
from modelyard.client.sync.wanted import Wanted
from modelyard.wire.agents import ModelState

Done = Literal["kept", "found", "fetched", "from trash", "removed"] | How


@dataclass(frozen=True)
class Standing:
    """``done`` says how it came to be ``ready``; ``state`` is None once a removed file has gone."""

    model_id: UUID
    model_path: str
    state: ModelState | None
    size: int = 0
    bytes_done: int = 0
    reason: str | None = None
    done: Done | None = None
    path: Path | None = None


# Called on the event loop, at most about ten times a second for each model.
Tell = Callable[[Standing], None]


def unheard(standing: Standing) -> None:
    """For a caller who only wants to know how it ended."""


def standing_of(wanted: Wanted, state: ModelState, bytes_done: int = 0, reason: str | None = None) -> Standing:
    """A model on its way."""
    return Standing(wanted.id, wanted.model_path, state, wanted.size, bytes_done, reason)


def ready(wanted: Wanted, path: Path, done: Done, remark: str | None = None) -> Standing:
    """A model that is here."""
    return Standing(wanted.id, wanted.model_path, "ready", wanted.size, wanted.size, remark, done, path)


def not_placed(wanted: Wanted, failure: NotPlaced) -> Standing:
    """A model that did not get its place."""
    return standing_of(wanted, failure.state, reason=failure.reason)
