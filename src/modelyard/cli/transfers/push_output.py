"""Text, JSON and exit codes of the results of a push."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelyard.cli.terminal.formatting import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.transfers.collect import PushRequest, RejectedFile
    from modelyard.client.transfers.push import PushFailed, PushResult


def report_rejected(terminal: Terminal, selected: Sequence[PushRequest | RejectedFile]) -> list[PushFailed]:
    """Print why the rejected files among ``selected`` cannot be pushed, and return their results."""
    from modelyard.client.transfers.collect import RejectedFile
    from modelyard.client.transfers.push import PushFailed

    results = [PushFailed(each.file, each.error) for each in selected if isinstance(each, RejectedFile)]
    for result in results:
        print_result(terminal, result)
    return results


def print_result(terminal: Terminal, result: PushResult) -> None:
    """Print a success on standard output (not with --json), or a failure and its remedies on standard error.

    An error that is a bug is raised.
    """
    from modelyard.cli.terminal.errors import explain_failure
    from modelyard.client.transfers.push import PushFailed, PushSucceeded

    match result:
        case PushFailed(file, error):
            explanation = explain_failure(error)
            if explanation is None:
                raise error
            terminal.output.warn("\n  ".join([f"{file}: {explanation.sentence}", *explanation.fix]))
        case PushSucceeded(_, outcome, model, version, status, size) if terminal.output.style != "json":
            number = "" if version == 1 else f", version {version}"
            state = "" if status == "current" else f", {status}"
            line = f"{outcome}  {model.model_path}  {format_size(size)}{number}{state}  {model.id}"
            terminal.output.answer(document=None, lines=[line], quiet=[str(model.id)])


def get_exit_code(result: PushResult) -> int:
    """Return 0 for a success, else the exit code of the failure."""
    from modelyard.cli.terminal.errors import OTHER, explain_failure
    from modelyard.client.transfers.push import PushSucceeded

    if isinstance(result, PushSucceeded):
        return 0
    explanation = explain_failure(result.error)
    return OTHER if explanation is None else explanation.exit_code


def build_document(result: PushResult) -> dict[str, object]:
    """Return the JSON object of a file's result; its ``error`` is None for a success or an unknown class of error."""
    from modelyard.cli.terminal.errors import explain_failure
    from modelyard.client.transfers.push import PushSucceeded

    if isinstance(result, PushSucceeded):
        return {
            "file": str(result.file),
            "outcome": result.outcome,
            "model": result.model,
            "version": result.version,
            "version_status": result.version_status,
            "error": None,
        }
    explanation = explain_failure(result.error)
    error = None if explanation is None else explanation.facts
    return {"file": str(result.file), "outcome": "failed", "model": None, "version": None, "error": error}
