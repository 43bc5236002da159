"""``machine``: list, show, pair, label, pause, sync and remove the team's machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.registry.listing import ListFormat, find_and_change, print_list
from modelyard.cli.terminal.formatting import format_age, format_fields, format_size, format_table, format_time
from modelyard.cli.terminal.terminal import terminal_of
from modelyard.comfyui.quoting import counted

if TYPE_CHECKING:
    from modelyard.client.api.registry import Registry
    from modelyard.wire.agents import Agent, AgentModel
    from modelyard.wire.models import Model

machine = typer.Typer(
    no_args_is_help=True,
    help="The team's machines: list, show, add, label, pause, resume, sync, approve, remove.",
)

MachineName = Annotated[str, typer.Argument(metavar="MACHINE", help="The machine's name: modelyard machine ls")]


@machine.command("ls")
def list_machines(
    context: typer.Context,
    label: Annotated[str | None, typer.Option(help="Only machines with this label.")] = None,
    status: Annotated[str | None, typer.Option(help="Only idle, busy, syncing or unhealthy ones.")] = None,
) -> None:
    """List the machines by name, with their models and what they wait for."""
    from modelyard.client.api.agents import list_all_agents
    from modelyard.client.api.filters import AgentFilter

    terminal = terminal_of(context)
    layout: ListFormat[Agent] = ListFormat(
        "agent_list",
        ("MACHINE", "STATUS", "MODELS", "FREE", "LABELS", "HEARTBEAT", "WAITS FOR"),
        _build_row,
        lambda agent: agent.agent_id,
        "No machines.",
    )
    print_list(
        terminal, terminal.call_registry(lambda registry: list_all_agents(registry, AgentFilter(label, status))), layout
    )


@machine.command("show")
def show_machine(context: typer.Context, machine: MachineName) -> None:
    """Show one machine: its state, and each model that is not ready there or has a problem."""
    from modelyard.client.api.agents import find_agent, list_models_on_agent

    async def load(registry: Registry) -> tuple[Agent, list[AgentModel]]:
        """Return the machine, and the state of each model that it should hold."""
        agent = await find_agent(registry, machine)
        return agent, await list_models_on_agent(registry, agent.agent_id)

    terminal = terminal_of(context)
    agent, models = terminal.call_registry(load)
    shown = [model for model in models if model.state != "ready" or model.reason]
    lines = format_fields(_build_fields(agent))
    if shown:
        rows = [(model.model_path, model.state, _format_progress(model), model.reason or "") for model in shown]
        lines += ["", *format_table(("MODEL", "STATE", "DOWNLOADED", "REASON"), rows)]
    document = agent.model_dump(mode="json") | {"agent_model_list": models}
    terminal.output.answer(document=document, lines=lines, quiet=[agent.agent_id])


@machine.command("add")
def add_machine(
    context: typer.Context,
    code: Annotated[str, typer.Argument(help="The code that the machine shows.")],
    name: Annotated[str | None, typer.Option(help="A name for the machine, for the list of keys.")] = None,
) -> None:
    """Confirm the pairing code that a machine shows. The machine then acts for you, in your current team.

    A machine shows a code during: modelyard agent pair, modelyard login --device
    """
    from modelyard.wire.credentials import PairingConfirmation

    confirmation = PairingConfirmation(user_code=code, **({} if name is None else {"device_name": name}))
    terminal = terminal_of(context)
    terminal.call_registry(lambda registry: registry.confirm_pairing(confirmation))
    terminal.output.done(
        "The machine is paired and acts for you. To unpair it, revoke its key: modelyard key rm KEY (modelyard key ls"
        " lists the keys)"
    )


@machine.command("label")
def label_machine(
    context: typer.Context,
    machine: MachineName,
    labels: Annotated[list[str] | None, typer.Argument(help="All labels that are set here; none clears them.")] = None,
) -> None:
    """Set a machine's labels, in addition to those of its own settings. It gets the models that require them.

    Models whose required labels it does not have any more are removed from it.

    Example: modelyard machine label render-07 gpu24 night
    """
    from modelyard.wire.agents import AgentUpdate

    change = AgentUpdate(agent_labels=labels or None)
    terminal = terminal_of(context)
    terminal.call_registry(lambda registry: registry.update_agent(machine, change))
    terminal.output.done(f"Labels of {machine}, in addition to its own: {', '.join(labels or []) or 'none'}.")


@machine.command("pause")
def pause_machine(context: typer.Context, machine: MachineName) -> None:
    """Stop a machine from downloading and removing models. What it holds stays."""
    _set_paused(context, machine, paused=True)


@machine.command("resume")
def resume_machine(context: typer.Context, machine: MachineName) -> None:
    """End a machine's pause."""
    _set_paused(context, machine, paused=False)


