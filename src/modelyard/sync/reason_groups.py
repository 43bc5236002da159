"""Groups of models that are in one state for one reason, apart from what the reason says of each model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelyard.wire.agents.values import ModelState

_size = re.compile(r"\b\d+(\.\d+)? ([kMGT]?B|bytes)\b")


class ExplainedModel(Protocol):
    """A model's state with the reason for it."""

    @property
    def model_path(self) -> str:
        """The model's path."""

    @property
    def state(self) -> ModelState | None:
        """Its state; None for a removed file."""

    @property
    def reason(self) -> str | None:
        """Why it is in this state."""


@dataclass(frozen=True)
class ReasonGroup:
    """Models that are in one state for one reason; ``reason`` is the first one's."""

    state: ModelState
    reason: str
    model_paths: tuple[str, ...]


def group_by_reason(models: Iterable[ExplainedModel]) -> list[ReasonGroup]:
    """Group models with a state and a reason, in the order of the first of each group. Pure.

    Reasons that differ only in the model's own path and in sizes, such as those of a full disk, are one.
    """
    groups: dict[tuple[ModelState, str], tuple[str, list[str]]] = {}
    for model in models:
        if model.state is not None and model.reason:
            path = model.model_path.removeprefix("models/")
            key = model.state, _size.sub("", model.reason.replace(path, ""))
            groups.setdefault(key, (model.reason, []))[1].append(path)
    return [ReasonGroup(state, reason, tuple(paths)) for (state, _), (reason, paths) in groups.items()]
