"""Reads heartbeats of which the registry knows only a part, since the agent is newer or older, or has an error.

A heartbeat that is refused as a whole is lost as a whole, and its agent may send it for as long as it runs.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any, TypeGuard
from uuid import UUID

from pydantic import ValidationError, ValidatorFunctionWrapHandler

from modelyard.wire.agents.heartbeats import Heartbeat, ReportedModel, UnreadableField
from modelyard.wire.agents.values import (
    MAX_HEARTBEAT_STATES,
    MAX_SENTENCE_LENGTH,
    MAX_SHORT_TEXT_LENGTH,
    MAX_UNREADABLE_FIELDS,
)
from modelyard.wire.texts.rules import clean_line
from modelyard.wire.uses.reports import MAX_HEARTBEAT_USES, ModelUse

UNREADABLE_REASON = (
    "The registry cannot read what this machine reports of the model. It may be older than the machine's agent: "
    "upgrade the registry."
)
UNREADABLE_PROBLEM = "The machine reports a problem that the registry cannot read: see the agent's log."
_SHORT_TEXTS = frozenset({"agent_version", "agent_build", "comfyui_version", "platform_arch"})
_SENTENCES = frozenset({"sync_detail", "waiting_for", "problem"})
# Fields that only describe the machine. The others decide what is stored of its models.
_DESCRIPTIONS = (
    _SHORT_TEXTS
    | _SENTENCES
    | {
        *("agent_status", "sync_phase", "sync_percent", "sync_bytes_done", "sync_bytes_total", "sync_seconds_left"),
        *("disk_free", "disk_budget", "bytes_held", "models_evicted", "models_unloaded"),
        *("removal_waiting", "use_counted_since", "agent_process"),
    }
)
_NOT_READ = "The registry cannot read this value."
_MESSAGES = {
    "state": "The registry does not know this state: the model counts as queued.",
    "version": "The registry cannot read the version: the model counts as queued.",
    "model_path": "The registry cannot read the path: the model counts as queued.",
    "reason": "The registry cannot read this reason as it is, and shortens or replaces it.",
    "bytes_done": "The registry cannot read this number: it counts as 0.",
}


class ModelOfUnreadableVersion(ReportedModel):
    """A model whose reported version cannot be read: it counts for the version that the machine should hold."""


class PartialHeartbeat(Heartbeat):
    """A heartbeat of which some values could not be read; the others are as in any heartbeat."""

    unreadable_list: tuple[UnreadableField, ...] = ()
    unreadable_count: int = 0


@dataclass
class _Unreadable:
    """The values that could not be read so far: all are counted, the first ones are named."""

    fields: list[UnreadableField] = field(default_factory=list)
    count: int = 0

    def add(self, name: str, message: str, model_id: UUID | None = None) -> None:
        """Count an unreadable value, and name it if fewer than ``MAX_UNREADABLE_FIELDS`` are named."""
        self.count += 1
        if len(self.fields) < MAX_UNREADABLE_FIELDS:
            self.fields.append(UnreadableField(field=name, message=message, model_id=model_id))


def read_heartbeat(value: Any, validate: ValidatorFunctionWrapHandler) -> Heartbeat:
    """Validate a heartbeat with ``validate``; if that fails, read what can be read: a ``PartialHeartbeat``.

    Raises:
        ValidationError: a field that is no description cannot be read, or a list is too long or ends without an id.
    """
    try:
        whole: Heartbeat = validate(value)
    except ValidationError as error:
        if not isinstance(value, dict):
            raise
        invalid = _find_invalid(error)
    else:
        return whole
    unreadable = _Unreadable()
    # The descriptions first: there are few, and many models would leave none of them to be named.
    fields = value | _replace_descriptions(value, invalid & _DESCRIPTIONS, unreadable)
    beat: Heartbeat = validate(fields | _read_lists(value, unreadable))
    return PartialHeartbeat.model_construct(
        **dict(beat), unreadable_list=tuple(unreadable.fields), unreadable_count=unreadable.count
    )


def get_unreadable(beat: Heartbeat) -> tuple[list[UnreadableField], int]:
    """Return the first values of a heartbeat that could not be read, and how many there are."""
    return ([*beat.unreadable_list], beat.unreadable_count) if isinstance(beat, PartialHeartbeat) else ([], 0)


def _read_lists(value: Mapping[str, Any], unreadable: _Unreadable) -> dict[str, Any]:
    """Return the lists of a heartbeat with the entries that can be read; one that is not as it must be is left out."""
    lists: dict[str, Any] = {}
    if _is_list(models := value.get("model_list"), MAX_HEARTBEAT_STATES):
        read = [_read_model(f"model_list.{index}", entry, unreadable) for index, entry in enumerate(models)]
        # A part of a complete report is complete up to its last id, where the next part begins. Without that id it
        # stays invalid, since a gap between the two would keep old states.
        is_partial = value.get("is_whole") is True and value.get("is_last") is not True
        if not is_partial or (read and read[-1] is not None):
            lists["model_list"] = [model for model in read if model is not None]
    if _is_list(uses := value.get("use_list"), MAX_HEARTBEAT_USES):
        read_uses = [_read_use(f"use_list.{index}", entry, unreadable) for index, entry in enumerate(uses)]
        lists["use_list"] = [use for use in read_uses if use is not None]
        if None in read_uses:
            # The agent does not repeat it, so the machine has not counted all uses: it begins again.
            lists["use_counted_since"] = None
    return lists


def _is_list(value: object, max_length: int) -> TypeGuard[list[Any]]:
    """Return whether a value is a list of at most so many entries."""
    return isinstance(value, list) and len(value) <= max_length


def _find_invalid(error: ValidationError) -> set[str]:
    """Return the names of the fields that are invalid, or have something invalid."""
    return {str(each["loc"][0]) for each in error.errors(include_url=False, include_context=False) if each["loc"]}


def _read_model(place: str, entry: Any, unreadable: _Unreadable) -> ReportedModel | None:
    """Read the state of one model; None without a valid id. What is invalid besides is replaced, and is unreadable."""
    try:
        return ReportedModel.model_validate(entry)
    except ValidationError as error:
        invalid = _find_invalid(error)
    if not isinstance(entry, dict) or "model_id" in invalid:
        unreadable.add(f"{place}.model_id", "The registry cannot read the model's id: the entry does not count.")
        return None
    model_id = UUID(str(entry["model_id"]))
    for name in sorted(invalid):
        unreadable.add(f"{place}.{name}", _MESSAGES.get(name, _NOT_READ), model_id)
    replaced = entry | _replace_in_model(entry, invalid)
    return (ModelOfUnreadableVersion if "version" in invalid else ReportedModel).model_validate(replaced)


def _replace_in_model(entry: Mapping[str, Any], invalid: Set[str]) -> dict[str, Any]:
    """Return valid values for the invalid ones of a model's state.

    A state that has a reason keeps one: without it, a ready model that ComfyUI does not load would look as it should.
    """
    reason = entry.get("reason")
    if "reason" in invalid:
        reason = clean_line(reason, MAX_SENTENCE_LENGTH) if isinstance(reason, str) else UNREADABLE_REASON
    replaced: dict[str, Any] = {"reason": reason}
    if "bytes_done" in invalid:
        replaced["bytes_done"] = 0
    if "version" in invalid:
        replaced["version"] = None
    if "model_path" in invalid:
        replaced["model_path"] = None
    if invalid & {"version", "state", "model_path"}:
        replaced |= {"state": "queued", "reason": reason or UNREADABLE_REASON}
    return replaced


def _read_use(place: str, entry: Any, unreadable: _Unreadable) -> ModelUse | None:
    """Read the use of one model; None if it is invalid."""
    try:
        return ModelUse.model_validate(entry)
    except ValidationError:
        unreadable.add(place, "The registry cannot read this use: it does not count.")
        return None


def _replace_descriptions(value: Mapping[str, Any], invalid: Set[str], unreadable: _Unreadable) -> dict[str, Any]:
    """Return valid values for the invalid descriptions of the machine.

    A machine whose number of models that ComfyUI does not load cannot be read has a problem, as it may have with one.
    """
    replaced = {name: _replace_description(name, value[name]) for name in invalid}
    for name in sorted(invalid):
        unreadable.add(name, _NOT_READ)
    if "models_unloaded" in invalid and value.get("problem") is None:
        replaced["problem"] = UNREADABLE_PROBLEM
    return replaced


def _replace_description(name: str, value: Any) -> Any:
    """Return a valid value for an invalid one that describes the machine: a shorter text, or the field's default."""
    if isinstance(value, str) and name in _SHORT_TEXTS | _SENTENCES:
        return clean_line(value, MAX_SHORT_TEXT_LENGTH if name in _SHORT_TEXTS else MAX_SENTENCE_LENGTH)
    return UNREADABLE_PROBLEM if name == "problem" else Heartbeat.model_fields[name].get_default()
