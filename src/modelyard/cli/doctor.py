"""``doctor``: what stands between this machine and its models, and what to do about it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.agent import ComfyUI, ModelsDir, agent_settings
from modelyard.cli.terminal import require_posix, terminal_of

if TYPE_CHECKING:
    from modelyard.agent.doctor import Finding


AgentId = Annotated[
    str | None,
    typer.Option("--agent-id", metavar="ID", help="The machine's name; else the only agent's here, or the host's."),
]


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    context: typer.Context, comfyui: ComfyUI = None, models_dir: ModelsDir = None, agent_id: AgentId = None
) -> None:
    """Check this machine: key, clock, folders, links, names, space, ComfyUI, agent. Nothing is changed.

    Example: modelyard doctor --comfyui ~/ComfyUI
    """
    require_posix("modelyard doctor")
    from modelyard.agent.doctor import Patient, examine
    from modelyard.agent.keys import KeyRing
    from modelyard.agent.status import StateFolder, known_agents

    terminal = terminal_of(context)
    settings = agent_settings(terminal, comfyui=comfyui, models_dir=models_dir, agent_id=agent_id)
    known = known_agents(terminal.settings.state_dir)
    if "agent_id" not in settings.model_fields_set and len(known) == 1:
        settings = agent_settings(terminal, comfyui=comfyui, models_dir=models_dir, agent_id=known[0])
    ring = KeyRing(terminal.settings.profile_file, terminal.output.warn)
    folder = StateFolder(terminal.settings.state_dir, settings.agent_id)
    findings = list(examine(Patient(settings, lambda: ring.find(settings), folder, dict(os.environ))))
    problems = sum(finding.level == "problem" for finding in findings)
    document = {"findings": [finding.__dict__ for finding in findings], "problems": problems}
    terminal.output.answer(
        document=document, lines=[line for finding in findings for line in _lines(finding)], quiet=[str(problems)]
    )
    if problems:
        raise typer.Exit(1)


def _lines(finding: Finding) -> list[str]:
    line = f"{finding.level:<8} {finding.subject}: {finding.sentence}"
    return [line, f"{'':<8} -> {finding.fix}"] if finding.fix else [line]
