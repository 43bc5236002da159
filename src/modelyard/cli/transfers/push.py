"""``push``: upload files and register them as models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from modelyard.cli.terminal.formatting import format_size
from modelyard.cli.terminal.terminal import Terminal, terminal_of
from modelyard.cli.transfers.options import GiveUpAfter, LimitRate, build_network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelyard.client.api.registry import Registry
    from modelyard.client.transfers.collect import PushRequest, RejectedFile
    from modelyard.client.transfers.push import PushFailed, PushResult
    from modelyard.transfer.options import TransferOptions

_MOST_JOBS = 16


class PushSettings(NamedTuple):
    """How many files a push handles at once, whether it waits for verification, and its network options."""

    jobs: int
    wait: bool
    network: TransferOptions


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(push)


def push(
    context: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files, folders (all models below), patterns.")],
    model_type: Annotated[
        str | None,
        typer.Option(
            "--type", help="The ComfyUI models folder, such as loras; by default from the file's folder or content."
        ),
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(help="The path on machines: models/<type>/<file>, or a folder that ends with a slash."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="A display name; by default the file's name.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag; may be repeated.")] = None,
    description: Annotated[str | None, typer.Option(help="Free text.")] = None,
    license_name: Annotated[str | None, typer.Option("--license", help="A licence's name or SPDX id.")] = None,
    source_url: Annotated[str | None, typer.Option(help="Where it came from.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Only machines with this label get it; may be repeated.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace a model at the same path.")] = False,
    clean_names: Annotated[
        bool, typer.Option("--clean-names", help="Replace an invalid file name with the nearest valid one.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; change and send nothing.")
    ] = False,
    limit_rate: LimitRate = None,
    give_up_after: GiveUpAfter = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=_MOST_JOBS, help="Files at once.")] = 2,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until the registry has verified the files.")
    ] = True,
) -> None:
    """Push model files into the team's registry.

    Content that the team has already is not sent. After an interruption, the same command continues where it stopped.
    The exit code is the highest of all files.

    Examples: modelyard push ink.safetensors --type loras --tag portrait; modelyard push ~/ComfyUI/models/loras
    """
    from modelyard.client.transfers.collect import ModelOverrides, Notes, select_files

    details: dict[str, Any] = {
        "description": description,
        "tags": tag,
        "license": license_name,
        "source_url": source_url,
        "required_labels": label,
    }
    notes = Notes(**{field: value for field, value in details.items() if value is not None})
    overrides = ModelOverrides(model_type, path, name, notes, replace, clean_names)
    selected = select_files(files, overrides)
    terminal = terminal_of(context)
    settings = PushSettings(jobs, wait, build_network(terminal, limit_rate, give_up_after))
    raise typer.Exit(_print_dry_run(terminal, selected) if dry_run else _push_files(terminal, selected, settings))


def _push_files(terminal: Terminal, selected: Sequence[PushRequest | RejectedFile], settings: PushSettings) -> int:
    """Push the files that are not rejected, print the result of each file, and return the highest exit code."""
    from modelyard.cli.terminal.progress import show_progress
    from modelyard.client.transfers.batch import push_all
    from modelyard.client.transfers.collect import PushRequest
    from modelyard.client.transfers.push import Pusher

    requests = [each for each in selected if isinstance(each, PushRequest)]
    results: list[PushResult] = list(_report_rejected(terminal, selected))

    async def push_requests(registry: Registry) -> list[PushResult]:
        """Push the files with a progress display, and return their results in order."""
        with show_progress(terminal.output) as view:
            pusher = Pusher(registry, terminal.settings, view.show, wait=settings.wait, network=settings.network)

            def print_result(result: PushResult) -> None:
                """Remove a file that is done from the display, and print its result."""
                view.remove(result.file)
                view.print_above(lambda: _print_result(terminal, result))

            return await push_all(pusher, requests, settings.jobs, print_result)

    if requests:
        results += terminal.call_registry(push_requests, retry_until_give_up=True)
    if terminal.output.style == "json":
        terminal.output.answer(document={"files": [_build_document(result) for result in results]}, lines=[])
    return max(_get_exit_code(result) for result in results)


def _report_rejected(terminal: Terminal, selected: Sequence[PushRequest | RejectedFile]) -> list[PushFailed]:
    """Print why the rejected files among ``selected`` cannot be pushed, and return their results."""
    from modelyard.client.transfers.collect import RejectedFile
    from modelyard.client.transfers.push import PushFailed

    results = [PushFailed(each.file, each.error) for each in selected if isinstance(each, RejectedFile)]
    for result in results:
        _print_result(terminal, result)
    return results


def _print_result(terminal: Terminal, result: PushResult) -> None:
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
        case PushSucceeded(_, outcome, model) if terminal.output.style != "json":
            state = "" if model.verification == "verified" else f", {model.verification}"
            line = f"{outcome}  {model.model_path}  {format_size(model.file_size)}{state}  {model.id}"
            terminal.output.answer(document=None, lines=[line], quiet=[str(model.id)])


def _get_exit_code(result: PushResult) -> int:
    """Return 0 for a success, else the exit code of the failure."""
    from modelyard.cli.terminal.errors import OTHER, explain_failure
    from modelyard.client.transfers.push import PushSucceeded

    if isinstance(result, PushSucceeded):
        return 0
    explanation = explain_failure(result.error)
    return OTHER if explanation is None else explanation.exit_code


def _build_document(result: PushResult) -> dict[str, object]:
    """Return the JSON object of a file's result; its ``error`` is None for a success or an unknown class of error."""
    from modelyard.cli.terminal.errors import explain_failure
    from modelyard.client.transfers.push import PushSucceeded

    if isinstance(result, PushSucceeded):
        return {"file": str(result.file), "outcome": result.outcome, "model": result.model, "error": None}
    explanation = explain_failure(result.error)
    error = None if explanation is None else explanation.facts
    return {"file": str(result.file), "outcome": "failed", "model": None, "error": error}


def _print_dry_run(terminal: Terminal, selected: Sequence[PushRequest | RejectedFile]) -> int:
    """Print what a push would do with each file, and return the exit code that its checks and rejected files give."""
    from modelyard.client.transfers.dry_run import plan_push

    plans = terminal.call_registry(lambda registry: plan_push(registry, terminal.settings, selected))
    failed = _report_rejected(terminal, selected)
    terminal.output.answer(
        document={"plan": [plan._asdict() for plan in plans], "files": [_build_document(result) for result in failed]},
        lines=[
            f"would {plan.action}  {plan.file}  as {plan.model_path}  ({plan.model_type}, {format_size(plan.size)})"
            for plan in plans
        ],
        quiet=[plan.model_path for plan in plans],
    )
    codes = [_get_exit_code(result) for result in failed] + [4 for plan in plans if plan.is_refused]
    return max(codes, default=0)
