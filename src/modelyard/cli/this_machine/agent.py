"""``modelyard agent``: run, pair, inspect, approve and install this machine's agent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.commands import CLIENT_COMMANDS
from modelyard.cli.terminal.formatting import quote_word
from modelyard.cli.terminal.terminal import Terminal, require_posix, terminal_of
from modelyard.cli.this_machine import adopt, doctor, extension, selftest
from modelyard.cli.this_machine.settings import AgentId, ComfyUI, Label, ModelsDir, read_agent_settings
from modelyard.cli.this_machine.status import find_successor, format_status
from modelyard.cli.this_machine.sync_output import format_ready_count, to_result_document
from modelyard.comfyui.quoting import counted

if TYPE_CHECKING:
    from modelyard.agent.reconcile_result import ReconcileResult
    from modelyard.agent.startup import StartOptions
    from modelyard.agent.state_folder import StateFolder, StatusSnapshot

agent = typer.Typer(no_args_is_help=True, help=CLIENT_COMMANDS["agent"].help)


def add_to(app: typer.Typer) -> None:
    """Add the group to the command tree."""
    doctor.add_to(agent)
    selftest.add_to(agent)
    adopt.add_to(agent)
    extension.add_to(agent)
    app.add_typer(agent, name="agent")


OneAgent = Annotated[
    str | None,
    typer.Option("--agent-id", metavar="ID", help="Only the agent with this name; default: all that have run here."),
]


@agent.command("run")
def run_agent(
    context: typer.Context,
    comfyui: ComfyUI = None,
    models_dir: ModelsDir = None,
    label: Label = None,
    agent_id: AgentId = None,
    pair: Annotated[bool, typer.Option("--pair", help="If this machine has no key, pair it first.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Reconcile once and exit.")] = False,
) -> None:
    """Keep this machine's models folders in sync with the team until stopped.

    Download hours, rate limit, disk budget and more can be set in agent.toml and by MODELYARD_AGENT_* variables.

    Examples: modelyard agent run --comfyui ~/ComfyUI --label gpu24; modelyard agent run --models-dir /srv/models --once
    """
    require_posix("The agent")
    from modelyard.agent.startup import configure_stderr_logging, reduce_gc_frequency, run_agent, run_agent_once
    from modelyard.cli.this_machine.download_progress import show_agent_progress

    terminal = terminal_of(context)
    flags = {"comfyui": comfyui, "models_dir": models_dir, "labels": label, "agent_id": agent_id}
    options = _build_start_options(terminal, pair_first=pair, **flags)
    configure_stderr_logging(options.settings.log_level)
    reduce_gc_frequency()
    if not once:
        terminal.run(run_agent(options))
        return
    with show_agent_progress(terminal.output) as on_replica_state:
        result = terminal.run(run_agent_once(options, on_replica_state))
    _print_result(terminal, result)
    if result is None or result.held or not all(each.is_as_desired for each in result.replica_states):
        raise typer.Exit(1)


@agent.command("pair")
def pair_agent(context: typer.Context) -> None:
    """Get a key for this machine's agent: show a code, and wait until a signed-in user confirms it.

    Without --url, a machine that is paired already is paired again with the same registry.

    Example: modelyard agent pair --url http://models.example:8400
    """
    terminal = terminal_of(context)
    from modelyard.cli.this_machine.pairing import pair_this_machine

    name = pair_this_machine(terminal)
    terminal.output.done(f"Paired as {name}. A running agent takes up the key; else: modelyard agent run --comfyui DIR")


@agent.command("status")
def show_status(context: typer.Context, agent_id: OneAgent = None) -> None:
    """Show what the agent of this machine is doing, which models are here, and what it is waiting for.

    The exit code is 1 if an agent that has run here does not run, unless another one syncs its folders with the same
    registry by now, as after a change of the machine's name.
    """
    from modelyard.agent.state_folder import StateFolder, to_json_document

    terminal = terminal_of(context)
    agents = _list_agents(terminal, agent_id)
    width = terminal.output.width
    lines = [
        line
        for status, is_running, successor in agents
        for line in [*format_status(status, is_running, width, successor), ""]
    ]
    terminal.output.answer(
        document={
            "agents": [
                to_json_document(status, is_running=is_running) | {"successor": successor}
                for status, is_running, successor in agents
            ]
        },
        lines=lines[:-1],
        quiet=[status.agent_id for status, *_ in agents],
    )
    ended = [status.agent_id for status, is_running, successor in agents if not is_running and successor is None]
    for each in ended if any(is_running for _, is_running, _ in agents) else ():
        folder = quote_word(str(StateFolder(terminal.settings.state_dir, each).path))
        terminal.output.note(f"{each} does not run. If it never will again, remove what it reported: rm -r {folder}")
    if ended:
        raise typer.Exit(1)


def _list_agents(terminal: Terminal, agent_id: str | None) -> list[tuple[StatusSnapshot, bool, str | None]]:
    """Return one agent or all that have run here: their statuses, whether they run, and successors of ended ones.

    Raises:
        ValueError: there is none.
    """
    folders = _list_state_folders(terminal, agent_id)
    statuses = [(status, folder.is_running()) for folder in folders if (status := folder.read_status()) is not None]
    if not statuses:
        raise ValueError("No agent has run here yet. Start one: modelyard agent run --comfyui DIR")
    running = [status for status, is_running in statuses if is_running]
    return [(each, is_running, None if is_running else find_successor(each, running)) for each, is_running in statuses]


@agent.command("approve")
def approve_removals(context: typer.Context, agent_id: OneAgent = None) -> None:
    """Approve the removals that the agent of this machine holds; modelyard agent status lists the files."""
    terminal = terminal_of(context)
    folders = _list_state_folders(terminal, agent_id)
    held_removals = [(folder, held) for folder in folders if (status := folder.read_status()) and (held := status.held)]
    if not held_removals:
        raise ValueError("No removal is waiting for approval.")
    for folder, held in held_removals:
        folder.write_approval(held.token)
    count = sum(held.count for _, held in held_removals)
    terminal.output.done(
        f"Approved the removal of {counted(count, 'file')}. Removed files stay in the trash for a day.", count=count
    )


@agent.command("install")
def install_agent(
    context: typer.Context,
    comfyui: ComfyUI = None,
    models_dir: ModelsDir = None,
    label: Label = None,
    agent_id: AgentId = None,
    show: Annotated[bool, typer.Option("--print", help="Only print the unit; write no file.")] = False,
) -> None:
    """Write a systemd user unit that keeps the agent running, and print the commands that start it.

    Example: modelyard agent install --comfyui ~/ComfyUI --label gpu24
    """
    require_posix("The agent")
    from modelyard.agent.systemd_unit import build_unit, write_unit

    terminal = terminal_of(context)
    settings = read_agent_settings(terminal, comfyui=comfyui, models_dir=models_dir, labels=label, agent_id=agent_id)
    if not settings.comfyui and not settings.models_dir:
        raise ValueError("Name the models folders: --comfyui DIR or --models-dir DIR.")
    arguments = [f"--comfyui={folder}" for folder in settings.comfyui]
    arguments += [f"--models-dir={folder}" for folder in settings.models_dir]
    arguments += [f"--label={each}" for each in settings.labels]
    arguments += [f"--agent-id={settings.agent_id}"]
    arguments += [f"--url={settings.url}"] if settings.url else []
    unit = build_unit(settings.agent_id, arguments, os.environ, is_only=agent_id is None)
    if show:
        lines = unit.text.splitlines()
        terminal.output.answer(document={"file": unit.path, "unit": unit.text}, lines=lines, quiet=lines)
        return
    write_unit(unit)
    terminal.output.answer(
        document={"file": unit.path, "commands": unit.start_commands},
        lines=[f'The unit is in "{unit.path}". Start it with:', *(f"  {line}" for line in unit.start_commands)],
        quiet=[str(unit.path)],
    )
    if settings.key is not None:
        terminal.output.warn(
            "The unit does not contain the key of MODELYARD_AGENT_KEY. Pair the machine (modelyard agent pair), or add"
            f" the key with: systemctl --user edit {unit.name}"
        )


@agent.command("uninstall")
def uninstall_agent(context: typer.Context, agent_id: AgentId = None) -> None:
    """Remove the systemd user unit, and print the commands that stop the agent. Models and key stay."""
    from modelyard.agent.settings import get_default_agent_id
    from modelyard.agent.systemd_unit import build_unit

    terminal = terminal_of(context)
    unit = build_unit(agent_id or get_default_agent_id(), [], os.environ, is_only=agent_id is None)
    if not unit.path.exists():
        raise ValueError(f'There is no unit "{unit.path}". Name the agent: --agent-id ID')
    unit.path.unlink()
    terminal.output.answer(
        document={"file": unit.path, "commands": unit.stop_commands},
        lines=[f'Removed "{unit.path}". Stop the running agent with:', *(f"  {line}" for line in unit.stop_commands)],
        quiet=[str(unit.path)],
    )


def _list_state_folders(terminal: Terminal, agent_id: str | None) -> list[StateFolder]:
    """Return the state folder of one agent, which need not exist; for None, those of all agents that have run here."""
    from modelyard.agent.state_folder import StateFolder, list_agent_ids

    state_dir = terminal.settings.state_dir
    return [StateFolder(state_dir, each) for each in ([agent_id] if agent_id else list_agent_ids(state_dir))]


def _print_result(terminal: Terminal, result: ReconcileResult | None) -> None:
    """Print the result of ``agent run --once``, None if it could not reconcile; the log has changes and problems."""
    replica_states = () if result is None else result.replica_states
    held = [] if result is None or result.held is None else [each.target.path for each in result.held.removals]
    failed = "The folders could not be synced; the log above says why."
    terminal.output.answer(
        document={
            "is_done": result is not None,
            "results": [to_result_document(each) for each in replica_states],
            "held": held,
        },
        lines=[failed if result is None else format_ready_count(replica_states)],
        quiet=[str(each.path) for each in replica_states if each.state == "ready"],
    )


def _build_start_options(terminal: Terminal, *, pair_first: bool = False, **flags: object) -> StartOptions:
    """Return what an agent needs to start; without a key, pair the machine first if ``pair_first``.

    Raises:
        NoKey: the machine has no key, and ``pair_first`` is False.
    """
    from modelyard.agent.registry.keys import AgentKeyStore
    from modelyard.agent.startup import StartOptions
    from modelyard.cli.this_machine.pairing import pair_this_machine
    from modelyard.client.profile import NoKey

    settings = read_agent_settings(terminal, **flags)
    key_store = AgentKeyStore(terminal.settings.profile_file, terminal.output.warn)
    try:
        credentials = key_store.get_credentials(settings)
    except NoKey:
        if not pair_first:
            raise
        pair_this_machine(terminal, **flags)
        settings = read_agent_settings(terminal, **flags)
        credentials = key_store.get_credentials(settings)
    of_same_registry = settings.model_copy(update={"url": credentials.url})
    return StartOptions(
        settings,
        credentials,
        terminal.settings.state_dir,
        dict(os.environ),
        terminal.settings,
        lambda: AgentKeyStore(terminal.settings.profile_file).get_credentials(of_same_registry),
    )
