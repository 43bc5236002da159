"""``modelyard agent selftest``: whether this machine does what the agent relies on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Annotated

import typer

from modelyard import __version__
from modelyard.build import format_version
from modelyard.cli.terminal.terminal import terminal_of
from modelyard.cli.this_machine.doctor import answer_findings
from modelyard.cli.this_machine.settings import ComfyUI, KnownAgentId, ModelsDir, read_known_agent_settings

TestFolder = Annotated[
    Path | None,
    typer.Option(
        "--folder", metavar="DIR", help="Test the disk of this folder; default: the first models folder of the agent."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("selftest")(print_selftest)


def print_selftest(
    context: typer.Context,
    comfyui: ComfyUI = None,
    models_dir: ModelsDir = None,
    folder: TestFolder = None,
    agent_id: KnownAgentId = None,
) -> None:
    """Test locks, renames, open files, long paths and ComfyUI's lists of this machine, in a temporary folder.

    It is made in the first models folder, and removed. Exits with 1 if a test fails; a warning is no failure.

    Example: modelyard agent selftest --comfyui ~/ComfyUI
    """
    from modelyard.agent.roots import add_folders_of_last_agent
    from modelyard.agent.selftest.selftest import run_selftest
    from modelyard.agent.state_folder import StateFolder

    terminal = terminal_of(context)
    settings = read_known_agent_settings(terminal, comfyui=comfyui, models_dir=models_dir, agent_id=agent_id)
    settings = add_folders_of_last_agent(settings, StateFolder(terminal.settings.state_dir, settings.agent_id))
    report = run_selftest(settings, dict(os.environ), folder)
    system = f"{platform.platform()}, Python {platform.python_version()}, Modelyard {format_version(__version__)}"
    answer_findings(terminal, report.findings, system=system, folder=str(report.folder))
