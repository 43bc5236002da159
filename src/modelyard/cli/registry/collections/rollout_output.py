"""Print a roll-out and its machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelyard.cli.terminal.formatting import format_fields, format_model_path, format_time
from modelyard.cli.terminal.table import format_table
from modelyard.comfyui.quoting import counted

if TYPE_CHECKING:
    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.wire.collections import Collection
    from modelyard.wire.collections.rollouts import Rollout, RolloutCounts, RolloutMachine

# Of more machines that a roll-out waits for, the first are named.
_MAX_NAMED = 5
_STATES = {
    "canary": "canaries get the version",
    "waiting_for_approval": "waiting for approval",
    "rolling_out": "all machines get the version",
    "finished": "finished",
    "failed": "failed",
    "stopped": "stopped",
    "rolled_back": "rolled back",
    "replaced": "replaced by a newer roll-out",
}


def print_rollout(terminal: Terminal, collection: Collection, last: Rollout) -> None:
    """Print a roll-out: what is rolled out, its state, and the machines that are canaries or not ready."""
    canary = "all at once" if last.canary_label is None else f"machines with the label '{last.canary_label}'"
    lines = [
        *format_fields(
            [
                ("id", str(last.id)),
                ("collection", collection.name),
                ("version", f"{last.version}, before it {last.previous_version}"),
                ("first", canary),
                ("then", "by itself" if last.is_automatic else "after an approval"),
                ("state", _STATES[last.state]),
                ("reason", last.reason or ""),
                ("canaries", "" if last.progress is None else _describe_counts(last.progress.canaries)),
                ("others", "" if last.progress is None else _describe_counts(last.progress.others)),
                ("started", f"{format_time(last.created_at)} by {last.created_by.display_name}"),
            ]
        )
    ]
    machines = last.progress.machine_list if last.progress is not None else []
    if machines:
        rows = [_build_row(each) for each in machines]
        headings = "MACHINE", "CANARY", "STATE", "MODELS", "REASON"
        lines += ["", *map(str, format_table(headings, rows, terminal.output.width))]
    terminal.output.answer(document=last, lines=lines, quiet=[str(last.id)])


def _build_row(each: RolloutMachine) -> tuple[str, ...]:
    """Return the cells of a machine of a roll-out."""
    models = f"{each.models_ready} of {each.models_total}"
    path = "" if each.model_path is None else f"{format_model_path(each.model_path)}: "
    reason = f"{path}{each.reason}" if each.reason else ""
    return each.agent_id, "canary" if each.is_canary else "", each.state, models, reason


def _describe_counts(counts: RolloutCounts) -> str:
    """Return how many machines are in which state: "5: 3 ready, 2 offline"; states that none has are left out."""
    named = [
        f"{count} {name}"
        for name in ("ready", "waiting", "failed", "offline", "held")
        if (count := getattr(counts, name))
    ]
    return f"{counts.machine_count}: {', '.join(named)}" if named else "0"


def describe_change(last: Rollout) -> str:
    """Return one line about the state of a roll-out, for following it."""
    if last.progress is None:
        return f"Version {last.version}: {_STATES[last.state]}."
    canaries, others = (_describe_counts(each) for each in (last.progress.canaries, last.progress.others))
    return f"Version {last.version}: {_STATES[last.state]}. Canaries {canaries}. Others {others}."


def describe_waiting(last: Rollout) -> str:
    """Return a sentence about what a running roll-out waits for: machines, the time to be ready, or the registry."""
    progress = last.progress
    if progress is None:
        return "The registry writes its next step within some seconds."
    states: tuple[str, ...] = ("waiting",)
    waiting = progress.canaries.waiting
    if last.state != "canary":
        states = "waiting", "offline"
        waiting = sum(each.waiting + each.offline for each in (progress.canaries, progress.others))
    if waiting:
        return f"It waits for {_name_machines(last, states, waiting)}."
    if last.state == "canary" and progress.canaries.ready and last.min_ready_seconds:
        return f"It waits until the canaries are ready for {counted(last.min_ready_seconds, 'second')}."
    return "The registry writes its next step within some seconds."


def _name_machines(last: Rollout, states: tuple[str, ...], count: int) -> str:
    """Return the names of the first of ``count`` machines in these states, and how far they are."""
    machines = [] if last.progress is None else last.progress.machine_list
    is_canary_only = last.state == "canary"
    named = [each for each in machines if each.state in states and (each.is_canary or not is_canary_only)]
    texts = [_describe_machine(each) for each in named[:_MAX_NAMED]]
    more = count - len(texts)
    return ", ".join(texts) + (f", and {counted(more, 'other machine')}" if more > 0 else "")


def _describe_machine(each: RolloutMachine) -> str:
    """Return the name of a machine, and how far it is: "'render-07' (3 of 12 models)"."""
    offline = "offline, " if each.state == "offline" else ""
    return f"'{each.agent_id}' ({offline}{each.models_ready} of {counted(each.models_total, 'model')})"
