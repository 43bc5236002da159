"""Before a collection that has the name already gets other models: refuse, or ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import typer

from modelyard.comfyui.quoting import counted

if TYPE_CHECKING:
    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.wire.collections import CollectionSummary


class ReplaceOptions(NamedTuple):
    """What the options of the command say about a collection that exists."""

    replace: bool
    leave_out_missing: bool


def confirm_replacement(
    terminal: Terminal,
    existing: CollectionSummary,
    model_count: int,
    missing_count: int,
    options: ReplaceOptions,
) -> None:
    """Check that a collection may get these models as its next version, and ask without ``--replace``.

    ``missing_count`` is of the models of workflows that the team lacks.

    Raises:
        BadParameter: no models would be left, or some are missing and only ``--replace`` is given.
        CollectionNameTaken: no question can be asked.
        Abort: the answer is no.
    """
    if not model_count and existing.model_count:
        raise typer.BadParameter(
            f"There are no models for the next version of '{existing.name}', which has"
            f" {counted(existing.model_count, 'model')}. Name at least one MODEL that the team has."
        )
    if not options.replace:
        _ask(terminal, existing, model_count)
    elif missing_count and not options.leave_out_missing:
        raise typer.BadParameter(
            f"'{existing.name}' was not changed, since the team lacks {counted(missing_count, 'model')} of"
            " the workflow. Push them first, or leave them out with --leave-out-missing."
        )


def _ask(terminal: Terminal, existing: CollectionSummary, model_count: int) -> None:
    """Ask whether the models become the next version.

    Raises:
        CollectionNameTaken: no question can be asked.
        Abort: the answer is no.
    """
    from modelyard.wire.problems import CollectionNameTaken

    now, then = existing.version, existing.version + 1
    present, new = counted(existing.model_count, "model"), counted(model_count, "model")
    if not terminal.can_ask:
        message = f"The team has a collection '{existing.name}' already: version {now} with {present}."
        raise CollectionNameTaken(message, collection_id=str(existing.id), next_version=then)
    exists = f"'{existing.name}' exists: version {now} with {present}."
    typer.confirm(f"{exists} Add version {then} with yours, {new}, in place of them?", abort=True, err=True)
