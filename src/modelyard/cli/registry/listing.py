"""Print the objects of ``ls`` and ``show`` commands, and change objects that are given by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import typer

from modelyard.cli.terminal.formatting import format_fields, format_model_path
from modelyard.cli.terminal.table import Column, format_table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.models import Model

Item = TypeVar("Item")


@dataclass(frozen=True)
class ListFormat(Generic[Item]):
    """How a list of objects is printed: as a table for people, in a field of a JSON document, or as ids alone."""

    json_field: str
    headings: Sequence[str | Column]
    build_row: Callable[[Item], Sequence[str]]
    get_id: Callable[[Item], object]
    empty_text: str


def print_list(
    terminal: Terminal, items: Sequence[Item], layout: ListFormat[Item], facts: Mapping[str, object] | None = None
) -> None:
    """Print objects as a table, or the text for an empty list; ``facts`` are further fields of the JSON document."""
    rows = [layout.build_row(item) for item in items]
    terminal.output.answer(
        document={layout.json_field: items} | dict(facts or {}),
        lines=format_table(layout.headings, rows, terminal.output.width) if rows else [layout.empty_text],
        quiet=[str(layout.get_id(item)) for item in items],
    )


def print_details(terminal: Terminal, item: object, item_id: object, pairs: Sequence[tuple[str, str]]) -> None:
    """Print one object as ``name  value`` lines, as JSON, or as its id alone; pairs without a value are omitted."""
    terminal.output.answer(document=item, lines=format_fields(pairs), quiet=[str(item_id)])


def find_and_change(
    terminal: Terminal,
    find: Callable[[RegistryApi], Awaitable[Item]],
    change: Callable[[RegistryApi, Item], Awaitable[object]],
) -> Item:
    """Find an object, apply a change to it, and return the object as it was before; prints nothing."""

    async def run(registry: RegistryApi) -> Item:
        """Find and change the object with one registry client."""
        item = await find(registry)
        await change(registry, item)
        return item

    return terminal.call_registry(run)


def change_each(
    terminal: Terminal,
    models: Sequence[Model],
    change: Callable[[RegistryApi, Model], Awaitable[object]],
    describe: Callable[[str], str],
    note_done: Callable[[Sequence[Model]], None] = lambda _models: None,
) -> None:
    """Apply a change to each model, and print what ``describe`` returns for the path of each that was changed.

    Those that failed are printed on standard error, with the reason. A model that the registry refuses to change does
    not end it, a lost connection or an invalid sign-in does: the models after it are printed as not tried.
    ``note_done`` prints what follows for those that were changed. The error of a single model is raised as it is.

    Raises:
        Exit: a change of several failed; with the highest code of these failures.
    """

    def print_changed(model: Model) -> None:
        """Print a model at once, since the command may be interrupted; the JSON document follows at the end."""
        if terminal.output.style != "json":
            terminal.output.answer(
                document=None, lines=[describe(format_model_path(model.model_path))], quiet=[str(model.id)]
            )

    done, failed = terminal.call_registry(lambda registry: _try_each(registry, models, change, print_changed))
    codes, errors = _print_failures(terminal, failed)
    not_tried = models[len(done) + len(failed) :]
    if not_tried:
        terminal.output.warn("Not tried: " + ", ".join(format_model_path(model.model_path) for model in not_tried))
    if done:
        note_done(done)
    if terminal.output.style == "json":
        ids = {"model_ids": [each.id for each in done], "not_tried_ids": [each.id for each in not_tried]}
        terminal.output.answer(document={"is_success": not failed} | ids | {"failed_list": errors}, lines=[])
    if failed:
        raise typer.Exit(max(codes))


async def _try_each(
    registry: RegistryApi,
    models: Sequence[Model],
    change: Callable[[RegistryApi, Model], Awaitable[object]],
    print_changed: Callable[[Model], None],
) -> tuple[list[Model], list[tuple[Model, Exception]]]:
    """Change one model after the other, as ``change_each`` says; return those changed, and those that failed."""
    from modelyard.transfer.errors import TransferFailed
    from modelyard.wire.problems import Problem, SessionEnded, Unauthenticated

    done: list[Model] = []
    failed: list[tuple[Model, Exception]] = []
    for model in models:
        try:
            await change(registry, model)
        except (Problem, TransferFailed) as error:
            if len(models) == 1:
                raise
            failed.append((model, error))
            if isinstance(error, TransferFailed | Unauthenticated | SessionEnded):
                break
        else:
            done.append(model)
            print_changed(model)
    return done, failed


def _print_failures(
    terminal: Terminal, failed: Sequence[tuple[Model, Exception]]
) -> tuple[list[int], list[dict[str, Any]]]:
    """Print why models were not changed, with each remedy once; return the exit codes and JSON objects of these."""
    from modelyard.cli.terminal.errors import explain_failure

    codes: list[int] = []
    errors: list[dict[str, Any]] = []
    remedies: list[str] = []
    for model, error in failed:
        explanation = explain_failure(error, terminal.read_typed())
        if explanation is None:
            raise error
        terminal.output.warn(f"{format_model_path(model.model_path)}: {explanation.sentence}")
        codes.append(explanation.exit_code)
        remedies += explanation.fix
        errors.append({"model_id": model.id, "model_path": model.model_path, "error": explanation.facts})
    for line in dict.fromkeys(remedies):
        terminal.output.warn(f"  {line}")
    return codes, errors
