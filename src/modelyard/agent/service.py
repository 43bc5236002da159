"""The agent as a systemd user unit: it starts with the machine and is started again when it ends by accident."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelyard.agent.settings import ENVIRONMENT_PREFIX

UNIT = "modelyard-agent"
_TEXT = """\
[Unit]
Description=Modelyard agent {name}
After=network-online.target
Wants=network-online.target

[Service]
ExecStart={command}
{environment}Restart=on-failure
RestartSec=10
# Transfers end by themselves; a dead network mount may keep a look at a folder for half a minute.
TimeoutStopSec=60
# Rendering comes first.
Nice=10
IOSchedulingClass=idle
NoNewPrivileges=yes
UMask=0022

[Install]
WantedBy=default.target
"""
# What the unit must know as the shell does in which it was made, with all the agent's settings; never the key.
_KEPT = ("MODELYARD_CONFIG", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
_SECRET = f"{ENVIRONMENT_PREFIX}KEY"


@dataclass(frozen=True)
class Unit:
    """A unit's file and its text."""

    name: str
    path: Path
    text: str

    @property
    def to_start(self) -> list[str]:
        """What has to be typed once the file is there."""
        return [
            "systemctl --user daemon-reload",
            f"systemctl --user enable --now {self.name}",
            "loginctl enable-linger  # so that it runs while nobody is signed in",
        ]

    @property
    def to_stop(self) -> list[str]:
        """What has to be typed before the file goes."""
        return [f"systemctl --user disable --now {self.name}", "systemctl --user daemon-reload"]


def unit_for(agent_id: str, arguments: Sequence[str], environment: Mapping[str, str], *, is_only: bool = True) -> Unit:
    """The unit that runs ``modelyard agent run`` with these arguments; ``is_only``: the machine has one agent."""
    name = f"{UNIT}.service" if is_only else f"{UNIT}-{agent_id}.service"
    folder = Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"
    command = " ".join(_quoted(word) for word in [sys.executable, "-m", "modelyard", "agent", "run", *arguments])
    settings = sorted(key for key in environment if key.startswith(ENVIRONMENT_PREFIX) and key != _SECRET)
    kept = [f"{key}={environment[key]}" for key in (*_KEPT, *settings) if environment.get(key)]
    lines = "".join(f"Environment={_quoted(each)}\n" for each in kept)
    return Unit(name, folder / name, _TEXT.format(name=agent_id, command=command, environment=lines))


def _quoted(word: str) -> str:
    """A word as a unit file has it: `%` and `$` would be replaced there, blanks would end it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if any(letter in word for letter in " \"'\\$%;") else escaped


def write_unit(unit: Unit) -> None:
    """Put the file in its place.

    Raises:
        OSError: the folder cannot be written.
    """
    unit.path.parent.mkdir(parents=True, exist_ok=True)
    draft = unit.path.with_name(f".{unit.path.name}.{os.getpid()}")
    draft.write_text(unit.text, encoding="utf-8")
    draft.replace(unit.path)
