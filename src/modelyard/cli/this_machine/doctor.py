"""``modelyard agent doctor``: checks of this machine, each with a fix if it found a problem."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal.terminal import require_posix, terminal_of
from modelyard.cli.this_machine.settings import ComfyUI, ModelsDir, read_agent_settings

if TYPE_CHECKING:
    from modelyard.agent.doctor.findings import Finding


AgentId = Annotated[
    str | None,
    typer.Option(
        "--agent-id",
        metavar="ID",
        help="The machine's name; default: that of the only agent that has run here, else the host name.",
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("doctor")(print_findings)


def print_findings(
    context: typer.Context, comfyui: ComfyUI = None, models_dir: ModelsDir = None, agent_id: AgentId = None
) -> None:
    """Check this machine's key, clock, folders, links, file names, disk space, ComfyUI and agent; change nothing.

    Exits with 1 if there is a problem; a warning is none.

    Example: modelyard agent doctor --comfyui ~/ComfyUI
    """
    require_posix("modelyard agent doctor")
    from modelyard.agent.doctor.checks import DoctorContext, check_machine
    from modelyard.agent.registry.keys import AgentKeyStore
    from modelyard.agent.state_folder import StateFolder, list_agent_ids

    terminal = terminal_of(context)
    settings = read_agent_settings(terminal, comfyui=comfyui, models_dir=models_dir, agent_id=agent_id)
    known_ids = list_agent_ids(terminal.settings.state_dir)
    if "agent_id" not in settings.model_fields_set and len(known_ids) == 1:
        settings = read_agent_settings(terminal, comfyui=comfyui, models_dir=models_dir, agent_id=known_ids[0])
    key_store = AgentKeyStore(terminal.settings.profile_file, terminal.output.warn)
    folder = StateFolder(terminal.settings.state_dir, settings.agent_id)
    findings = list(
        check_machine(DoctorContext(settings, lambda: key_store.get_credentials(settings), folder, dict(os.environ)))
    )
    problem_count = sum(finding.level == "problem" for finding in findings)
    terminal.output.answer(
        document={"findings": [finding.__dict__ for finding in findings], "problems": problem_count},
        lines=[line for finding in findings for line in _format_finding(finding)],
        quiet=[str(problem_count)],
    )
    if problem_count:
        raise typer.Exit(1)


def _format_finding(finding: Finding) -> list[str]:
    """Return the line of a finding, and a second one with its fix if it has one."""
    line = f"{finding.level:<8} {finding.subject}: {finding.sentence}"
    return [line, f"{'':<8} -> {finding.fix}"] if finding.fix else [line]
