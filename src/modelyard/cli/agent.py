"""``agent``: the program that keeps this machine's models folders as the team wants them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal import Terminal, require_posix, terminal_of
from modelyard.cli.words import age_words, fields, size_words, table
from modelyard.client.sync.wording import counted

if TYPE_CHECKING:
    from modelyard.agent.rounds import Outcome
    from modelyard.agent.settings import AgentSettings
    from modelyard.agent.start import Start
    from modelyard.agent.status import ModelStatus, Status

agent = typer.Typer(
    no_args_is_help=True,
    help="This machine's agent: it keeps the models folders as the team wants them, always. Linux and macOS.",
)

ComfyUI = Annotated[
    list[Path] | None, typer.Option("--comfyui", metavar="DIR", help="The folder of a ComfyUI; may be repeated.")
]
ModelsDir = Annotated[
    list[Path] | None,
    typer.Option("--models-dir", metavar="DIR", help="A models folder that belongs to no ComfyUI; may be repeated."),
]
AgentId = Annotated[
    str | None, typer.Option("--agent-id", metavar="ID", help="The machine's name; else its host name.")
]
OneAgent = Annotated[
    str | None, typer.Option("--agent-id", metavar="ID", help="Only the agent of this name; else all that ran here.")
]
Label = Annotated[
    list[str] | None, typer.Option("--label", metavar="L", help="A label of this machine; may be repeated.")
]


@agent.command("run")
def run_agent(
    context: typer.Context,
    comfyui: ComfyUI = None,
    models_dir: ModelsDir = None,
    label: Label = None,
    agent_id: AgentId = None,
    pair: Annotated[bool, typer.Option("--pair", help="Pair this machine first, if it has no key.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Look once, do what there is to do, and end.")] = False,
) -> None:
    """Keep this machine's models folders as the team wants them, until stopped.

    More can be set in agent.toml and by MODELYARD_AGENT_* variables: hours, limits, budgets.

    Examples: modelyard agent run --comfyui ~/ComfyUI --label gpu24; modelyard agent run --models-dir /srv/models --once
    """
    require_posix("The agent")
    from modelyard.agent.start import collect_seldom, log_to_stderr, run_agent, run_once

    terminal = terminal_of(context)
    start = _start(terminal, pair_first=pair, comfyui=comfyui, models_dir=models_dir, labels=label, agent_id=agent_id)
    log_to_stderr(start.settings.log_level)
    collect_seldom()
    if not once:
        terminal.run(run_agent(start))
        return
    outcome = terminal.run(run_once(start))
    _tell_outcome(terminal, outcome)
    if outcome is None or outcome.held or any(each.state not in {"ready", None} for each in outcome.standings):
        raise typer.Exit(1)


@agent.command("pair")
def pair_agent(context: typer.Context) -> None:
    """Give this machine's agent a key: it shows a code, and a person who is signed in elsewhere confirms it.

    Example: modelyard agent pair --url http://models.example:8400
    """
    terminal = terminal_of(context)
    file = _pair(terminal, terminal.settings.url)
    terminal.output.done(f'This machine has a key now (in "{file}"). Next: modelyard agent run --comfyui DIR')


@agent.command("status")
def show_status(context: typer.Context, agent_id: OneAgent = None) -> None:
    """Show what the agent on this machine does, what it has, and why it waits."""
    from modelyard.agent.status import StateFolder, as_document, known_agents

    terminal = terminal_of(context)
    ids = [agent_id] if agent_id else known_agents(terminal.settings.state_dir)
    folders = [StateFolder(terminal.settings.state_dir, each) for each in ids]
    found = [(status, folder.is_running()) for folder in folders if (status := folder.read()) is not None]
    if not found:
        raise ValueError("No agent has run here yet. Start one: modelyard agent run --comfyui DIR")
    lines = [line for status, is_running in found for line in [*_described(status, is_running), ""]]
    terminal.output.answer(
        document={"agents": [as_document(status, is_running=is_running) for status, is_running in found]},
        lines=lines[:-1],
        quiet=[status.agent_id for status, _ in found],
    )
    if not all(is_running for _, is_running in found):
        raise typer.Exit(1)


@agent.command("approve-removal")
def approve_removal(context: typer.Context, agent_id: OneAgent = None) -> None:
    """Let the agent on this machine remove the files whose removal waits; modelyard agent status names them."""
    from modelyard.agent.status import StateFolder, known_agents

    terminal = terminal_of(context)
    ids = [agent_id] if agent_id else known_agents(terminal.settings.state_dir)
    folders = [StateFolder(terminal.settings.state_dir, each) for each in ids]
    waiting = [(folder, held) for folder in folders if (status := folder.read()) and (held := status.held)]
    if not waiting:
        raise ValueError("No removal waits here.")
    for folder, held in waiting:
        folder.approve(held.token)
    count = sum(held.count for _, held in waiting)
    terminal.output.done(
        f"Approved: {counted(count, 'file')} may be removed. What is removed rests in the trash for a day.", count=count
    )


@agent.command("install")
def install_agent(
    context: typer.Context,
    comfyui: ComfyUI = None,
    models_dir: ModelsDir = None,
    label: Label = None,
    agent_id: AgentId = None,
    show: Annotated[bool, typer.Option("--print", help="Only print the unit, and write nothing.")] = False,
) -> None:
    """Write a systemd user unit that keeps the agent running, and say what to type then.

    Example: modelyard agent install --comfyui ~/ComfyUI --label gpu24
    """
    require_posix("The agent")
    from modelyard.agent.service import unit_for, write_unit

    terminal = terminal_of(context)
    settings = agent_settings(terminal, comfyui=comfyui, models_dir=models_dir, labels=label, agent_id=agent_id)
    if not settings.comfyui and not settings.models_dir:
        raise ValueError("Say where the models lie: --comfyui DIR or --models-dir DIR.")
    words = [f"--comfyui={folder}" for folder in settings.comfyui]
    words += [f"--models-dir={folder}" for folder in settings.models_dir]
    words += [f"--label={each}" for each in settings.labels]
    words += [f"--agent-id={settings.agent_id}"]
    words += [f"--url={settings.url}"] if settings.url else []
    unit = unit_for(settings.agent_id, words, os.environ, is_only=agent_id is None)
    if show:
        lines = unit.text.splitlines()
        terminal.output.answer(document={"file": unit.path, "unit": unit.text}, lines=lines, quiet=lines)
        return
    write_unit(unit)
    terminal.output.answer(
        document={"file": unit.path, "commands": unit.to_start},
        lines=[f'The unit is in "{unit.path}". Start it with:', *(f"  {line}" for line in unit.to_start)],
        quiet=[str(unit.path)],
    )
    if settings.key is not None:
        terminal.output.warn(
            "The unit does not hold the key of MODELYARD_AGENT_KEY. Pair the machine (modelyard agent pair), or add"
            f" the key with: systemctl --user edit {unit.name}"
        )


@agent.command("uninstall")
def uninstall_agent(context: typer.Context, agent_id: AgentId = None) -> None:
    """Take the systemd user unit away. The models and the key stay."""
    from modelyard.agent.service import unit_for
    from modelyard.agent.settings import usual_agent_id

    terminal = terminal_of(context)
    unit = unit_for(agent_id or usual_agent_id(), [], os.environ, is_only=agent_id is None)
    if not unit.path.exists():
        raise ValueError(f'There is no "{unit.path}".')
    unit.path.unlink()
    terminal.output.answer(
        document={"file": unit.path, "commands": unit.to_stop},
        lines=[f'"{unit.path}" is gone. Stop what still runs:', *(f"  {line}" for line in unit.to_stop)],
        quiet=[str(unit.path)],
    )


def _tell_outcome(terminal: Terminal, outcome: Outcome | None) -> None:
    """How a single look ended; what was done and what is wrong stands in the log above it."""
    from modelyard.cli.sync import result_of

    standings = () if outcome is None else outcome.standings
    here = [standing for standing in standings if standing.state == "ready"]
    held = [] if outcome is None or outcome.held is None else [each.target.path for each in outcome.held.removals]
    said = "The folders could not be looked at." if outcome is None else f"{len(here)} models are here as they should."
    terminal.output.answer(
        document={"is_done": outcome is not None, "results": [result_of(each) for each in standings], "held": held},
        lines=[said],
        quiet=[str(standing.path) for standing in here],
    )


def _start(terminal: Terminal, *, pair_first: bool = False, **flags: object) -> Start:
    from modelyard.agent.keys import KeyRing
    from modelyard.agent.start import Start
    from modelyard.client.profile import NoKey

    settings = agent_settings(terminal, **flags)
    ring = KeyRing(terminal.settings.profile_file, terminal.output.warn)
    try:
        identity = ring.find(settings)
    except NoKey:
        if not pair_first:
            raise
        _pair(terminal, settings.url)
        identity = ring.find(settings)
    return Start(settings, identity, terminal.settings.state_dir, dict(os.environ))


def agent_settings(terminal: Terminal, **flags: object) -> AgentSettings:
    """The agent's settings, with ``--url`` and the flags of a command."""
    from modelyard.agent.settings import read_settings

    return read_settings(os.environ, url=terminal.settings.url, **flags)


