"""``modelyard agent doctor``: checks of this machine, each with a fix if it found a problem."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer

from modelyard.cli.terminal.terminal import require_posix, terminal_of
from modelyard.cli.this_machine.settings import ComfyUI, KnownAgentId, ModelsDir, read_known_agent_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelyard.agent.doctor.findings import Finding
    from modelyard.cli.terminal.terminal import Terminal


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("doctor")(print_findings)


def print_findings(
    context: typer.Context, comfyui: ComfyUI = None, models_dir: ModelsDir = None, agent_id: KnownAgentId = None
) -> None:
    """Check this machine's key, clock, folders, links, file names, disk space, ComfyUI and agent; change nothing.

    Exits with 1 if there is a problem; a warning is none.

    Example: modelyard agent doctor --comfyui ~/ComfyUI
    """
    require_posix("modelyard agent doctor")
    from modelyard.agent.doctor.checks import DoctorContext, check_machine
    from modelyard.agent.registry.keys import AgentKeyStore
    from modelyard.agent.state_folder import StateFolder

    terminal = terminal_of(context)
    settings = read_known_agent_settings(terminal, comfyui=comfyui, models_dir=models_dir, agent_id=agent_id)
    key_store = AgentKeyStore(terminal.settings.profile_file, terminal.output.warn)
    folder = StateFolder(terminal.settings.state_dir, settings.agent_id)
    findings = list(
        check_machine(DoctorContext(settings, lambda: key_store.get_credentials(settings), folder, dict(os.environ)))
    )
    answer_findings(terminal, findings)


def answer_findings(terminal: Terminal, findings: Sequence[Finding], **facts: str) -> None:
    """Print facts about the machine and what was found, and exit with 1 if there is a problem.

    Raises:
        Exit: there is a problem; with code 1.
    """
    problem_count = sum(finding.level == "problem" for finding in findings)
    terminal.output.answer(
        document={**facts, "findings": [finding.to_document() for finding in findings], "problems": problem_count},
        lines=[
            *(f"{name:<8} {fact}" for name, fact in facts.items()),
            *(line for finding in findings for line in _format_finding(finding)),
        ],
        quiet=[str(problem_count)],
    )
    if problem_count:
        raise typer.Exit(1)


def _format_finding(finding: Finding) -> list[str]:
    """Return the line of a finding, and a second one with its fix if it has one."""
    line = f"{finding.level:<8} {finding.subject}: {finding.sentence}"
    return [line, f"{'':<8} -> {finding.fix}"] if finding.fix else [line]
