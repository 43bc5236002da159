"""``pull``: download models to files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal.formatting import format_size
from modelyard.cli.terminal.terminal import terminal_of
from modelyard.cli.transfers.options import GiveUpAfter, LimitRate, build_network

if TYPE_CHECKING:
    from modelyard.client.api.registry import Registry
    from modelyard.client.transfers.pull import Pulled
    from modelyard.wire.models import Model

ModelVersions = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL[@N]...", help="Ids, paths, or names that only one model has; MODEL@3 is version 3 of it."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(pull)


def pull(
    context: typer.Context,
    models: ModelVersions,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder for the files; by default this one.")
    ] = Path(),
    tree: Annotated[
        bool, typer.Option("--tree", help="Place each at its model path below DIR, as below ComfyUI/models.")
    ] = False,
    limit_rate: LimitRate = None,
    give_up_after: GiveUpAfter = None,
    force: Annotated[bool, typer.Option("--force", help="Replace other files of the same name.")] = False,
) -> None:
    """Download models to this machine, and check their hashes.

    A file that is here already is not downloaded again. After an interruption, the same command continues where it
    stopped.

    Examples: modelyard pull ink; modelyard pull ink@2 -o old;
    modelyard pull loras/ink.safetensors -o ~/ComfyUI/models --tree
    """
    from modelyard.cli.terminal.progress import show_progress
    from modelyard.client.resolve_models import find_model_version
    from modelyard.client.transfers.pull import Destination
    from modelyard.client.transfers.pull import pull as pull_model

    terminal = terminal_of(context)
    network = build_network(terminal, limit_rate, give_up_after)
    destination = Destination(output, tree, force)

    async def pull_all(registry: Registry) -> list[Pulled]:
        """Find all models first, then download them one by one; the first failure ends it."""
        found = [await find_model_version(registry, name) for name in models]
        results: list[Pulled] = []
        with show_progress(terminal.output) as view:
            for model in found:
                results.append(await pull_model(registry, model, destination, view.show, network))
                view.remove(results[-1].file)
        return results

    results = terminal.call_registry(pull_all, retry_until_give_up=True)
    terminal.output.answer(
        document={"files": [{"file": each.file, "outcome": each.outcome, "model": each.model} for each in results]},
        lines=[f"{each.outcome}  {each.file}  {_format_version(each.model)}" for each in results],
        quiet=[str(each.file) for each in results],
    )


def _format_version(model: Model) -> str:
    """Return the size of a file, and its version if the model has had several."""
    size = format_size(model.file_size)
    return size if model.version == model.version_count == 1 else f"{size}, version {model.version}"
