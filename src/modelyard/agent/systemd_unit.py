"""The systemd user unit that starts the agent with the machine and restarts it when it fails."""

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
# Transfers stop at once; a scan of an unresponsive network mount may take half a minute.
TimeoutStopSec=60
# Rendering has priority.
Nice=10
IOSchedulingClass=idle
NoNewPrivileges=yes
UMask=0022

[Install]
WantedBy=default.target
"""
# Copied from the environment into the unit, with all the agent's settings except the key, which is secret.
_KEPT = ("MODELYARD_CONFIG", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
_SECRET = f"{ENVIRONMENT_PREFIX}KEY"


@dataclass(frozen=True)
class SystemdUnit:
    """A systemd unit: its name, its file and the file's text."""

    name: str
    path: Path
    text: str

    @property
    def start_commands(self) -> list[str]:
        """The shell commands that start the unit once its file is written."""
        return [
            "systemctl --user daemon-reload",
            f"systemctl --user enable --now {self.name}",
            "loginctl enable-linger  # runs it while you are signed out",
        ]

    @property
    def stop_commands(self) -> list[str]:
        """The shell commands that stop the unit once its file is removed."""
        return [f"systemctl --user disable --now {self.name}", "systemctl --user daemon-reload"]


def build_unit(
    agent_id: str, arguments: Sequence[str], environment: Mapping[str, str], *, is_only: bool = True
) -> SystemdUnit:
    """Return the unit that runs ``modelyard agent run`` with these arguments; writes nothing.

    The unit gets the agent's settings in ``environment``, except the key.

    ``is_only``: the machine has one agent, so the unit's name does not contain the agent's id.
    """
    name = f"{UNIT}.service" if is_only else f"{UNIT}-{agent_id}.service"
    folder = Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"
    command = " ".join(_quote_word(word) for word in [sys.executable, "-m", "modelyard", "agent", "run", *arguments])
    settings = sorted(key for key in environment if key.startswith(ENVIRONMENT_PREFIX) and key != _SECRET)
    kept = [f"{key}={environment[key]}" for key in (*_KEPT, *settings) if environment.get(key)]
    lines = "".join(f"Environment={_quote_word(each)}\n" for each in kept)
    return SystemdUnit(name, folder / name, _TEXT.format(name=agent_id, command=command, environment=lines))


def _quote_word(word: str) -> str:
    """Quote a word for a unit file, where `%` and `$` would be expanded and a space would end the word."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if any(letter in word for letter in " \"'\\$%;") else escaped


def write_unit(unit: SystemdUnit) -> None:
    """Write a unit's file atomically, in place of an earlier one; systemd is not told.

    Raises:
        OSError: the folder cannot be written.
    """
    unit.path.parent.mkdir(parents=True, exist_ok=True)
    draft = unit.path.with_name(f".{unit.path.name}.{os.getpid()}")
    draft.write_text(unit.text, encoding="utf-8")
    draft.replace(unit.path)
