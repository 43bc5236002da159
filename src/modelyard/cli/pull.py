"""``pull``: models become files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.models import ModelNames
from modelyard.cli.rate import LimitRate, network_of
from modelyard.cli.terminal import terminal_of
from modelyard.cli.words import size_words

if TYPE_CHECKING:
    from modelyard.client.pull import Pulled
    from modelyard.client.registry import Registry


def add_to(app: typer.Typer) -> None:
    app.command()(pull)


def pull(
    context: typer.Context,
    models: ModelNames,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="The folder to put files into.")
    ] = Path(),
    tree: Annotated[
        bool, typer.Option("--tree", help="Put each at its model path below DIR, as below ComfyUI/models.")
    ] = False,
    limit_rate: LimitRate = None,
    force: Annotated[bool, typer.Option("--force", help="Replace other files of the same name.")] = False,
) -> None:
    """Pull models onto this machine, verified by their hash.

    A file that is here already is not fetched again; after an interruption, the same command goes on where it stopped.

    Examples: modelyard pull ink; modelyard pull loras/ink.safetensors -o ~/ComfyUI/models --tree
    """
    from modelyard.cli.progress import drawing
    from modelyard.client.lookup import find_model
    from modelyard.client.pull import Destination
    from modelyard.client.pull import pull as pulled

    terminal = terminal_of(context)
    network = network_of(limit_rate)
    destination = Destination(output, tree, force)

    async def work(registry: Registry) -> list[Pulled]:
        found = [await find_model(registry, name) for name in models]
        results: list[Pulled] = []
        with drawing(terminal.output) as picture:
            for model in found:
                results.append(await pulled(registry, model, destination, picture.hear, network))
                picture.forget(results[-1].file)
        return results

    results = terminal.ask(work, patiently=True)
    terminal.output.answer(
        document={"files": [{"file": each.file, "outcome": each.outcome, "model": each.model} for each in results]},
        lines=[f"{each.outcome}  {each.file}  {size_words(each.model.file_size)}" for each in results],
        quiet=[str(each.file) for each in results],
    )
