"""Builders of the two documents that show an agent's status: the heartbeat, and the snapshot for the status file."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime

from modelyard import __version__
from modelyard.agent.registry.reports import Report, to_report_text
from modelyard.agent.state_folder import HeldStatus, ModelStatus, ReasonStatus, StatusSnapshot
from modelyard.agent.status import MAX_SHOWN, AgentStatus, list_reasons
from modelyard.comfyui.quoting import printable
from modelyard.sync.planning.actions import HeldRemovals
from modelyard.wire.agents.heartbeats import Heartbeat
from modelyard.wire.uses.reports import ModelUse

_FEW_VALUES = (
    *("agent_id", "agent_labels", "agent_version", "agent_build", "agent_process", "places_folders", "is_stopping"),
    *("problem", "removal_waiting", "removal_token", "report_series", "report_number"),
)


def build_heartbeat(status: AgentStatus, report: Report, uses: Sequence[ModelUse] = ()) -> Heartbeat:
    """Return the heartbeat that carries the status, a report of model states, and uses of models."""
    held, info, waiting = status.result.held, status.machine_info, status.find_waiting_reason()
    progress = status.get_progress()
    of_team = None if status.manifest is None else status.manifest.disk_budget_bytes
    return Heartbeat(
        agent_id=status.settings.agent_id,
        agent_status="syncing" if status.has_running_actions else "busy" if info.is_rendering else "idle",
        agent_labels=list(status.settings.labels),
        agent_version=__version__,
        agent_build=info.agent_build,
        agent_process=status.process,
        places_folders=True,
        comfyui_version=None if info.comfyui_version is None else printable(info.comfyui_version)[:100],
        platform_arch=f"{platform.system().lower()}-{platform.machine()}"[:100],
        sync_phase=status.phase,
        # ``detail`` may be set by another thread meanwhile, so it is read once.
        sync_detail=None if (detail := status.detail) is None else to_report_text(detail),
        sync_percent=status.get_percent(),
        disk_free=info.disk_free,
        disk_budget=status.settings.find_disk_budget(of_team),
        bytes_held=status.held_bytes,
        models_unloaded=status.count_states().unloaded,
        models_evicted=status.count_states().evicted,
        waiting_for=None if waiting is None else to_report_text(waiting),
        problem=_build_problem(status, is_last=report.is_last),
        sync_bytes_done=None if progress is None else progress.done,
        sync_bytes_total=None if progress is None else progress.total,
        sync_seconds_left=status.seconds_left,
        is_stopping=status.is_stopping,
        removal_waiting=0 if held is None else len(held.removals),
        removal_token=None if held is None else held.token,
        use_counted_since=None if status.use_log is None else status.use_log.counted_since,
        use_list=list(uses),
        report_series=report.series,
        report_number=report.number,
        model_list=list(report.models),
        is_whole=report.is_whole,
        whole_after=report.whole_after,
        is_last=report.is_last,
    )


def reduce_heartbeat(heartbeat: Heartbeat) -> Heartbeat:
    """Return a heartbeat of few values: by what the registry knows the machine, and what waits for a person.

    The machine does not count use meanwhile, since its uses are missing.
    """
    return Heartbeat(**{name: getattr(heartbeat, name) for name in _FEW_VALUES})


def _build_problem(status: AgentStatus, *, is_last: bool) -> str | None:
    """Return what a person has to do: until the last part of a report is sent, also why the registry refuses it."""
    reason = None if is_last else status.rejections.reason
    problems = [problem for problem in (reason, status.find_problem()) if problem is not None]
    return to_report_text(" ".join(problems)) if problems else None


def build_snapshot(status: AgentStatus) -> StatusSnapshot:
    """Return the content of the status file."""
    settings, connection, held, counts = status.settings, status.connection, status.result.held, status.count_states()
    return StatusSnapshot(
        agent_id=settings.agent_id,
        version=__version__,
        pid=os.getpid(),
        started_at=status.started_at,
        written_at=datetime.now(UTC),
        url=status.url,
        team_id=status.team_facts.team_id or (status.previous and status.previous.team_id),
        link=connection.state,
        link_reason=connection.reason or status.rejections.reason,
        link_since=connection.since,
        link_retry_at=connection.retry_at,
        retry_at=status.retry_at if connection.is_up else None,
        last_heartbeat=status.last_heartbeat,
        phase=status.phase,
        detail=status.detail,
        percent=status.get_percent(),
        paused=status.paused,
        waiting_for=connection.reason if connection.state == "refused" else status.find_waiting_reason(),
        folders=[str(folder) for folder in (*settings.comfyui, *settings.models_dir)],
        comfyui_dirs=[str(folder) for folder in settings.comfyui],
        comfyui_urls=list(settings.comfyui_url),
        models_dirs=[str(folder) for folder in settings.models_dir],
        comfyui=status.machine_info.comfyui_version,
        counts=counts.states,
        counted_at=status.counted_at,
        bytes_held=status.held_bytes,
        disk_free=status.machine_info.disk_free,
        models=counts.models,
        reasons=counts.reasons,
        stuck_removals=_list_stuck_removals(status),
        held=None if held is None else _build_held_status(held),
        notes=list(status.result.notes),
        is_reported_by_two=status.is_reported_by_two,
    )


def _list_stuck_removals(status: AgentStatus) -> list[ReasonStatus]:
    """Return why files that no model needs cannot be removed, as for models that are blocked."""
    stuck = status.result.stuck_removals
    return list_reasons(ModelStatus(model_path=each.model_path, state="blocked", reason=each.reason) for each in stuck)


def _build_held_status(held: HeldRemovals) -> HeldStatus:
    """Return the held removals for the status file: the count of all, and at most ``MAX_SHOWN`` paths."""
    paths = [str(removal.target.path) for removal in held.removals[:MAX_SHOWN]]
    return HeldStatus(token=held.token, count=len(held.removals), reason=held.reason, paths=paths)
