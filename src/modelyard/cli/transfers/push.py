"""``push``: upload files and register them as models."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelyard.cli.terminal.completion import complete_model
from modelyard.cli.terminal.model_details import (
    AuthorOption,
    BaseModelOption,
    LicenseOption,
    TriggerWordsOption,
    split_tags,
    split_words,
    warn_of_near_miss,
)
from modelyard.cli.terminal.new_types import NewType, confirm_new_types
from modelyard.cli.terminal.terminal import Terminal, terminal_of
from modelyard.cli.transfers.options import MOST_JOBS, GiveUpAfter, LimitRate, PushSettings, build_network
from modelyard.cli.transfers.push_output import (
    build_document,
    build_question,
    get_exit_code,
    get_next_version,
    print_result,
    print_summary,
    report_rejected,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from modelyard.client.api.registry import RegistryApi
    from modelyard.client.transfers.collect import ModelOverrides, PushRequest, RejectedFile
    from modelyard.client.transfers.push_results import PushResult

Name = Annotated[
    str | None, typer.Option(help="A display name; by default the file's name, or that of the model at the path.")
]
Label = Annotated[list[str] | None, typer.Option(help="Only machines with this label get it; may be repeated.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the registry has verified the files.")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, max=MOST_JOBS, help="Files that are read or sent at once.")]
Type = Annotated[
    str | None,
    typer.Option(
        "--type", help="The ComfyUI models folder, such as loras; by default from the file's folder or content."
    ),
]
Sidecars = Annotated[
    bool,
    typer.Option(
        "--sidecars/--no-sidecars", help="Send the pictures, .civitai.info and .metadata.json beside the files too."
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="MODEL",
        help="Upload as the next version of this model: an id, path or name.",
        autocompletion=complete_model,
    ),
]
CleanNames = Annotated[
    bool, typer.Option("--clean-names", help="Replace an invalid file name with the nearest valid one.")
]
AsFolder = Annotated[
    bool, typer.Option("--as-folder", help="Push a folder as one model, without its hidden and empty files.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check files, show what would be done; change and send nothing.")
]
Replace = Annotated[
    bool,
    typer.Option("--replace", help="If a model is at the same path, upload as its next version without asking."),
]


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(push)


def push(
    context: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files, folders (all models below), patterns.")],
    model_type: Type = None,
    path: Annotated[
        str | None,
        typer.Option(help="The path on machines: models/<type>/<file>, or a folder that ends with a slash."),
    ] = None,
    name: Name = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag, or several with commas; may be repeated.")] = None,
    description: Annotated[str | None, typer.Option(help="Free text.")] = None,
    license_name: LicenseOption = None,
    author: AuthorOption = None,
    source_url: Annotated[str | None, typer.Option(help="Where it came from.")] = None,
    base_model: BaseModelOption = None,
    trigger_words: TriggerWordsOption = None,
    label: Label = None,
    to: To = None,
    note: Annotated[str | None, typer.Option(help="What is new in this version.")] = None,
    replace: Replace = False,
    new_type: NewType = False,
    clean_names: CleanNames = False,
    as_folder: AsFolder = False,
    dry_run: DryRun = False,
    limit_rate: LimitRate = None,
    give_up_after: GiveUpAfter = None,
    jobs: Jobs = 4,
    wait: Wait = True,
    sidecars: Sidecars = True,
) -> None:
    """Push model files into the team's registry.

    Content that the team has already is not sent, nor are files that are no whole model by their first bytes,
    header and length. After an interruption, the same command continues where it stopped.
    A file at the path of a model that has other content becomes its next version: asked for on a terminal, else refused
    without --replace or --to. A picture with the file's name (ink.preview.png, ink.jpg, ...) becomes its preview. The
    exit code is the highest of all files.

    Examples: modelyard push ink.safetensors --type loras --tag portrait; modelyard push ~/ComfyUI/models/loras;
    modelyard push ink-2000.safetensors --to ink --note "2,000 steps"; modelyard push sdxl-base --as-folder
    """
    from modelyard.client.transfers.collect import ModelOverrides, Notes

    details: dict[str, Any] = {
        "description": description,
        "tags": None if tag is None else split_tags(tag),
        "license": license_name or None,
        "author": author or None,
        "source_url": source_url,
        "base_model": base_model or None,
        "trigger_words": split_words(trigger_words) if trigger_words else None,
        "required_labels": label,
    }
    notes = Notes(**{field: value for field, value in details.items() if value is not None})
    overrides = ModelOverrides(model_type, path, name, notes, replace, clean_names, note)
    terminal = terminal_of(context)
    warn_of_near_miss(terminal.output, base_model)
    network = build_network(terminal, limit_rate, give_up_after)
    settings = PushSettings(jobs, wait, network, new_type, sidecars, as_folder, dry_run)
    raise typer.Exit(_run(terminal, files, overrides, to, settings))


def _run(
    terminal: Terminal, files: Sequence[str], overrides: ModelOverrides, to: str | None, settings: PushSettings
) -> int:
    """Push what the arguments name, or print what that would do, and return the exit code. Raises as ``_select``.

    Asks first if a type is new to the team.
    """
    if settings.as_folder:
        from modelyard.cli.transfers.push_folder import run_folder_push

        return run_folder_push(terminal, _select_folder(terminal, files, overrides, to), settings)
    from modelyard.client.transfers.collect import PushRequest

    selected = _select(terminal, files, overrides, to)
    confirm_new_types(
        terminal,
        [each.model_type for each in selected if isinstance(each, PushRequest)],
        is_accepted=settings.accepts_new_types,
        is_dry_run=settings.dry_run,
    )
    if settings.dry_run:
        from modelyard.cli.transfers.push_plan import print_file_plans

        return print_file_plans(terminal, selected, sidecars=settings.sidecars)
    return _push_files(terminal, selected, settings)


def _select(
    terminal: Terminal, files: Sequence[str], overrides: ModelOverrides, to: str | None
) -> Sequence[PushRequest | RejectedFile]:
    """Return the push requests and rejected files of the arguments; with ``to``, one for a version of that model.

    Raises:
        BadParameter: ``to`` is given together with a type or path.
        NothingToPush: see ``select_files`` and ``select_version_file``.
        ModelNotFound, ModelAmbiguous: see ``find_model``.
    """
    from modelyard.client.transfers.collect import select_files, select_version_file

    if to is None:
        return select_files(files, overrides)
    return [_build_version_request(terminal, select_version_file(files), overrides, to)]


def _select_folder(
    terminal: Terminal, arguments: Sequence[str], overrides: ModelOverrides, to: str | None
) -> PushRequest:
    """Return the push request of the only folder among the arguments; with ``to``, as a version of that model.

    Raises:
        BadParameter, NothingToPush, ModelNotFound, ModelAmbiguous: see ``_select``.
        TypeUnknown, NameInvalid, ModelPathInvalid: see ``build_model_request``.
    """
    from modelyard.client.transfers.collect import build_model_request, select_folder

    folder = select_folder(arguments)
    if to is None:
        return build_model_request(folder, overrides)
    return _build_version_request(terminal, folder, overrides, to)


def _build_version_request(terminal: Terminal, file: Path, overrides: ModelOverrides, to: str) -> PushRequest:
    """Find the model, and return the push request of a file or folder as its next version. Raises as ``_select``."""
    from modelyard.client.resolve_models import find_model
    from modelyard.client.transfers.collect import build_version_request

    if overrides.model_type or overrides.model_path or overrides.clean_names:
        raise typer.BadParameter(
            "A new version stays at the path of its model: leave out --type, --path, --clean-names."
        )
    model = terminal.call_registry(lambda registry: find_model(registry, to))
    return build_version_request(file, model, overrides)


def _push_files(terminal: Terminal, selected: Sequence[PushRequest | RejectedFile], settings: PushSettings) -> int:
    """Push the files that are not rejected, print the result of each file, and return the highest exit code.

    On a terminal, files at the path of a model with other content are asked
    for once the others are done, and those that are confirmed are pushed as next versions.
    """
    from modelyard.client.transfers.collect import PushRequest

    requests = [each for each in selected if isinstance(each, PushRequest)]
    started = time.monotonic()
    results: list[PushResult] = list(report_rejected(terminal, selected))
    can_ask = terminal.can_ask
    if requests:
        pushed = _push_requests(terminal, requests, settings, asks=can_ask)
        taken = [result for result in pushed if can_ask and get_next_version(result) is not None]
        results += [result for result in pushed if result not in taken]
        results += _push_confirmed(terminal, requests, taken, settings)
    print_summary(terminal, results, time.monotonic() - started)
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
        if typer.confirm(build_question(terminal, result), err=True):
            confirmed += [dataclasses.replace(each, replace=True) for each in requests if each.file == result.file]
        else:
            refused.append(result)
            print_result(terminal, result)
    return refused + (_push_requests(terminal, confirmed, settings, asks=False) if confirmed else [])


def _push_requests(
    terminal: Terminal, requests: Sequence[PushRequest], settings: PushSettings, *, asks: bool
) -> list[PushResult]:
    """Push files with a progress display, and return their results in order.

    Each is printed; with ``asks``, not those of files that could become a next version.
    """
    from modelyard.cli.terminal.progress import show_progress
    from modelyard.client.transfers.batch import push_all
    from modelyard.client.transfers.push import Pusher, PushOptions

    sizes = {each.file: each.file.stat().st_size for each in requests if each.file.exists()}

    async def push_requests(registry: RegistryApi) -> list[PushResult]:
        """Push the files with a progress display, and return their results in order."""
        with show_progress(terminal.output) as view:
            view.expect(sizes)
            options = PushOptions(settings.wait, settings.sidecars, settings.network, settings.jobs)
            pusher = Pusher(registry, terminal.settings, view.show, options)

            def report_result(result: PushResult) -> None:
                """Remove a file that is done from the display, and print its result."""
                view.remove(result.file)
                if not (asks and get_next_version(result) is not None):
                    view.print_above(lambda: print_result(terminal, result))

            return await push_all(pusher, requests, report_result)

    return terminal.call_registry(push_requests, retry_until_give_up=True)