def _pair(terminal: Terminal, url: str | None) -> Path:
    from modelyard.agent.keys import KeyRing
    from modelyard.cli.pair import paired_keys

    if url is None:
        raise typer.BadParameter("Say which registry: modelyard agent pair --url URL")
    answer = terminal.ask_anonymously(url, lambda registry: paired_keys(terminal, registry))
    if answer.agent_key is None:
        raise ValueError("The registry gave no key for an agent. Is it an older version?")
    from modelyard.client.address import checked_url

    return KeyRing(terminal.settings.profile_file, terminal.output.warn).keep(checked_url(url), answer.agent_key)


def _described(status: Status, is_running: bool) -> list[str]:
    counts = ", ".join(f"{count} {state}" for state, count in sorted(status.counts.items())) or "none yet"
    percent = "" if status.percent is None else f", {status.percent} %"
    doing = f"{status.phase}{percent}" + (f": {status.detail}" if status.detail else "")
    pairs = [
        ("agent", f"{status.agent_id} ({'running' if is_running else 'not running'}, version {status.version})"),
        ("registry", f"{status.url}: {status.link if is_running else 'not connected'}"),
        ("", status.link_reason or ""),
        ("last heard", age_words(status.last_heartbeat)),
        ("doing", doing if is_running else f"last seen {age_words(status.written_at)}"),
        ("waits", status.waiting_for or ""),
        ("models", f"{counts}; {size_words(status.bytes_held)}"),
        ("free", "" if status.disk_free is None else size_words(status.disk_free)),
        ("comfyui", "" if status.comfyui is None else f"runs, version {status.comfyui or 'unknown'}"),
        *(("folder", folder) for folder in status.folders),
        *(("note", note) for note in status.notes),
    ]
    lines = fields(pairs)
    if status.held is not None:
        lines += [f"  to be removed: {path}" for path in status.held.paths]
        lines.append("  Let it go on with: modelyard agent approve-removal")
    if status.models:
        lines += table(("MODEL", "STATE", "HERE", "WHY"), [_model_row(model) for model in status.models])
    return lines


def _model_row(model: ModelStatus) -> tuple[str, ...]:
    here = f"{size_words(model.bytes_done)} of {size_words(model.size)}" if model.size else ""
    return model.model_path, model.state, here, model.reason or ""
