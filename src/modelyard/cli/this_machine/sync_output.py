"""Text and JSON of plans and of replica states, for ``modelyard sync`` and ``modelyard agent run --once``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from modelyard.cli.terminal.formatting import format_size
from modelyard.comfyui.quoting import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from modelyard.sync.apply.replica_states import ReplicaState
    from modelyard.sync.desired import DesiredModel
    from modelyard.sync.planning.actions import Plan, Replace
    from modelyard.wire.agents.values import ModelState


# The states of models that are not in place, as they are counted in a sentence, the most serious first.
_OTHER_STATES: Mapping[ModelState, str] = {
    "failed": "failed",
    "conflict": "in conflict",
    "blocked": "blocked",
    "downloading": "downloading",
    "verifying": "verifying",
    "queued": "queued",
    "evicted": "evicted",
}


def list_plan_lines(plan: Plan) -> Iterable[str]:
    """Yield a line for each action, blocked model, remark, note and held removal of a plan."""
    for fetch in plan.fetch:
        yield f"fetch    {fetch.desired.model_path}  {format_size(fetch.desired.size)}"
    for copy in plan.copy_local:
        yield f"copy     {copy.desired.model_path}  from {copy.source.path}"
    for replacement in plan.replace:
        yield _format_replacement(replacement)
    for removal in plan.remove:
        yield f"remove   {removal.target.path}"
    for stuck in plan.blocked_removals:
        yield f"blocked  remove {stuck.placement.path}: {stuck.reason}"
    for blocked in plan.blocked:
        yield f"blocked  {blocked.model_path}: {blocked.reason}"
    for keep in plan.keep:
        if keep.remark:
            yield f"note     {keep.desired.model_path}: {keep.remark}"
    yield from plan.notes
    if plan.held_removals is not None:
        yield f"{plan.held_removals.summary} So many files are removed only if you approve it: --approve-removal"
        yield from (f"keep     {removal.target.path}" for removal in plan.held_removals.removals)


def _format_replacement(replacement: Replace) -> str:
    """Return the line of a replacement: the path, the new version, and where its content comes from or its size."""
    desired, source = replacement.desired, replacement.source
    origin = format_size(desired.size) if source is None else f"from {source.path}"
    return f"replace  {desired.model_path}  by version {desired.version}  {origin}"


def list_result_lines(plan: Plan, replica_states: Sequence[ReplicaState], dry_run: bool) -> list[str]:
    """Return the lines of the answer: what was done for each model, a count, and how to try again what failed.

    Of a dry run, they are only counts.

    Kept models are listed only with a reason, blocked ones not at all: the plan has them.
    """
    if dry_run:
        placed = counted(len(plan.place_actions), "file")
        removed = counted(len(plan.remove), "file")
        return [f"{counted(len(plan.keep), 'model')} in place; would place {placed} and remove {removed}."]
    # Blocked models are in the plan, which was printed.
    blocked = {each.model_id for each in plan.blocked}
    lines = [
        f"{each.origin or each.state or 'not removed'}  {each.path or each.model_path}"
        + (f": {each.reason}" if each.reason else "")
        for each in replica_states
        if (each.origin not in {"kept", "found"} or each.reason) and each.model_id not in blocked
    ]
    retry = "To try again what failed, run the same command again: downloads continue."
    has_failed = any(each.state == "failed" for each in replica_states)
    return [*lines, format_ready_count(replica_states), *([retry] if has_failed else [])]


def format_ready_count(replica_states: Sequence[ReplicaState]) -> str:
    """Return a sentence with the number of models in place and in each other state, and of what cannot be removed."""
    from modelyard.sync.apply.replica_states import count_stuck

    counts = Counter(each.state for each in replica_states)
    others = [f", {count} {text}" for state, text in _OTHER_STATES.items() if (count := counts[state])]
    stuck = [each for each in replica_states if each.is_stuck]
    not_removed = f" {count_stuck(stuck)} could not be removed." if stuck else ""
    return f"{counted(counts['ready'], 'model')} in place{''.join(others)}.{not_removed}"


def to_plan_document(plan: Plan) -> dict[str, object]:
    """Return the plan as a document for ``to_json``."""
    return {
        "fetch": [_name_version(each.desired) | {"file_size": each.desired.size} for each in plan.fetch],
        "copy_local": [_name_version(each.desired) | {"from": each.source.path} for each in plan.copy_local],
        "replace": [
            _name_version(each.desired)
            | {"file_size": each.desired.size, "from": None if each.source is None else each.source.path}
            for each in plan.replace
        ],
        "remove": [each.target.path for each in plan.remove],
        "held": [] if plan.held_removals is None else [each.target.path for each in plan.held_removals.removals],
        "keep": [_name_version(each.desired) | {"path": each.path} for each in plan.keep],
        "blocked": [
            {"model_path": each.model_path, "version": each.version, "state": each.state, "reason": each.reason}
            for each in plan.blocked
        ],
        "blocked_removals": [{"path": each.placement.path, "reason": each.reason} for each in plan.blocked_removals],
        "notes": plan.notes,
    }


def _name_version(desired: DesiredModel) -> dict[str, object]:
    """Return the fields that name a version of a model in the plan's document."""
    return {"model_path": desired.model_path, "version": desired.version}


def to_result_document(replica_state: ReplicaState) -> dict[str, object]:
    """Return the final state of a model as a document for ``to_json``.

    The state of a file that was to be removed is ``removed`` or ``not removed``.
    """
    return {
        "model_id": replica_state.model_id,
        "model_path": replica_state.model_path,
        "version": replica_state.version,
        "state": replica_state.state or replica_state.origin or "not removed",
        "outcome": replica_state.origin,
        "path": replica_state.path,
        "reason": replica_state.reason,
    }
