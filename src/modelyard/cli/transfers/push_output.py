"""Text, JSON and exit codes of the results of a push, and what may be asked about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelyard.cli.terminal.formatting import (
    count_columns,
    escape_unprintable,
    format_model_path,
    format_size,
    shorten_path,
)
from modelyard.cli.terminal.table import cut_path
from modelyard.cli.transfers.ignored_fields import describe_ignored
from modelyard.cli.transfers.summary import format_summary
from modelyard.comfyui.quoting import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.transfers.collect import PushRequest, RejectedFile
    from modelyard.client.transfers.push_results import PushFailed, PushResult, PushSucceeded


# In the order of the summary.
_OUTCOMES = ("registered", "new version", "already there", "refused", "failed")
# A path is not cut further, even if a line is wider than the terminal then.
_MIN_PATH_WIDTH = 12


def report_rejected(terminal: Terminal, selected: Sequence[PushRequest | RejectedFile]) -> list[PushFailed]:
    """Print why the rejected files among ``selected`` cannot be pushed, and return their results."""
    from modelyard.client.transfers.collect import RejectedFile
    from modelyard.client.transfers.push_results import PushFailed

    results = [PushFailed(each.file, each.error) for each in selected if isinstance(each, RejectedFile)]
    for result in results:
        print_result(terminal, result)
    return results


def print_result(terminal: Terminal, result: PushResult) -> None:
    """Print a success on standard output (not with --json), or a failure and its remedies on standard error.

    An error that is a bug is raised.
    """
    from modelyard.cli.terminal.errors import explain_failure
    from modelyard.client.transfers.push_results import PushFailed, PushSucceeded

    match result:
        case PushFailed(file, error):
            explanation = explain_failure(error, terminal.read_typed(), file)
            if explanation is None:
                raise error
            is_named = f'"{file}"' in explanation.sentence
            sentence = explanation.sentence if is_named else f"{escape_unprintable(str(file))}: {explanation.sentence}"
            terminal.output.warn("\n  ".join([sentence, *map(escape_unprintable, explanation.fix)]))
        case PushSucceeded(file, outcome, model, version, status, size, picture):
            for ignored in result.ignored:
                terminal.output.warn(f"{file}: {describe_ignored(terminal, ignored, model, version)}")
            if result.same_version is not None:
                terminal.output.warn(f"{file}: {_describe_same_version(terminal, result)}")
            if picture is not None and picture.error is not None:
                terminal.output.warn(f"{picture.file}: not used as the preview. {picture.error}")
            if terminal.output.style == "json":
                return
            number = "" if version == 1 else f", version {version}"
            state = "" if status == "current" else f", {status}"
            shown = ", with picture" if picture is not None and picture.error is None else ""
            files = f", {counted(model.file_count, 'file')}" if model.file_count and version == model.version else ""
            facts = f"{format_size(size)}{files}{number}{state}{shown}"
            line = _format_line(outcome, format_model_path(model.model_path), facts, model.id, terminal.output.width)
            terminal.output.answer(document=None, lines=[line], quiet=[str(model.id)])


def _format_line(outcome: str, model_path: str, facts: str, model_id: UUID, width: int | None) -> str:
    """Return one line about a pushed file; in a terminal that is too narrow without the id, and with the path cut."""
    path = escape_unprintable(model_path)
    whole = f"{outcome}  {path}  {facts}  {model_id}"
    if width is None or count_columns(whole) <= width:
        return whole
    room = width - count_columns(f"{outcome}    {facts}")
    return f"{outcome}  {cut_path(path, max(_MIN_PATH_WIDTH, room))}  {facts}"


def _describe_same_version(terminal: Terminal, result: PushSucceeded) -> str:
    """Return that a new version has the content of an earlier one, and how to go back to that instead."""
    path, same = shorten_path(result.model.model_path), result.same_version
    back = terminal.format_command("rollback", path, "--to", same)
    remove = terminal.format_command("version", "rm", path, result.version)
    known = f"Version {result.version} is the same as version {same}."
    return f"{known} To go back to that one instead: {back}, then: {remove}"


def print_summary(terminal: Terminal, results: Sequence[PushResult], seconds: float) -> None:
    """Print on standard error what became of several files; nothing for a single one."""
    from modelyard.client.transfers.push_results import PushSucceeded

    succeeded = [result for result in results if isinstance(result, PushSucceeded)]
    outcomes = sorted(map(get_outcome, results), key=_OUTCOMES.index)
    sent = sum(result.sent_bytes for result in succeeded)
    if (summary := format_summary(outcomes, sent, seconds)) is not None:
        terminal.output.note(summary)


def get_outcome(result: PushResult) -> str:
    """Return what became of a file: ``refused`` if the same push would be again, ``failed`` if it need not be."""
    from modelyard.cli.terminal.remedies.exit_codes import REFUSED, USAGE
    from modelyard.client.transfers.push_results import PushSucceeded

    if isinstance(result, PushSucceeded):
        return result.outcome
    return "refused" if get_exit_code(result) in (REFUSED, USAGE) else "failed"


def get_exit_code(result: PushResult) -> int:
    """Return 0 for a success, else the exit code of the failure."""
    from modelyard.cli.terminal.errors import explain_failure
    from modelyard.cli.terminal.remedies.exit_codes import OTHER
    from modelyard.client.transfers.push_results import PushSucceeded

    if isinstance(result, PushSucceeded):
        return 0
    explanation = explain_failure(result.error)
    return OTHER if explanation is None else explanation.exit_code


def build_document(result: PushResult) -> dict[str, object]:
    """Return the JSON object of a file's result; its ``error`` is None for a success or an unknown class of error."""
    from modelyard.cli.terminal.errors import explain_failure
    from modelyard.client.transfers.push_results import PushSucceeded

    if isinstance(result, PushSucceeded):
        picture = result.picture
        return {
            "file": str(result.file),
            "outcome": result.outcome,
            "model": result.model,
            "version": result.version,
            "version_status": result.version_status,
            "preview": None if picture is None else {"file": str(picture.file), "error": picture.error},
            "sidecar": None if result.sidecar is None else str(result.sidecar),
            "ignored": result.ignored,
            "error": None,
        }
    explanation = explain_failure(result.error)
    error = None if explanation is None else explanation.facts
    return {"file": str(result.file), "outcome": "failed", "model": None, "version": None, "error": error}


