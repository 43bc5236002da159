"""The checks of ``modelyard agent doctor`` on the agent: whether it runs, its connection, and its models."""

import os
import shutil
from collections.abc import Iterator

from modelyard.agent.doctor.findings import Finding
from modelyard.agent.state_folder import StateFolder, StatusSnapshot
from modelyard.comfyui.quoting import counted
from modelyard.sync.planning.blockers import LOWER_KEEP_FREE
from modelyard.transfer.errors import FREE_SPACE
from modelyard.wire.agents.values import ModelState

# Causes that other checks may have found.
KEY, REGISTRY, SPACE = "key", "registry", "space"


def check_agent(folder: StateFolder) -> Iterator[Finding]:
    """Yield whether the agent runs, what it waits for and cannot do, and a finding if systemd is missing."""
    status = folder.read_status()
    if not folder.is_running():
        fix = "modelyard agent run, or permanently: modelyard agent install"
        yield Finding("warning", "agent", "No agent runs here.", fix)
    else:
        found = [] if status is None else list(check_status(status))
        yield from found or [Finding("ok", "agent", "The agent runs.")]
    if os.name == "posix" and shutil.which("systemctl") is None:
        yield Finding("ok", "agent", "systemd is not available; start the agent with your system's service manager.")


def check_status(status: StatusSnapshot) -> Iterator[Finding]:
    """Yield what the status of a running agent says is wrong: connection, models, and what it waits for. Pure."""
    others = [*_check_connection(status), *_check_models(status)]
    yield from others
    # What one model waits for is the reason of the machine too, so that would be the same again.
    if status.waiting_for and (status.held is not None or not others):
        fix = "modelyard agent approve" if status.held else ""
        sentence = f"The agent is waiting: {status.waiting_for}"
        yield Finding("warning", "agent", sentence, fix, follows=status.waiting_for)


def _check_connection(status: StatusSnapshot) -> Iterator[Finding]:
    """Yield why the agent has no connection: ``refused`` with its key, or ``lost``."""
    if status.link == "refused":
        yield Finding("warning", "agent", f"The agent is waiting: {status.link_reason}", follows=KEY)
    elif status.link == "lost":
        yield Finding("warning", "agent", f"The agent has lost the registry: {status.link_reason}", follows=REGISTRY)


def _check_models(status: StatusSnapshot) -> Iterator[Finding]:
    """Yield how many models wait until a person acts, and how many attempts failed, each with the first reason."""
    if count := status.counts.get("blocked", 0):
        reason = _find_reason(status, "blocked")
        sentence = f"The agent cannot place {counted(count, 'model')}."
        follows = SPACE if reason.endswith((FREE_SPACE, LOWER_KEEP_FREE)) else reason
        yield Finding(
            "problem", "models", f"{sentence} {reason}".rstrip(), follows=follows or None, consequence=sentence
        )
    if count := status.counts.get("failed", 0):
        sentence = f"The agent could not place {counted(count, 'model')}, and tries again."
        yield Finding("problem", "models", f"{sentence} {_find_reason(status, 'failed')}".rstrip())


def _find_reason(status: StatusSnapshot, state: ModelState) -> str:
    """Return the reason of the first model in a state; empty if there is none."""
    return next((model.reason for model in status.models if model.state == state and model.reason), "")
