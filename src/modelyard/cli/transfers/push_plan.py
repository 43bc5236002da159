"""``push --dry-run``: what a push would do, and what it would refuse."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from modelyard.cli.terminal.formatting import format_model_path, format_size, shorten_path
from modelyard.cli.terminal.remedies.exit_codes import REFUSED
from modelyard.cli.terminal.remedies.of_problems import PERMIT_PICKLES
from modelyard.cli.transfers.push_output import build_document, get_exit_code, get_outcome, report_rejected
from modelyard.client.transfers.collect import RejectedFile
from modelyard.client.transfers.dry_run import DryRunEntry, plan_push
from modelyard.client.transfers.folders.push import plan_folder
from modelyard.comfyui.quoting import counted
from modelyard.transfer.errors import DiskFailed, FileChanged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.api.registry import RegistryApi
    from modelyard.client.transfers.collect import PushRequest
    from modelyard.client.transfers.folders.contents import FolderContents, FolderRequest
    from modelyard.client.transfers.push_results import PushFailed


def print_file_plans(terminal: Terminal, selected: Sequence[PushRequest | RejectedFile], *, sidecars: bool) -> int:
    """Print what a push would do with each file, and return the exit code that its checks and rejected files give."""
    plan = terminal.call_registry(lambda registry: plan_push(registry, terminal.settings, selected, sidecars=sidecars))
    failed = report_rejected(terminal, [*selected, *plan.unreadable])
    return _print_plan(terminal, plan.entries, failed)


def print_folder_plan(terminal: Terminal, request: FolderRequest) -> int:
    """Print what a push would do with a folder as one model, and return the exit code."""

    async def plan(registry: RegistryApi) -> DryRunEntry | RejectedFile:
        try:
            return await plan_folder(registry, terminal.settings, request)
        except (DiskFailed, FileChanged, OSError) as failure:
            return RejectedFile(request.push.file, failure)

    found = terminal.call_registry(plan)
    if isinstance(found, RejectedFile):
        return _print_plan(terminal, [], report_rejected(terminal, [found]))
    return _print_plan(terminal, [found], [], request.contents)


def _print_plan(
    terminal: Terminal,
    plans: Sequence[DryRunEntry],
    failed: Sequence[PushFailed],
    contents: FolderContents | None = None,
) -> int:
    """Print what a push would do, of a folder with what it contains, and return the exit code."""
    left_out = {} if contents is None else {"left_out": [dataclasses.asdict(each) for each in contents.left_out]}
    facts = [] if contents is None else ["a folder", counted(len(contents.files), "file")]
    terminal.output.answer(
        document={
            "plan": [plan._asdict() | left_out for plan in plans],
            "files": [build_document(result) for result in failed],
        },
        lines=[line for plan in plans for line in _format_plan(terminal, plan, facts)],
        quiet=[plan.model_path for plan in plans],
    )
    _note_totals(terminal, plans, failed)
    codes = [get_exit_code(result) for result in failed]
    return max([*codes, *(REFUSED for plan in plans if plan.is_refused)], default=0)


def _format_plan(terminal: Terminal, plan: DryRunEntry, facts: Sequence[str]) -> list[str]:
    """Return what a push would do with a file or folder, and below it what to do instead, and why it is refused."""
    beside = "".join(f" with {each.name}" for each in (plan.picture, plan.sidecar) if each)
    about = ", ".join([plan.model_type, *facts[:1], format_size(plan.size), *facts[1:]])
    line = f"would {plan.action}  {plan.file}  as {format_model_path(plan.model_path)}  ({about}){beside}"
    fix = None if plan.permitted_by is None else PERMIT_PICKLES.format(permitted_by=plan.permitted_by)
    back = None
    if plan.same_version is not None:
        command = terminal.format_command("rollback", shorten_path(plan.model_path), "--to", plan.same_version)
        back = f"To go back to version {plan.same_version} instead: {command}"
    return [line, *(f"  {below}" for below in (back, plan.reason, fix) if below is not None)]


def _note_totals(terminal: Terminal, plans: Sequence[DryRunEntry], failed: Sequence[PushFailed]) -> None:
    """Print how many of several files would be pushed, skipped and refused, and what was not checked."""
    sent = [plan for plan in plans if not plan.is_refused and not plan.is_skipped]
    outcomes = [get_outcome(result) for result in failed]
    counts = [
        ("push", len(sent), f" ({format_size(sum(plan.size for plan in sent))})"),
        ("skip", sum(plan.is_skipped for plan in plans), ""),
        ("refuse", outcomes.count("refused") + sum(plan.is_refused for plan in plans), ""),
        ("fail to read", outcomes.count("failed"), ""),
    ]
    if len(plans) + len(failed) > 1:
        parts = ", ".join(f"{verb} {count}{size}" for verb, count, size in counts if count)
        terminal.output.note(f"{len(plans) + len(failed)} files: would {parts}.")
    if sent:
        terminal.output.note(
            "Checked here: names, first bytes, headers and lengths. The registry reads each whole file, and has quotas."
        )
    if unknown := sum(plan.is_pickle_rule_unknown for plan in sent):
        terminal.output.note(
            f"Not checked: the team's rule for pickle files ({unknown} here), which this key may not read. A team that "
            "blocks them refuses the push."
        )