def _set_paused(context: typer.Context, machine: str, *, paused: bool) -> None:
    """Pause or resume a machine, and print that it is done."""
    from modelyard.wire.agents import AgentUpdate

    terminal = terminal_of(context)
    terminal.call_registry(lambda registry: registry.update_agent(machine, AgentUpdate(paused=paused)))
    terminal.output.done(f"{'Paused' if paused else 'Resumed'} {machine}.")


@machine.command("sync")
def sync_machine(context: typer.Context, machine: MachineName) -> None:
    """Make a machine scan its disk and sync at its next heartbeat, within half a minute."""
    terminal = terminal_of(context)
    terminal.call_registry(lambda registry: registry.sync_agent(machine))
    terminal.output.done(f"{machine} will sync at its next heartbeat, within half a minute.")


@machine.command("approve")
def approve_removals(context: typer.Context, machine: MachineName) -> None:
    """Approve removals that a machine holds back because there are so many at once."""
    from modelyard.client.api.agents import find_agent

    terminal = terminal_of(context)
    agent = find_and_change(
        terminal,
        lambda registry: find_agent(registry, machine),
        lambda registry, found: registry.approve_removal(found.agent_id),
    )
    files = counted(agent.removal_waiting, "file")
    terminal.output.done(
        f"Approved: {agent.agent_id} may remove {files}. Removed files stay in its trash for a day.",
        count=agent.removal_waiting,
    )


@machine.command("rm")
def remove_machine(context: typer.Context, machine: MachineName) -> None:
    """Remove a machine from the list. Its files stay. A running agent reappears, unless its key is revoked."""
    terminal = terminal_of(context)
    terminal.call_registry(lambda registry: registry.delete_agent(machine))
    terminal.output.done(f"Removed {machine}. If its agent still runs, revoke its key too: modelyard key rm KEY")


async def list_machines_of(registry: Registry, model: Model) -> list[AgentModel]:
    """Return the state of a model on every machine that should hold it; sends no request if ``model`` counts none."""
    from modelyard.client.api.agents import list_model_agents

    return await list_model_agents(registry, model.id) if model.agents_desired else []


def format_machine_lines(machines: list[AgentModel]) -> list[str]:
    """Format the machines that should hold a model as a table below an empty line; nothing if there are none."""
    rows = [(each.agent_id, each.state, _format_progress(each), each.reason or "") for each in machines]
    return ["", *format_table(("MACHINE", "STATE", "DOWNLOADED", "REASON"), rows)] if rows else []


def _build_row(agent: Agent) -> tuple[str, ...]:
    """Return the cells of a machine: name, status, models, free space, labels, last heartbeat and what it waits for."""
    return (
        agent.agent_id,
        _format_status(agent),
        _count_models(agent),
        "" if agent.disk_free is None else format_size(agent.disk_free),
        ",".join(agent.agent_labels),
        format_age(agent.last_heartbeat),
        agent.waiting_for or "",
    )


def _count_models(agent: Agent) -> str:
    """Format how many of its desired models a machine has, and how many of those its ComfyUI does not load."""
    unloaded = f" ({agent.models_unloaded} not loaded)" if agent.models_unloaded else ""
    return f"{agent.models_ready} of {agent.models_desired}{unloaded}"


def _format_status(agent: Agent) -> str:
    """Return ``paused``, or the status, followed by the sync progress in percent if it is known."""
    percent = "" if agent.sync_percent is None else f" {agent.sync_percent} %"
    return "paused" if agent.paused else f"{agent.agent_status}{percent}"


def _build_fields(agent: Agent) -> list[tuple[str, str]]:
    """Return the names and values that ``machine show`` prints; a value is empty where nothing applies."""
    activity = agent.sync_phase + (f": {agent.sync_detail}" if agent.sync_detail else "")
    removals = f"{counted(agent.removal_waiting, 'file')}, after an approval" if agent.removal_waiting else ""
    return [
        ("machine", agent.agent_id),
        ("status", _format_status(agent)),
        ("activity", activity),
        ("waits for", agent.waiting_for or ""),
        ("models", f"{_count_models(agent)}, {format_size(agent.bytes_held)}"),
        ("to remove", removals),
        ("labels", ", ".join(agent.agent_labels)),
        ("set here", ", ".join(agent.central_labels)),
        ("free", "" if agent.disk_free is None else format_size(agent.disk_free)),
        ("budget", "" if agent.disk_budget is None else format_size(agent.disk_budget)),
        ("heartbeat", f"{format_age(agent.last_heartbeat)}, first {format_time(agent.connected_at)}"),
        ("version", f"{agent.agent_version} on {agent.platform_arch}"),
        ("comfyui", agent.comfyui_version or ""),
    ]


def _format_progress(model: AgentModel) -> str:
    """Format how much of a model is on the machine, such as ``1.2 GB of 6.8 GB``; empty if it is ready."""
    if model.state == "ready":
        return ""
    return f"{format_size(model.bytes_done)} of {format_size(model.file_size)}"
