"""Lines and cells about machines, and about the models on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelyard.cli.terminal.formatting import (
    format_age,
    format_duration,
    format_model_path,
    format_size,
    format_time,
    quote_word,
    shorten_path,
)
from modelyard.cli.terminal.reasons import format_reason
from modelyard.cli.terminal.table import format_table
from modelyard.comfyui.quoting import counted
from modelyard.sync.reason_groups import group_by_reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelyard.cli.terminal.colors import Line
    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.agents.machines import Agent
    from modelyard.wire.agents.replicas import AgentModel
    from modelyard.wire.models import Model


async def list_machines_of(registry: RegistryApi, model: Model) -> list[AgentModel]:
    """Return the state of a model on every machine that should hold it; sends no request if ``model`` counts none."""
    from modelyard.client.api.agents import list_model_agents

    return await list_model_agents(registry, model.id) if model.agents_desired else []


def format_machine_lines(machines: list[AgentModel], width: int | None) -> list[str | Line]:
    """Format the machines that should hold a model, below an empty line; nothing if there are none.

    A reason that several machines in one state have is said once, with their names; the others are in a table.
    ``width`` is as in ``format_table``.
    """
    by_reason: dict[tuple[str, str], list[str]] = {}
    for each in machines:
        by_reason.setdefault((each.state, each.reason or ""), []).append(each.agent_id)
    shared = {key: names for key, names in by_reason.items() if key[1] and len(names) > 1}
    lines: list[str | Line] = [""] if machines else []
    for (state, reason), names in shared.items():
        lines += format_reason(len(names), state, reason, names, width, "machine")
    headings = ("MACHINE", "STATE", "DESIRED BY", "DOWNLOADED", "REASON")
    rows = [
        (each.agent_id, each.state, each.desired_by, format_progress(each), each.reason or "")
        for each in machines
        if (each.state, each.reason or "") not in shared
    ]
    return [*lines, *(format_table(headings, rows, width) if rows else [])]


def format_models(
    models: Sequence[AgentModel], width: int | None, machine_reason: str | None = None
) -> list[str | Line]:
    """Return lines for each reason that several models have, and a table of the others; empty without models.

    Models whose reason has ``machine_reason`` are in the table without it: the machine's own lines say it.
    ``width`` is as in ``format_table``.
    """
    if machine_reason:
        models = [
            each.model_copy(update={"reason": None}) if machine_reason in (each.reason or "") else each
            for each in models
        ]
    shared = [each for each in group_by_reason(models) if len(each.model_paths) > 1]
    grouped = {path for each in shared for path in each.model_paths}
    alone = [model for model in models if shorten_path(model.model_path) not in grouped]
    lines: list[str | Line] = [""] if models else []
    for each in shared:
        paths = [format_model_path(path) for path in each.model_paths]
        lines += format_reason(len(paths), each.state, each.reason, paths, width)
    headings = ("MODEL", "STATE", "DESIRED BY", "DOWNLOADED", "REASON")
    rows = [
        (format_model_path(each.model_path), each.state, each.desired_by, format_progress(each), each.reason or "")
        for each in alone
    ]
    return [*lines, *(format_table(headings, rows, width) if rows else [])]


def build_row(agent: Agent) -> tuple[str, ...]:
    """Return the cells of a machine: name, state, models, free space, labels, last heartbeat and why it is so."""
    return (
        agent.agent_id,
        _format_state(agent),
        _count_models(agent),
        "" if agent.disk_free is None else format_size(agent.disk_free),
        ",".join(agent.agent_labels),
        format_age(agent.last_heartbeat),
        _format_reason(agent),
    )


def _format_reason(agent: Agent) -> str:
    """Return why a machine is in its state, and that removals wait for an approval, unless that is the reason."""
    waits = f"The removal of {counted(agent.removal_waiting, 'file')} waits for approval"
    is_said = not agent.removal_waiting or waits in (agent.state_reason or "")
    return " ".join(filter(None, [agent.state_reason, "" if is_said else f"{waits} by an admin."]))


def _count_models(agent: Agent) -> str:
    """Format how many of its desired models a machine has, and how many of those its ComfyUI does not load."""
    unloaded = f" ({agent.models_unloaded} not loaded)" if agent.models_unloaded else ""
    return f"{agent.models_ready} of {agent.models_desired}{unloaded}"


def _format_state(agent: Agent) -> str:
    """Return a machine's state, while it syncs with bytes and time: ``syncing, 2 GB of 31 GB, 4:10 left``."""
    words = [agent.machine_state.replace("_", " ")]
    if agent.sync_bytes_done and agent.sync_bytes_total:
        words.append(f"{format_size(agent.sync_bytes_done)} of {format_size(agent.sync_bytes_total)}")
    if agent.sync_seconds_left is not None:
        words.append(f"{format_duration(agent.sync_seconds_left)} left")
    return ", ".join(words)


def build_fields(agent: Agent) -> list[tuple[str, str]]:
    """Return the names and values that ``machine show`` prints; a value is empty where nothing applies."""
    activity = agent.sync_phase + (f": {agent.sync_detail}" if agent.sync_detail else "")
    approval = f"after an approval: modelyard machine approve {quote_word(agent.agent_id)}"
    removals = f"{counted(agent.removal_waiting, 'file')}, {approval}" if agent.removal_waiting else ""
    return [
        ("machine", agent.agent_id),
        ("state", _format_state(agent)),
        ("reason", agent.state_reason or ""),
        ("status", agent.agent_status),
        ("activity", activity),
        ("waits for", agent.waiting_for or ""),
        ("models", f"{_count_models(agent)}, {format_size(agent.bytes_held)}"),
        ("to remove", removals),
        ("labels", ", ".join(agent.agent_labels)),
        ("set here", ", ".join(agent.central_labels)),
        ("ignored", _format_ignored_labels(agent)),
        ("free", "" if agent.disk_free is None else format_size(agent.disk_free)),
        ("budget", "" if agent.disk_budget is None else format_size(agent.disk_budget)),
        ("budget set", "" if agent.disk_budget_bytes is None else format_size(agent.disk_budget_bytes)),
        ("evicted", counted(agent.models_evicted, "model") if agent.models_evicted else ""),
        ("counts use", "no" if agent.use_counted_since is None else f"since {format_time(agent.use_counted_since)}"),
        ("heartbeat", f"{format_age(agent.last_heartbeat)}, first {format_time(agent.connected_at)}"),
        ("key", f"{agent.key_prefix}… ({agent.key_name})" if agent.key_prefix else ""),
        ("version", _format_version(agent)),
        ("comfyui", agent.comfyui_version or ""),
    ]


def _format_version(agent: Agent) -> str:
    """Format the version of modelyard on a machine, and its build and the platform if they are known."""
    build = f" (build {agent.agent_build})" if agent.agent_build else ""
    platform = f" on {agent.platform_arch}" if agent.platform_arch else ""
    return f"{agent.agent_version}{build}{platform}"


def _format_ignored_labels(agent: Agent) -> str:
    """Format the own labels that do not count for collections, and what to do; empty without any."""
    if not agent.ignored_labels:
        return ""
    labels = ", ".join(agent.ignored_labels)
    return f"{labels}: not for collections, since its key is a viewer's. Set them here: modelyard machine label"


def format_progress(model: AgentModel) -> str:
    """Format how much of a model is on the machine, such as ``1.2 GB of 6.8 GB``; empty if it is ready."""
    if model.state == "ready":
        return ""
    return f"{format_size(model.bytes_done)} of {format_size(model.file_size)}"
