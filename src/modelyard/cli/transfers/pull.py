"""``pull``: download models to files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal.completion import complete_model
from modelyard.cli.terminal.formatting import format_content_size, format_model_path, quote_word
from modelyard.cli.terminal.terminal import Terminal, terminal_of
from modelyard.cli.transfers.options import MOST_JOBS, GiveUpAfter, LimitRate, build_network
from modelyard.cli.transfers.summary import format_summary
from modelyard.comfyui.quoting import quoted
from modelyard.wire.formats import find_format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelyard.cli.terminal.errors import Explanation
    from modelyard.client.api.registry import RegistryApi
    from modelyard.client.transfers.pull import Destination, PullFailed, PullResult
    from modelyard.wire.models import Model

ModelVersions = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL[@N]...",
        help="Ids, paths, or names that only one model has; MODEL@3 is version 3 of it.",
        autocompletion=complete_model,
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        max=MOST_JOBS,
        help="Files of up to 32 MiB that are downloaded at once.",
    ),
]


def _explain_folder_needed(output: str) -> str:
    """Return that the output names one file, and how to name a folder instead."""
    folder = quote_word(f"{output}/")
    return f"{quoted(output)} is the name of one file. For a folder of that name, end it with a slash: -o {folder}"


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(pull)


def pull(
    context: typer.Context,
    models: ModelVersions,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR|FILE",
            help="The folder for the files, or for one model a file such as new.safetensors; by default this folder.",
            show_default=False,
        ),
    ] = "",
    tree: Annotated[
        bool, typer.Option("--tree", help="Place each at its model path below DIR, as below ComfyUI/models.")
    ] = False,
    limit_rate: LimitRate = None,
    give_up_after: GiveUpAfter = None,
    force: Annotated[bool, typer.Option("--force", help="Replace other files and models of the same name.")] = False,
    jobs: Jobs = 4,
) -> None:
    """Download models to this machine, and check their hashes.

    A file that is here already is not downloaded again. After an interruption, the same command continues where it
    stopped. A model of many files becomes a folder, which appears whole or not at all.

    Examples: modelyard pull ink; modelyard pull ink@2 -o old/; modelyard pull ink@2 -o ink-old.safetensors;
    modelyard pull loras/ink.safetensors -o ~/ComfyUI/models --tree
    """
    from modelyard.cli.terminal.progress import show_progress
    from modelyard.client.resolve_models import find_model_versions
    from modelyard.client.transfers.pull import PullOptions, pull_all

    terminal = terminal_of(context)
    options = PullOptions(build_network(terminal, limit_rate, give_up_after), jobs)
    destination = _build_destination(output, models, tree=tree, force=force)

    async def pull_models(registry: RegistryApi) -> list[PullResult]:
        """Find all models, then download them; a folder model that was to be one file raises BadParameter."""
        found = await find_model_versions(registry, models)
        if destination.file_name is not None and found[0].is_folder:
            raise typer.BadParameter(_explain_folder_needed(output))
        with show_progress(terminal.output) as view:
            view.expect({destination.get_file(model): model.content_size for model in found})
            return await pull_all(
                registry,
                found,
                destination,
                view.show,
                lambda result: view.remove(destination.get_file(result.model)),
                options,
            )

    started = time.monotonic()
    results = terminal.call_registry(pull_models, retry_until_give_up=True)
    _print_results(terminal, list(zip(models, results, strict=True)), time.monotonic() - started)


def _build_destination(output: str, models: list[str], *, tree: bool, force: bool) -> Destination:
    """Return where the models are placed: in a folder, or one of them as a file.

    Raises:
        BadParameter: ``output`` is the name of a file, but there are several models, or ``tree`` needs a folder.
    """
    from modelyard.client.transfers.pull import Destination

    if not names_file(output):
        return Destination(Path(output), tree, force)
    if tree or len(models) > 1:
        raise typer.BadParameter(_explain_folder_needed(output))
    return Destination(Path(output).parent, tree, force, Path(output).name)


def _print_results(terminal: Terminal, results: Sequence[tuple[str, PullResult]], seconds: float) -> None:
    """Print the files that are here now and, of several models, each that failed and a summary.

    Each result is with the name that was typed. The failure of a single model is raised as it is.

    Raises:
        Exit: some of several failed; with the highest exit code of these failures.
    """
    from modelyard.client.transfers.pull import Pulled, PullFailed

    if len(results) == 1 and isinstance(results[0][1], PullFailed):
        raise results[0][1].error
    failures = {
        at: _print_failure(terminal, name, each)
        for at, (name, each) in enumerate(results)
        if isinstance(each, PullFailed)
    }
    pulled = [each for _, each in results if isinstance(each, Pulled)]
    terminal.output.answer(
        document={"files": [_build_document(each, failures.get(at)) for at, (_, each) in enumerate(results)]},
        lines=[f"{each.outcome}  {each.file}  {_format_version(each.model)}" for each in pulled],
        quiet=[str(each.file) for each in pulled],
    )
    for each in pulled:
        if each.kept is not None:
            terminal.output.note(f'The folder that was there is no version of this model. It is kept: "{each.kept}".')
    sizes = [each.model.content_size for each in pulled if each.outcome == "pulled"]
    outcomes = [each.outcome for each in pulled] + ["not pulled"] * len(failures)
    summary = format_summary(outcomes, sum(sizes), seconds)
    if summary is not None:
        terminal.output.note(summary)
    if failures:
        raise typer.Exit(max(each.exit_code for each in failures.values()))


def _print_failure(terminal: Terminal, name: str, failed: PullFailed) -> Explanation:
    """Print why one of several models was not pulled, with remedies for it alone, and return that.

    Raises:
        Exception: the failure itself, if it is a bug.
    """
    from modelyard.cli.terminal.errors import explain_failure

    typed = terminal.read_typed()
    explanation = explain_failure(failed.error, None if typed is None else typed.select_argument(name))
    if explanation is None:
        raise failed.error
    path = format_model_path(failed.model.model_path)
    terminal.output.warn("\n  ".join([f"{path}: {explanation.sentence}", *explanation.fix]))
    return explanation


def _build_document(result: PullResult, explanation: Explanation | None) -> dict[str, object]:
    """Return the JSON object of a result; the explanation is that of a failure."""
    from modelyard.client.transfers.pull import Pulled

    if isinstance(result, Pulled):
        return {
            "file": result.file,
            "outcome": result.outcome,
            "model": result.model,
            "kept": result.kept,
            "error": None,
        }
    error = None if explanation is None else explanation.facts
    return {"file": None, "outcome": "failed", "model": result.model, "kept": None, "error": error}


def names_file(output: str) -> bool:
    """Return whether ``--output`` names a file: it ends with the extension of a model file, and is no folder yet."""
    return find_format(output) is not None and not Path(output).is_dir()


def _format_version(model: Model) -> str:
    """Return the size of a file or folder, and its version if the model has had several."""
    size = format_content_size(model)
    return size if model.version == model.version_count == 1 else f"{size}, version {model.version}"
