"""``modelyard agent install-extension``: put ComfyUI's extension into the ComfyUIs of this machine, or remove it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal.terminal import require_posix, terminal_of
from modelyard.cli.this_machine.settings import ComfyUI, KnownAgentId, read_known_agent_settings

if TYPE_CHECKING:
    from pathlib import Path

    from modelyard.cli.terminal.terminal import Terminal

Remove = Annotated[bool, typer.Option("--remove", help="Remove the extension instead.")]


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("install-extension")(install_extension)


def install_extension(
    context: typer.Context, comfyui: ComfyUI = None, agent_id: KnownAgentId = None, remove: Remove = False
) -> None:
    """Copy the extension modelyard-bridge into ComfyUI's custom_nodes, or update it there.

    It shows the team's models in ComfyUI and fetches missing ones through the agent of this machine. Without --comfyui,
    all ComfyUIs of the agent get it. Restart ComfyUI afterwards.

    Example: modelyard agent install-extension --comfyui ~/ComfyUI
    """
    require_posix("The extension")
    from modelyard.agent.extension_files import AgentAddress, find_extension_files
    from modelyard.agent.extension_files import install_extension as install
    from modelyard.agent.roots import add_folders_of_last_agent
    from modelyard.agent.state_folder import StateFolder

    terminal = terminal_of(context)
    settings = read_known_agent_settings(terminal, comfyui=comfyui, agent_id=agent_id)
    state = StateFolder(terminal.settings.state_dir, settings.agent_id)
    folders = settings.comfyui or add_folders_of_last_agent(settings, state).comfyui
    if not folders:
        raise ValueError("Name the folder of a ComfyUI: --comfyui DIR")
    files = find_extension_files()
    if remove:
        _remove(terminal, folders, list(files))
        return
    address = AgentAddress(state.local_socket, settings.agent_id)
    installed = [install(folder, files, address) for folder in folders]
    terminal.output.answer(
        document={"folders": installed, "socket": state.local_socket},
        lines=[*(f'Installed "{folder}".' for folder in installed), "Restart ComfyUI to load it."],
        quiet=[str(folder) for folder in installed],
    )
    if not settings.local_api:
        terminal.output.warn("The agent's local API is turned off: the extension cannot reach it (local_api).")


def _remove(terminal: Terminal, folders: tuple[Path, ...], files: list[str]) -> None:
    """Remove the extension from ComfyUIs, and print which folders stay because of a user's files."""
    from modelyard.agent.extension_files import remove_extension

    kept = [folder for comfyui in folders if (folder := remove_extension(comfyui, files)) is not None]
    terminal.output.answer(
        document={"kept": kept},
        lines=[
            "Removed the extension. Restart ComfyUI to unload it.",
            *(f'"{folder}" stays, since it has other files.' for folder in kept),
        ],
        quiet=[str(folder) for folder in kept],
    )
