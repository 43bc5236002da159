"""Groups of models that are in one state for one reason, apart from what the reason says of each model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from modelyard.wire.agents.values import ModelState

_size_or_hash = re.compile(r"\b\d+(\.\d+)? ([kMGT]?B|bytes)\b|\bsha256:[0-9a-f]+")
_quoted = re.compile("\"[^\"]*\"|'[^']*'")


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

    Reasons that differ only in sizes, hashes and paths of the model's name, such as those of a full disk or of files
    that are in the way, are one.
    """
    groups: dict[tuple[ModelState, str], tuple[str, list[str]]] = {}
    for model in models:
        if model.state is not None and model.reason:
            path = model.model_path.removeprefix("models/")
            key = model.state, _omit_details(model.reason, path)
            groups.setdefault(key, (model.reason, []))[1].append(path)
    return [ReasonGroup(state, reason, tuple(paths)) for (state, _), (reason, paths) in groups.items()]


def is_example(reason: str, model_paths: Sequence[str]) -> bool:
    """Return whether the reason of several models is in the words of the first one's, which it names."""
    return len(model_paths) > 1 and _get_name(model_paths[0]) in reason


def _omit_details(reason: str, path: str) -> str:
    """Return a reason without sizes, hashes, and quoted paths that end with the name of the model."""
    name = _get_name(path)
    without_paths = _quoted.sub(lambda found: "" if found[0][1:-1].endswith(name) else found[0], reason)
    return _size_or_hash.sub("", without_paths.replace(path, ""))


def _get_name(path: str) -> str:
    """Return the last part of a model's path."""
    return path.rpartition("/")[2]
