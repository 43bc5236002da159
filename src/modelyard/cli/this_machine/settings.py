"""The options that several commands about this machine's agent have, and its settings with these options."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from modelyard.agent.settings import AgentSettings
    from modelyard.cli.terminal.terminal import Terminal

ComfyUI = Annotated[
    list[Path] | None, typer.Option("--comfyui", metavar="DIR", help="The folder of a ComfyUI; may be repeated.")
]
ModelsDir = Annotated[
    list[Path] | None,
    typer.Option("--models-dir", metavar="DIR", help="A models folder that belongs to no ComfyUI; may be repeated."),
]
AgentId = Annotated[
    str | None,
    typer.Option("--agent-id", metavar="ID", help="The machine's name; default: from pairing, else its host name."),
]
KnownAgentId = Annotated[
    str | None,
    typer.Option(
        "--agent-id",
        metavar="ID",
        help="The machine's name; default: from pairing, of the only agent that has run here, or its host name.",
    ),
]
Label = Annotated[
    list[str] | None, typer.Option("--label", metavar="L", help="A label of this machine; may be repeated.")
]


def read_agent_settings(terminal: Terminal, **flags: object) -> AgentSettings:
    """Return the agent's settings from ``--url``, a command's flags, the environment and ``agent.toml``, in this order.

    The machine's name is that from pairing, if none of them has one.

    Raises:
        ProfileUnreadable: the file with the keys from pairing is not valid.
        SettingsUnreadable, pydantic.ValidationError: see ``modelyard.agent.settings.read_settings``.
    """
    from modelyard.agent.registry.keys import AgentKeyStore
    from modelyard.agent.settings import read_settings

    settings = read_settings(os.environ, url=terminal.url_option, **flags)
    return AgentKeyStore(terminal.settings.profile_file, terminal.output.warn).use_paired_name(settings)


def read_known_agent_settings(terminal: Terminal, **flags: object) -> AgentSettings:
    """Return the settings of the only agent that has run here, unless they name another one; see above for errors."""
    from modelyard.agent.state_folder import list_agent_ids

    settings = read_agent_settings(terminal, **flags)
    known_ids = list_agent_ids(terminal.settings.state_dir)
    if "agent_id" in settings.model_fields_set or len(known_ids) != 1:
        return settings
    return read_agent_settings(terminal, **(flags | {"agent_id": known_ids[0]}))
