"""``agents``: the team's machines as the registry sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal import terminal_of
from modelyard.cli.words import age_words, fields, size_words, table, time_words
from modelyard.client.sync.wording import counted

if TYPE_CHECKING:
    from modelyard.client.registry import Registry
    from modelyard.wire.agents import Agent, AgentModel
    from modelyard.wire.models import Model

agents = typer.Typer(
    no_args_is_help=True,
    help="The team's machines: list, show, label, pause, resume, sync, approve-removal, forget.",
)

AgentName = Annotated[str, typer.Argument(metavar="AGENT", help="The machine's name: modelyard agents list")]


@agents.command("list")
def list_agents(
    context: typer.Context,
    label: Annotated[str | None, typer.Option(help="Only machines with this label.")] = None,
    status: Annotated[str | None, typer.Option(help="Only idle, busy, syncing or unhealthy ones.")] = None,
) -> None:
    """List the machines by name, with what they hold and why they wait."""
    from modelyard.client.filters import AgentFilter
    from modelyard.client.fleet import all_agents

    terminal = terminal_of(context)
    found = terminal.ask(lambda registry: all_agents(registry, AgentFilter(label, status)))
    headings = ("AGENT", "STATUS", "MODELS", "FREE", "LABELS", "HEARD", "WAITS")
    lines = table(headings, [_row(each) for each in found]) if found else ["No machines."]
    terminal.output.answer(document={"agent_list": found}, lines=lines, quiet=[each.agent_id for each in found])


@agents.command("show")
def show_agent(context: typer.Context, agent: AgentName) -> None:
    """Show one machine: what it is and does, and each model that is not simply there."""
    from modelyard.client.fleet import find_agent, models_on

    async def work(registry: Registry) -> tuple[Agent, list[AgentModel]]:
        found = await find_agent(registry, agent)
        return found, await models_on(registry, found.agent_id)

    terminal = terminal_of(context)
    found, models = terminal.ask(work)
    open_ones = [model for model in models if model.state != "ready" or model.reason]
    lines = fields(_facts(found))
    if open_ones:
        rows = [(model.model_path, model.state, _part(model), model.reason or "") for model in open_ones]
        lines = [*lines, "", *table(("MODEL", "STATE", "HERE", "WHY"), rows)]
    document = found.model_dump(mode="json") | {"agent_model_list": models}
    terminal.output.answer(document=document, lines=lines, quiet=[found.agent_id])


@agents.command("label")
def label_agent(
    context: typer.Context,
    agent: AgentName,
    labels: Annotated[list[str] | None, typer.Argument(help="All labels that are set here; none clears them.")] = None,
) -> None:
    """Set the labels that a machine has beside its own: models that need them come, others go.

    Example: modelyard agents label render-07 gpu24 night
    """
    from modelyard.wire.agents import AgentChange

    change = AgentChange(agent_labels=labels or None)
    terminal = terminal_of(context)
    terminal.ask(lambda registry: registry.update_agent(agent, change))
    terminal.output.done(f"{agent} has these labels beside its own: {', '.join(labels or []) or 'none'}.")


@agents.command("pause")
def pause_agent(context: typer.Context, agent: AgentName) -> None:
    """Let a machine fetch and remove nothing for now; what it has stays."""
    _set_paused(context, agent, paused=True)


@agents.command("resume")
def resume_agent(context: typer.Context, agent: AgentName) -> None:
    """Let a machine go on after a pause."""
    _set_paused(context, agent, paused=False)


def _set_paused(context: typer.Context, agent: str, *, paused: bool) -> None:
    from modelyard.wire.agents import AgentChange

    terminal = terminal_of(context)
    terminal.ask(lambda registry: registry.update_agent(agent, AgentChange(paused=paused)))
    terminal.output.done(f"{agent} {'is paused.' if paused else 'goes on.'}")


@agents.command("sync")
def sync_agent(context: typer.Context, agent: AgentName) -> None:
    """Have a machine look at its disk and at what is wanted now."""
    terminal = terminal_of(context)
    terminal.ask(lambda registry: registry.sync_agent(agent))
    terminal.output.done(f"{agent} looks as soon as it is heard of again, within half a minute.")


@agents.command("approve-removal")
def approve_removal(context: typer.Context, agent: AgentName) -> None:
    """Let a machine remove the files that it holds back because they are so many."""
    from modelyard.client.fleet import find_agent

    async def work(registry: Registry) -> Agent:
        found = await find_agent(registry, agent)
        await registry.approve_removal(found.agent_id)
        return found

    terminal = terminal_of(context)
    found = terminal.ask(work)
    files = counted(found.removal_waiting, "file")
    terminal.output.done(
        f"Approved: {found.agent_id} may remove {files}. What is removed rests in its trash for a day.",
        count=found.removal_waiting,
    )


@agents.command("forget")
def forget_agent(context: typer.Context, agent: AgentName) -> None:
    """Forget a machine. Its files stay; one that still runs comes back, unless its key is revoked."""
    terminal = terminal_of(context)
    terminal.ask(lambda registry: registry.forget_agent(agent))
    terminal.output.done(f"{agent} is forgotten. To keep it away: modelyard keys revoke KEY")


async def machines_of(registry: Registry, model: Model) -> list[AgentModel]:
    """Every machine that should hold a model; asked only if there is one."""
    from modelyard.client.fleet import agents_of

    return await agents_of(registry, model.id) if model.agents_wanted else []


def machine_lines(machines: list[AgentModel]) -> list[str]:
    """A line for each machine that should hold a model."""
    rows = [(each.agent_id, each.state, _part(each), each.reason or "") for each in machines]
    return ["", *table(("MACHINE", "STATE", "HERE", "WHY"), rows)] if rows else []


def _row(agent: Agent) -> tuple[str, ...]:
    return (
        agent.agent_id,
        _status(agent),
        f"{agent.models_ready} of {agent.models_wanted}",
        "" if agent.disk_free is None else size_words(agent.disk_free),
        ",".join(agent.agent_labels),
        age_words(agent.last_heartbeat),
        agent.waiting_for or "",
    )


def _status(agent: Agent) -> str:
    percent = "" if agent.sync_percent is None else f" {agent.sync_percent} %"
    return "paused" if agent.paused else f"{agent.agent_status}{percent}"


def _facts(agent: Agent) -> list[tuple[str, str]]:
    doing = agent.sync_phase + (f": {agent.sync_detail}" if agent.sync_detail else "")
    return [
        ("agent", agent.agent_id),
        ("status", _status(agent)),
        ("doing", doing),
        ("waits", agent.waiting_for or ""),
        ("models", f"{agent.models_ready} of {agent.models_wanted}, {size_words(agent.bytes_held)}"),
        (
            "to remove",
            f"{counted(agent.removal_waiting, 'file')}, once somebody approves it" if agent.removal_waiting else "",
        ),
        ("labels", ", ".join(agent.agent_labels)),
        ("set here", ", ".join(agent.central_labels)),
        ("free", "" if agent.disk_free is None else size_words(agent.disk_free)),
        ("budget", "" if agent.disk_budget is None else size_words(agent.disk_budget)),
        ("heard", f"{age_words(agent.last_heartbeat)}, first {time_words(agent.connected_at)}"),
        ("version", f"{agent.agent_version} on {agent.platform_arch}"),
        ("comfyui", agent.comfyui_version or ""),
    ]


def _part(model: AgentModel) -> str:
    if model.state == "ready":
        return ""
    return f"{size_words(model.bytes_done)} of {size_words(model.file_size)}"
