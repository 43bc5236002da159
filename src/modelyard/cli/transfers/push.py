"""``push``: upload files and register them as models."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from modelyard.cli.terminal.formatting import escape_unprintable, format_size
from modelyard.cli.terminal.new_types import NewType, confirm_new_types
from modelyard.cli.terminal.terminal import Terminal, terminal_of
from modelyard.cli.transfers.options import GiveUpAfter, LimitRate, build_network
from modelyard.cli.transfers.push_output import build_document, get_exit_code, print_result, report_rejected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelyard.client.api.registry import Registry
    from modelyard.client.transfers.collect import ModelOverrides, PushRequest, RejectedFile
    from modelyard.client.transfers.push import PushResult
    from modelyard.transfer.options import TransferOptions

_MOST_JOBS = 16

Name = Annotated[
    str | None, typer.Option(help="A display name; by default the file's name, or that of the model at the path.")
]
Label = Annotated[list[str] | None, typer.Option(help="Only machines with this label get it; may be repeated.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the registry has verified the files.")]
To = Annotated[
    str | None,
    typer.Option("--to", metavar="MODEL", help="Upload as the next version of this model: an id, path or name."),
]
Replace = Annotated[
    bool,
    typer.Option("--replace", help="If a model is at the same path, upload as its next version without asking."),
]


class PushSettings(NamedTuple):
    """How many files a push handles at once, whether it waits for verification, and its network options.

    ``accepts_new_types``: types that are new to the team are used without a question.
    """

    jobs: int
    wait: bool
    network: TransferOptions
    accepts_new_types: bool


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
    name: Name = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag; may be repeated.")] = None,
    description: Annotated[str | None, typer.Option(help="Free text.")] = None,
    license_name: Annotated[str | None, typer.Option("--license", help="A licence's name or SPDX id.")] = None,
    source_url: Annotated[str | None, typer.Option(help="Where it came from.")] = None,
    label: Label = None,
    to: To = None,
    note: Annotated[str | None, typer.Option(help="What is new in this version.")] = None,
    replace: Replace = False,
    new_type: NewType = False,
    clean_names: Annotated[
        bool, typer.Option("--clean-names", help="Replace an invalid file name with the nearest valid one.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; change and send nothing.")
    ] = False,
    limit_rate: LimitRate = None,
    give_up_after: GiveUpAfter = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=_MOST_JOBS, help="Files at once.")] = 2,
    wait: Wait = True,
) -> None:
    """Push model files into the team's registry.

    Content that the team has already is not sent. After an interruption, the same command continues where it stopped.
    A file at the path of a model that has other content becomes its next version: asked for on a terminal, else refused
    without --replace or --to. The exit code is the highest of all files.

    Examples: modelyard push ink.safetensors --type loras --tag portrait; modelyard push ~/ComfyUI/models/loras;
    modelyard push trained/ink-2000.safetensors --to ink --note "2,000 steps"
    """
    from modelyard.client.transfers.collect import ModelOverrides, Notes

    details: dict[str, Any] = {
        "description": description,
        "tags": tag,
        "license": license_name,
        "source_url": source_url,
        "required_labels": label,
    }
    notes = Notes(**{field: value for field, value in details.items() if value is not None})
    overrides = ModelOverrides(model_type, path, name, notes, replace, clean_names, note)
    terminal = terminal_of(context)
    settings = PushSettings(jobs, wait, build_network(terminal, limit_rate, give_up_after), new_type)
    selected = _select(terminal, files, overrides, to)
    raise typer.Exit(_print_dry_run(terminal, selected) if dry_run else _push_files(terminal, selected, settings))


def _select(
    terminal: Terminal, files: Sequence[str], overrides: ModelOverrides, to: str | None
) -> Sequence[PushRequest | RejectedFile]:
    """Return the push requests and rejected files of the arguments; with ``to``, one for a version of that model.

    Raises:
        BadParameter: ``to`` is given together with a type or path.
        NothingToPush: see ``select_files`` and ``select_version_file``.
        ModelNotFound, ModelAmbiguous: see ``find_model``.
    """
    from modelyard.client.resolve_models import find_model
    from modelyard.client.transfers.collect import build_version_request, select_files, select_version_file

    if to is None:
        return select_files(files, overrides)
    if overrides.model_type or overrides.model_path or overrides.clean_names:
        raise typer.BadParameter(
            "A new version stays at the path of its model: leave out --type, --path, --clean-names."
        )
    file = select_version_file(files)
    model = terminal.call_registry(lambda registry: find_model(registry, to))
    return [build_version_request(file, model, overrides)]


def _push_files(terminal: Terminal, selected: Sequence[PushRequest | RejectedFile], settings: PushSettings) -> int:
    """Push the files that are not rejected, print the result of each file, and return the highest exit code.

    Asks first if a type is new to the team. On a terminal, files at the path of a model with other content are asked
    for once the others are done, and those that are confirmed are pushed as next versions.
    """
    from modelyard.client.transfers.collect import PushRequest

    requests = [each for each in selected if isinstance(each, PushRequest)]
    confirm_new_types(terminal, [each.model_type for each in requests], is_accepted=settings.accepts_new_types)
    results: list[PushResult] = list(report_rejected(terminal, selected))
    can_ask = terminal.output.style != "json" and sys.stdin.isatty()
    if requests:
        pushed = _push_requests(terminal, requests, settings, asks=can_ask)
        taken = [result for result in pushed if can_ask and _get_next_version(result) is not None]
        results += [result for result in pushed if result not in taken]
        results += _push_confirmed(terminal, requests, taken, settings)
    if terminal.output.style == "json":
        terminal.output.answer(document={"files": [build_document(result) for result in results]}, lines=[])
    return max(get_exit_code(result) for result in results)


def _push_confirmed(
    terminal: Terminal, requests: Sequence[PushRequest], taken: Sequence[PushResult], settings: PushSettings
) -> list[PushResult]:
    """Ask for each file whose path is taken whether to upload it as the next version; push those, and print the others.

    Returns the results of all of them. Raises ``Abort`` if a question gets no answer.
    """
    confirmed: list[PushRequest] = []
    refused: list[PushResult] = []
    for result in taken:
        question = f"Upload {result.file.name} as version {_get_next_version(result)} of {_get_taken_path(result)}?"
        if typer.confirm(question, err=True):
            confirmed += [dataclasses.replace(each, replace=True) for each in requests if each.file == result.file]
        else:
            refused.append(result)
            print_result(terminal, result)
    return refused + (_push_requests(terminal, confirmed, settings, asks=False) if confirmed else [])


def _get_next_version(result: PushResult) -> int | None:
    """Return the number of the version that a file could become; None if it was not refused for its path."""
    from modelyard.client.transfers.push import PushFailed
    from modelyard.wire.problems import ModelPathTaken

    if isinstance(result, PushFailed) and isinstance(result.error, ModelPathTaken):
        newest = result.error.facts.get("version")
        return newest + 1 if isinstance(newest, int) else None
    return None


def _get_taken_path(result: PushResult) -> str:
    """Return the path of the model for which a file was refused, with unprintable characters escaped."""
    from modelyard.client.transfers.push import PushFailed
    from modelyard.wire.problems import Problem

    facts = result.error.facts if isinstance(result, PushFailed) and isinstance(result.error, Problem) else {}
    return escape_unprintable(str(facts.get("model_path", "")))


def _push_requests(
    terminal: Terminal, requests: Sequence[PushRequest], settings: PushSettings, *, asks: bool
) -> list[PushResult]:
    """Push files with a progress display, and return their results in order.

    Each is printed; with ``asks``, not those of files that could become a next version.
    """
    from modelyard.cli.terminal.progress import show_progress
    from modelyard.client.transfers.batch import push_all
    from modelyard.client.transfers.push import Pusher

    async def push_requests(registry: Registry) -> list[PushResult]:
        """Push the files with a progress display, and return their results in order."""
        with show_progress(terminal.output) as view:
            pusher = Pusher(registry, terminal.settings, view.show, wait=settings.wait, network=settings.network)

            def report_result(result: PushResult) -> None:
                """Remove a file that is done from the display, and print its result."""
                view.remove(result.file)
                if not (asks and _get_next_version(result) is not None):
                    view.print_above(lambda: print_result(terminal, result))

            return await push_all(pusher, requests, settings.jobs, report_result)

    return terminal.call_registry(push_requests, retry_until_give_up=True)


def _print_dry_run(terminal: Terminal, selected: Sequence[PushRequest | RejectedFile]) -> int:
    """Print what a push would do with each file, and return the exit code that its checks and rejected files give."""
    from modelyard.client.transfers.dry_run import plan_push

    plans = terminal.call_registry(lambda registry: plan_push(registry, terminal.settings, selected))
    failed = report_rejected(terminal, selected)
    terminal.output.answer(
        document={"plan": [plan._asdict() for plan in plans], "files": [build_document(result) for result in failed]},
        lines=[
            f"would {plan.action}  {plan.file}  as {plan.model_path}  ({plan.model_type}, {format_size(plan.size)})"
            for plan in plans
        ],
        quiet=[plan.model_path for plan in plans],
    )
    codes = [get_exit_code(result) for result in failed] + [4 for plan in plans if plan.is_refused]
    return max(codes, default=0)
