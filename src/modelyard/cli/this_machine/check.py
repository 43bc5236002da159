"""``check``: which models a workflow needs, and on which machines it can run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from modelyard.cli.terminal.formatting import format_duration
from modelyard.cli.terminal.table import format_table
from modelyard.cli.terminal.terminal import terminal_of
from modelyard.comfyui.quoting import counted, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelyard.cli.terminal.colors import Line
    from modelyard.cli.terminal.errors import Explanation
    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.api.registry import RegistryApi
    from modelyard.client.workflow_checks import CheckedFile, UncheckedFile
    from modelyard.wire.workflows import MachineReadiness, WorkflowReference

Slashes = Literal["windows", "posix"]
_NOT_READY = 1
_STATES = {
    "present": "present",
    "other_content": "other content",
    "other_name": "other name",
    "similar": "similar name",
    "unknown": "not found",
}
_READINESS = {"ready": "ready", "soon": "soon", "assignable": "if sent", "cannot": "cannot"}


def add_to(app: typer.Typer) -> None:
    """Add this command to the command tree."""
    app.command()(check)


def check(
    context: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Workflows, or pictures, videos and sounds with one."),
    ],
    on: Annotated[
        str | None,
        typer.Option(
            metavar="MACHINE", help="Exit with 0 only if this machine can run all of them by its last report."
        ),
    ] = None,
    send_to: Annotated[
        str | None, typer.Option(metavar="MACHINE", help="Assign the models that this machine lacks to it.")
    ] = None,
    rewrite: Annotated[
        Path | None,
        typer.Option(metavar="NEW_FILE", help="Write a copy with the names that the team's files have."),
    ] = None,
    slashes: Annotated[
        Slashes | None, typer.Option(help="Of the names in this copy: for machines with Windows, or for others.")
    ] = None,
    is_import: Annotated[
        bool,
        typer.Option(
            "--import", help="Import models that the team lacks from the addresses in the workflows, then check."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Import without a question.")] = False,
) -> None:
    """Check which models ComfyUI workflows need, what the team has of them, and which machines can run them.

    Exits with 1 if the team lacks a model that a workflow requires, or if the machine of --on is not ready; with a
    higher code if a file cannot be checked, which does not stop the others. Muted and bypassed nodes require nothing.
    With --rewrite, names of files that the team has under another name or in another folder are replaced in a copy;
    names in prompts stay. With --import, the registry downloads the models that are not found or only have a similar
    name, from the addresses in the workflows, to the paths that these load. Models that the team has under another
    name, or with other capitals, are not imported, and still end the command with 1.

    Examples: modelyard check portrait.json; modelyard check render.png --on render-07
    """
    if (rewrite or slashes) and (len(files) != 1 or rewrite is None):
        raise typer.BadParameter("--rewrite takes one FILE, and --slashes needs --rewrite.")
    if yes and not is_import:
        raise typer.BadParameter("--yes needs --import.")
    terminal = terminal_of(context)
    if is_import:
        _import_missing(terminal, files, is_accepted=yes)
    checked, failed, assigned = terminal.call_registry(lambda registry: _check_and_assign(registry, files, on, send_to))
    failures = [(each.path, _explain(each)) for each in failed]
    _print_checks(terminal, checked, failures)
    if send_to is not None:
        terminal.output.note(f"Assigned to {send_to}: {counted(assigned, 'model')}.")
    if rewrite is not None and checked:
        _write_copy(terminal, checked[0], rewrite, slashes)
    codes = [_NOT_READY for each in checked if not _is_ready(each, on)]
    if code := max([*codes, *(why.exit_code for _, why in failures)], default=0):
        raise typer.Exit(code)


def _explain(failed: UncheckedFile) -> Explanation:
    """Return the message, the remedies and the exit code for a file that cannot be checked; raise what is a bug."""
    from modelyard.cli.terminal.errors import explain_failure

    explanation = explain_failure(failed.error)
    if explanation is None:
        raise failed.error
    return explanation


def _print_checks(
    terminal: Terminal, checked: Sequence[CheckedFile], failures: Sequence[tuple[Path, Explanation]]
) -> None:
    """Print what the registry says about each workflow, and why the other files cannot be checked."""
    from modelyard.client.workflow_checks import describe_failure

    terminal.output.answer(
        document={
            "check_list": [each.check.model_dump(mode="json") | {"file": str(each.path)} for each in checked],
            "failure_list": [{"file": str(path), "error": why.facts} for path, why in failures],
        },
        lines=[line for each in checked for line in _format_check(each, terminal.output.width)],
        quiet=[each.name for one in checked for each in one.missing],
    )
    for path, why in failures:
        terminal.output.warn("\n  ".join([describe_failure(path, why.sentence), *why.fix]))


async def _check_and_assign(
    registry: RegistryApi, files: Sequence[Path], on: str | None, send_to: str | None
) -> tuple[list[CheckedFile], list[UncheckedFile], int]:
    """Check the files; assign what is missing if that is asked for.

    Returns the files that were checked, those that cannot be, and how many models were assigned.
    """
    from modelyard.client.api.agents import find_agent
    from modelyard.client.workflow_checks import CheckedFile, UncheckedFile, assign_missing, check_each_workflow

    for machine in {on, send_to} - {None}:
        await find_agent(registry, str(machine))
    found = await check_each_workflow(registry, files)
    checked = [each for each in found if isinstance(each, CheckedFile)]
    failed = [each for each in found if isinstance(each, UncheckedFile)]
    return checked, failed, 0 if send_to is None else await assign_missing(registry, send_to, checked)


def _import_missing(terminal: Terminal, files: Sequence[Path], *, is_accepted: bool) -> None:
    """Import the unknown models whose folder and address the workflows say; asks first unless it is accepted."""
    from modelyard.cli.transfers.imports import confirm_imports, format_ended, run_imports
    from modelyard.client.missing_imports import MissingImport, plan_imports
    from modelyard.client.workflow_checks import CheckedFile, check_each_workflow

    async def plan(registry: RegistryApi) -> list[MissingImport]:
        """Check the files and look up the addresses."""
        found = await check_each_workflow(registry, files)
        return await plan_imports(registry, [each for each in found if isinstance(each, CheckedFile)])

    planned = terminal.call_registry(plan)
    for each in planned:
        if each.error:
            terminal.output.note(f"{quoted(each.name)} cannot be imported. {each.error}")
    found = [(each.draft, each.new) for each in planned if each.draft and each.new]
    if not found:
        terminal.output.note("No missing model can be imported.")
        return
    drafts, imports = [draft for draft, _ in found], [new for _, new in found]
    confirm_imports(terminal, drafts, imports, is_accepted=is_accepted)
    for ended in run_imports(terminal, imports):
        terminal.output.note(format_ended(ended))


def _write_copy(terminal: Terminal, checked: CheckedFile, target: Path, slashes: Slashes | None) -> None:
    """Write a copy of the workflow with other names, and say which."""
    from modelyard.client.workflow_checks import write_rewritten
    from modelyard.comfyui.workflows.rewriting import SLASHES, build_replacements

    names = build_replacements(checked.check.reference_list, None if slashes is None else SLASHES[slashes])
    write_rewritten(checked, names, target)
    for old, new in names.items():
        terminal.output.note(f"{quoted(old)} is now {quoted(new)}.")
    terminal.output.note(f"Wrote {quoted(target)} with {counted(len(names), 'other name')}.")


def _is_ready(checked: CheckedFile, machine: str | None) -> bool:
    """Return whether the team has all that the workflow requires, or with a machine whether it can run it now."""
    if machine is None:
        return not checked.missing
    found = checked.find_machine(machine)
    return found is not None and found.readiness == "ready"


def _format_check(checked: CheckedFile, width: int | None) -> Sequence[str | Line]:
    """Return the lines about one file: a summary, a table of its models, and one of the machines."""
    by_need = sorted(checked.check.reference_list, key=lambda each: each.is_required)
    references = list({(each.folder, each.name): each for each in by_need}.values())
    lines: list[str | Line] = [f"{quoted(checked.path)}: {_summarize(checked, len(references))}"]
    if references:
        headings = ("STATE", "FOLDER", "MODEL", "NOTE")
        lines += ["", *format_table(headings, [_build_row(each) for each in references], width)]
    if references and checked.check.machine_list:
        rows = [_build_machine_row(each) for each in checked.check.machine_list]
        lines += ["", *format_table(("MACHINE", "STATUS", "REASON"), rows, width)]
    return [*lines, ""]


def _summarize(checked: CheckedFile, count: int) -> str:
    """Return how many models a workflow names, and how many of those that it requires the team lacks."""
    if not count:
        return "names no models."
    lacks = f"the team lacks {len(checked.missing)}" if checked.missing else "the team has all that it requires"
    return f"names {counted(count, 'model')}, {lacks}."


def _build_row(reference: WorkflowReference) -> tuple[str, ...]:
    """Return the cells of a reference: its state, and what to do about it."""
    note = reference.suggestion and f"the team has {reference.suggestion}"
    address = reference.url if reference.state in ("unknown", "similar") else None
    notes = [note or "", reference.reason or "", address or ""]
    optional = [] if reference.is_required else ["not required"]
    shown = ", ".join(text for text in (*notes, *optional) if text)
    return _STATES[reference.state], reference.folder or "unknown", reference.name, shown


def _build_machine_row(machine: MachineReadiness) -> tuple[str, ...]:
    """Return the cells of a machine."""
    after = f", {format_duration(machine.seconds)}" if machine.seconds else ""
    return machine.agent_id, f"{_READINESS[machine.readiness]}{after}", machine.reason or ""