def get_next_version(result: PushResult) -> int | None:
    """Return the number of the version that a file could become; None if it was not refused for its path.

    Also None for a file whose name files of many models have: the model at the path is probably another one.
    """
    from modelyard.client.transfers.push_results import PushFailed
    from modelyard.wire.problems import ModelPathTaken

    if isinstance(result, PushFailed) and isinstance(result.error, ModelPathTaken):
        facts = result.error.facts
        newest = None if facts.get("own_path") or facts.get("own_folder") else facts.get("version")
        return newest + 1 if isinstance(newest, int) else None
    return None


def build_question(terminal: Terminal, result: PushResult) -> str:
    """Return the question whether a file becomes the next version of the model for which it was refused.

    If it is the same as an earlier version, the question has the command that goes back to that one.
    """
    from modelyard.client.transfers.push_results import PushFailed
    from modelyard.wire.problems import Problem

    facts = result.error.facts if isinstance(result, PushFailed) and isinstance(result.error, Problem) else {}
    name, path = escape_unprintable(result.file.name), str(facts.get("model_path", ""))
    upload = f"as version {get_next_version(result)} of {escape_unprintable(format_model_path(path))}?"
    if (same := facts.get("same_version")) is None:
        return f"Upload {name} {upload}"
    back = terminal.format_command("rollback", shorten_path(path), "--to", same)
    return f"{name} is the same as version {same}. To go back to that one: {back}\nUpload it {upload}"
