"""The checks of ``modelyard agent doctor`` on the agent: whether it runs, its connection, and its models."""

import os
import shutil
from collections.abc import Iterator, Mapping

from modelyard.agent.doctor.findings import Finding
from modelyard.agent.state_folder import ReasonStatus, StateFolder, StatusSnapshot
from modelyard.comfyui.quoting import counted
from modelyard.sync.planning.blockers import LOWER_KEEP_FREE
from modelyard.sync.reason_groups import is_example
from modelyard.transfer.errors import FREE_SPACE
from modelyard.wire.agents.values import REPORTED_BY_TWO_REASON, ModelState

# Causes that other checks may have found.
KEY, REGISTRY, SPACE = "key", "registry", "space"
# Sentences about models in a state, with a place for their number: while an agent runs, and after it has ended.
_NOW: Mapping[ModelState, str] = {
    "blocked": "The agent cannot place {}.",
    "failed": "The agent could not place {}, and tries again.",
    "conflict": "The agent cannot place {} because of a conflict.",
}
_AT_LAST_RUN: Mapping[ModelState, str] = {
    "blocked": "At its last run, the agent could not place {}.",
    "failed": "At its last run, the agent failed to place {}.",
    "conflict": "At its last run, the agent could not place {} because of a conflict.",
}
# The same about files that are to be removed, and cannot be until a person acts.
_STUCK_NOW = "The agent cannot remove {} that no model needs."
_STUCK_AT_LAST_RUN = "At its last run, the agent could not remove {} that no model needs."


def check_agent(folder: StateFolder) -> Iterator[Finding]:
    """Yield whether the agent runs, what it waits for and cannot do, and a finding if systemd is missing."""
    status = folder.read_status()
    if not folder.is_running():
        fix = "modelyard agent run, or permanently: modelyard agent install"
        yield Finding("warning", "agent", "No agent runs here.", fix)
        if status is not None:
            yield from check_last_run(status)
    else:
        found = [] if status is None else list(check_status(status))
        yield from found or [Finding("ok", "agent", "The agent runs.")]
    if os.name == "posix" and shutil.which("systemctl") is None:
        yield Finding("ok", "agent", "systemd is not available; start the agent with your system's service manager.")


def check_last_run(status: StatusSnapshot) -> Iterator[Finding]:
    """Yield what the last status of an agent that has ended says is wrong with its models and removals. Pure."""
    yield from _check_models(status, _AT_LAST_RUN)
    yield from _check_removals(status, _STUCK_AT_LAST_RUN)
    if status.held is not None:
        sentence = f"At its last run, removals waited: {status.held.reason}"
        yield Finding("warning", "agent", sentence, "modelyard agent approve")


def check_status(status: StatusSnapshot) -> Iterator[Finding]:
    """Yield what the status of a running agent says is wrong: connection, models, removals, what it waits for. Pure."""
    if status.is_reported_by_two:
        yield Finding("problem", "agent", REPORTED_BY_TWO_REASON)
    lacks_connection = list(_check_connection(status))
    yield from lacks_connection
    yield from _check_models(status, _NOW)
    yield from _check_removals(status, _STUCK_NOW)
    # What one model or removal waits for is the reason of the machine too, so that would be the same again.
    is_said = lacks_connection or status.counts.get("blocked") or status.counts.get("failed") or status.stuck_removals
    if status.waiting_for and (status.held is not None or not is_said):
        fix = "modelyard agent approve" if status.held else ""
        sentence = f"The agent is waiting: {status.waiting_for}"
        yield Finding("warning", "agent", sentence, fix, follows=status.waiting_for)


def _check_connection(status: StatusSnapshot) -> Iterator[Finding]:
    """Yield why the agent has no connection: ``refused`` with its key, or ``lost``."""
    if status.link == "refused":
        yield Finding("warning", "agent", f"The agent is waiting: {status.link_reason}", follows=KEY)
    elif status.link == "lost":
        yield Finding("warning", "agent", f"The agent has lost the registry: {status.link_reason}", follows=REGISTRY)


def _check_models(status: StatusSnapshot, sentences: Mapping[ModelState, str]) -> Iterator[Finding]:
    """Yield for each state in ``sentences`` how many models are in it for each reason, and how many others."""
    for state, sentence in sentences.items():
        reasons = [each for each in status.reasons if each.state == state]
        for each in reasons:
            yield _describe_reason(each, sentence.format(counted(each.count, "model")))
        rest = status.counts.get(state, 0) - sum(each.count for each in reasons)
        if rest > 0:
            yield Finding("problem", "models", sentence.format(counted(rest, "other model" if reasons else "model")))


def _check_removals(status: StatusSnapshot, sentence: str) -> Iterator[Finding]:
    """Yield for each reason how many files that no model needs cannot be removed."""
    for each in status.stuck_removals:
        yield _describe_reason(each, sentence.format(counted(each.count, "file")))


def _describe_reason(each: ReasonStatus, consequence: str) -> Finding:
    """Return the finding about a reason and its ``consequence``: what the agent cannot do because of it."""
    example = "For example: " if is_example(each.reason, each.model_paths) else ""
    follows = SPACE if each.reason.endswith((FREE_SPACE, LOWER_KEEP_FREE)) else each.reason
    sentence = f"{consequence} {example}{each.reason}"
    return Finding("problem", "models", sentence, follows=follows, consequence=consequence)
