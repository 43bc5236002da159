"""``machine``: list, show, pair, label, pause, sync and remove the team's machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.commands import CLIENT_COMMANDS
from modelyard.cli.registry.listing import ListFormat, print_list
from modelyard.cli.registry.machines import assignments, budgets
from modelyard.cli.registry.machines.arguments import MachineName
from modelyard.cli.registry.machines.output import build_fields, build_row, format_models
from modelyard.cli.terminal.formatting import format_fields
from modelyard.cli.terminal.table import Column
from modelyard.cli.terminal.terminal import Terminal, Yes, terminal_of
from modelyard.comfyui.quoting import counted

if TYPE_CHECKING:
    from modelyard.cli.terminal.colors import Line
    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.agents.machines import Agent
    from modelyard.wire.agents.replicas import AgentModel

machine = typer.Typer(no_args_is_help=True, help=CLIENT_COMMANDS["machine"].help)


def add_to(app: typer.Typer) -> None:
    """Add the group to the command tree."""
    assignments.add_to(machine)
    budgets.add_to(machine)
    app.add_typer(machine, name="machine")


# Why a machine is not up to date stays longest on a narrow terminal.
_HEADINGS = (
    Column("MACHINE", 0),
    Column("STATE", 1),
    Column("MODELS", 3),
    Column("FREE", 4),
    Column("LABELS", 6),
    Column("HEARTBEAT", 5),
    Column("REASON", 2),
)


@machine.command("ls")
def list_machines(
    context: typer.Context,
    label: Annotated[str | None, typer.Option(help="Only machines with this label.")] = None,
    state: Annotated[
        str | None, typer.Option(help="Only up_to_date, syncing, waiting, problem or offline ones.")
    ] = None,
    status: Annotated[str | None, typer.Option(help="Only idle, busy, syncing or unhealthy ones.")] = None,
) -> None:
    """List the machines by name, with their states and why they are in them.

    Example: modelyard machine ls --state problem
    """
    from modelyard.client.api.agents import list_all_agents
    from modelyard.client.api.filters import AgentFilter

    # The table has it with spaces.
    state = None if state is None else state.replace(" ", "_")
    terminal, agent_filter = terminal_of(context), AgentFilter(label, status, state)
    layout: ListFormat[Agent] = ListFormat(
        "agent_list",
        _HEADINGS,
        build_row,
        lambda agent: agent.agent_id,
        "No machines.",
    )
    print_list(terminal, terminal.call_registry(lambda registry: list_all_agents(registry, agent_filter)), layout)


@machine.command("show")
def show_machine(context: typer.Context, machine: MachineName) -> None:
    """Show one machine: its state, and each model that is not ready, has a problem, or is there without its labels."""
    from modelyard.client.api.agents import find_agent, list_models_on_agent

    async def load(registry: RegistryApi) -> tuple[Agent, list[AgentModel]]:
        """Return the machine, and the state of each model that it should hold."""
        agent = await find_agent(registry, machine)
        return agent, await list_models_on_agent(registry, agent.agent_id)

    terminal = terminal_of(context)
    agent, models = terminal.call_registry(load)
    shown = [model for model in models if model.state != "ready" or model.reason or model.desired_by != "labels"]
    details = format_models(shown, terminal.output.width, agent.state_reason)
    lines: list[str | Line] = [*format_fields(build_fields(agent)), *details]
    document = agent.model_dump(mode="json") | {"agent_model_list": models}
    terminal.output.answer(document=document, lines=lines, quiet=[agent.agent_id])


@machine.command("add")
def add_machine(
    context: typer.Context,
    code: Annotated[str, typer.Argument(help="The code that the machine shows.")],
    name: Annotated[str | None, typer.Option(help="The name of a new machine; default: its host name.")] = None,
) -> None:
    """Confirm the pairing code that a machine shows. The machine then acts for you, in your current team.

    A machine shows a code during: modelyard agent pair, modelyard login --device
    """
    from modelyard.cli.registry.pairing import describe_name_in_use
    from modelyard.wire.credentials import PairingConfirmation

    confirmation = PairingConfirmation(user_code=code, **({} if name is None else {"device_name": name}))
    terminal = terminal_of(context)
    confirmed = terminal.call_registry(lambda registry: registry.confirm_pairing(confirmation))
    # Registries before 0.4 do not say the address.
    where = f" at {confirmed.address}" if confirmed.address else ""
    named = "" if name is None else f" as {name}; one that has run before keeps its name"
    terminal.output.done(
        f"The machine{where} is paired{named}. It acts for you. To unpair it, revoke its key, which this"
        " lists: modelyard key ls"
    )
    if confirmed.is_name_in_use and confirmed.agent_id is not None:
        terminal.output.warn(describe_name_in_use(confirmed.agent_id))


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
    from modelyard.wire.agents.machines import AgentUpdate

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
    from modelyard.wire.agents.machines import AgentUpdate

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
def approve_removals(context: typer.Context, machine: MachineName, yes: Yes = False) -> None:
    """Approve removals that a machine holds back because there are so many at once.

    Says how many files wait and asks; a script passes --yes. If other files wait by then, nothing is approved.
    """
    from modelyard.client.api.agents import find_agent
    from modelyard.wire.problems import RemovalNotWaiting

    terminal = terminal_of(context)
    agent = terminal.call_registry(lambda registry: find_agent(registry, machine))
    if not agent.removal_waiting:
        raise RemovalNotWaiting(f"No removal waits for approval on {agent.agent_id}.")
    files = counted(agent.removal_waiting, "file")
    if not yes:
        _confirm_approval(terminal, f"the removal of {files} on {agent.agent_id}")
    # Registries before 0.4 have no token; they approve what waits.
    terminal.call_registry(lambda registry: registry.approve_removal(agent.agent_id, agent.removal_token))
    terminal.output.done(
        f"Approved: {agent.agent_id} may remove {files}. Removed files stay in its trash for a day.",
        count=agent.removal_waiting,
    )


def _confirm_approval(terminal: Terminal, removal: str) -> None:
    """Ask whether to approve a removal.

    Raises:
        BadParameter: standard input is not a terminal, or the output is JSON, so that no question can be asked.
        Abort: the answer is no.
    """
    if not terminal.can_ask:
        raise typer.BadParameter(f"This approves {removal}. To approve it without a question, add --yes.")
    typer.confirm(f"Approve {removal}?", abort=True, err=True)


@machine.command("rm")
def remove_machine(context: typer.Context, machine: MachineName) -> None:
    """Remove a machine from the list. Its files stay. A running agent reappears, unless its key is revoked."""
    terminal = terminal_of(context)
    terminal.call_registry(lambda registry: registry.delete_agent(machine))
    terminal.output.done(
        f"Removed {machine}. If its agent still runs, revoke its key too, which this lists: modelyard key ls"
    )
