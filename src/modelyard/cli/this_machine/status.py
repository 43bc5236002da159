"""The text of ``modelyard agent status``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from modelyard.cli.terminal.formatting import format_age, format_duration, format_fields, format_size, format_time
from modelyard.cli.terminal.reasons import format_reason
from modelyard.cli.terminal.table import format_table
from modelyard.sync.reason_groups import group_by_reason
from modelyard.wire.agents.values import REPORTED_BY_TWO_REASON

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelyard.agent.state_folder import ModelStatus, ReasonStatus, StatusSnapshot
    from modelyard.cli.terminal.colors import Line


def find_successor(ended: StatusSnapshot, running: Iterable[StatusSnapshot]) -> str | None:
    """Return the name of a running agent that syncs all folders of an ended one with the same registry, if any.

    Then the ended one is an earlier name of the same agent.
    """
    folders = set(ended.folders)
    same = (each.agent_id for each in running if each.url == ended.url and folders <= set(each.folders))
    return next(same, None) if folders else None


def format_status(
    status: StatusSnapshot, is_running: bool, width: int | None, successor: str | None = None
) -> list[str | Line]:
    """Return the lines about one agent: its fields, held removals, reasons that models share, and a table of others.

    ``width`` is as in ``format_table``, ``successor`` as ``find_successor`` returns it.
    """
    state = "running" if is_running else "not running"
    state = f"{state}, {successor} has its folders now" if successor else state
    percent = "" if status.percent is None else f", {status.percent} %"
    phase = f"{status.phase}{percent}" + (f": {status.detail}" if status.detail else "")
    pairs = [
        ("agent", f"{status.agent_id} ({state}, version {status.version})"),
        ("registry", f"{status.url}: {_format_link(status) if is_running else 'not connected'}"),
        ("", status.link_reason or ""),
        ("heartbeat", format_age(status.last_heartbeat)),
        ("phase", phase if is_running else f"ended, last seen {format_age(status.written_at)}"),
        ("waiting for", (status.waiting_for or "") if status.waiting_for != status.link_reason else ""),
        ("models", _format_counts(status)),
        ("next try", _format_retry(status.retry_at) if is_running else ""),
        ("free", "" if status.disk_free is None else format_size(status.disk_free)),
        ("comfyui", "" if status.comfyui is None else f"running, version {status.comfyui or 'unknown'}"),
        *(("folder", folder) for folder in status.folders),
        *(("note", note) for note in status.notes),
        ("problem", REPORTED_BY_TWO_REASON if status.is_reported_by_two and is_running else ""),
    ]
    lines: list[str | Line] = [*format_fields(pairs)]
    if status.held is not None:
        lines += [f"  to be removed: {path}" for path in status.held.paths]
        lines.append("  Approve the removal: modelyard agent approve")
    lines += [line for each in status.reasons if each.count > 1 for line in _format_shared_reason(each, width)]
    if alone := _list_alone(status):
        headings = ("MODEL", "STATE", "DOWNLOADED", "REASON")
        lines += format_table(headings, [_build_model_row(model) for model in alone], width)
    return lines


def _format_shared_reason(shared: ReasonStatus, width: int | None) -> list[str]:
    """Return the lines of a reason that several models have."""
    return format_reason(shared.count, shared.state, shared.reason, shared.model_paths, width)


def _list_alone(status: StatusSnapshot) -> list[ModelStatus]:
    """Return the models that share no reason with others."""
    shared = {(each.state, each.reason) for each in status.reasons if each.count > 1}
    groups = [each for each in group_by_reason(status.models) if (each.state, each.reason) in shared]
    paths = {path for group in groups for path in group.model_paths}
    return [model for model in status.models if model.model_path not in paths]


def _format_link(status: StatusSnapshot) -> str:
    """Return the state of the connection to the registry, with the time since which it is in this state."""
    if status.link_since is None:
        return status.link
    retry = f", next try {_format_retry(status.link_retry_at)}" if status.link_retry_at else ""
    return f"{status.link} since {format_time(status.link_since)} ({format_age(status.link_since)}){retry}"


def _format_retry(moment: datetime | None) -> str:
    """Return when something is tried again, such as ``in 12 s``; empty for None."""
    if moment is None:
        return ""
    seconds = (moment - datetime.now(UTC)).total_seconds()
    return f"in {format_duration(seconds)}" if seconds > 0 else "now"


def _format_counts(status: StatusSnapshot) -> str:
    """Return how many models are in each state and their size, with the age of counts from before this start."""
    if status.counted_at is None:
        return "unknown until the first scan, which starts when the registry answers"
    counts = ", ".join(f"{count} {state}" for state, count in sorted(status.counts.items())) or "none"
    is_outdated = status.counted_at < status.started_at
    age = f" (as of {format_age(status.counted_at)}, before this start)" if is_outdated else ""
    return f"{counts}; {format_size(status.bytes_held)}{age}"


def _build_model_row(model: ModelStatus) -> tuple[str, ...]:
    """Return the table cells of a model: path, state, downloaded size, reason."""
    downloaded = f"{format_size(model.bytes_done)} of {format_size(model.size)}" if model.size else ""
    return model.model_path, model.state, downloaded, model.reason or ""
