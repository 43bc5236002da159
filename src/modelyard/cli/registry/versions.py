"""``rollback`` and the group ``version``: list the versions of a model, and change them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.commands import CLIENT_COMMANDS
from modelyard.cli.registry.model_columns import describe_verification
from modelyard.cli.registry.models import ModelName
from modelyard.cli.terminal.formatting import format_age, format_content_size, format_model_path, shorten_path
from modelyard.cli.terminal.table import cut_text, format_table
from modelyard.cli.terminal.terminal import terminal_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from modelyard.cli.terminal.colors import Line
    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.models import Model
    from modelyard.wire.versions import ModelVersion

_HEADINGS = ("VERSION", "STATUS", "SIZE", "HASH", "CREATED BY")
_HASH_DIGITS = 8
_MAX_NAME_COLUMNS = 14

VersionNumber = Annotated[int, typer.Argument(metavar="N", min=1, help="The number of a version.")]

Deleted = Annotated[bool, typer.Option("--deleted", help="List those in the trash instead.")]

version = typer.Typer(no_args_is_help=True, help=CLIENT_COMMANDS["version"].help)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command tree."""
    app.command(hidden=True)(versions)
    app.command()(rollback)
    app.add_typer(version, name="version")


@version.command()
def ls(
    context: typer.Context,
    model: ModelName,
    deleted: Deleted = False,
) -> None:
    """List the versions of a model, newest first.

    Examples: modelyard version ls ink; modelyard version ls ink --deleted
    """
    from modelyard.client.api.models import list_all_versions
    from modelyard.client.resolve_models import find_model

    async def load(registry: RegistryApi) -> tuple[Model, list[ModelVersion]]:
        """Return the model and its versions."""
        found = await find_model(registry, model)
        return found, await list_all_versions(registry, found.id, deleted=deleted)

    terminal = terminal_of(context)
    found, listed = terminal.call_registry(load)
    terminal.output.answer(
        document={"model_id": found.id, "model_path": found.model_path, "version_list": listed},
        lines=format_versions(listed, terminal.output.width) if listed else ["No versions."],
        quiet=[str(each.version) for each in listed],
    )


def versions(context: typer.Context, model: ModelName, deleted: Deleted = False) -> None:
    """List the versions of a model: the earlier spelling of modelyard version ls, which scripts may use."""
    ls(context, model, deleted)


def format_versions(listed: Sequence[ModelVersion], width: int | None) -> list[str | Line]:
    """Format versions as a table, and below it why some failed or wait; ``width`` is as in ``format_table``."""
    headings = (*_HEADINGS, "DELETED" if any(each.deleted_at for each in listed) else "CREATED", "NOTE")
    reasons = [_format_reason(each) for each in listed if each.verification_error]
    return [*format_table(headings, [_build_row(each) for each in listed], width), *reasons]


def _format_reason(each: ModelVersion) -> str:
    """Return why a version failed verification, is damaged, or could not be verified yet."""
    states = {"damaged": "is damaged", "failed": "failed"}
    state = states.get(describe_verification(each), "is not verified yet")
    return f"Version {each.version} {state}: {each.verification_error}"


def _build_row(each: ModelVersion) -> tuple[str, ...]:
    """Return the cells of a version: number, status, size, start of the hash, who, when, and note."""
    return (
        str(each.version),
        f"{each.version_status}, damaged" if each.is_damaged else each.version_status,
        format_content_size(each),
        each.file_hash.removeprefix("sha256:")[:_HASH_DIGITS],
        cut_text(each.created_by.display_name, _MAX_NAME_COLUMNS),
        format_age(each.deleted_at or each.created_at),
        " ".join((each.note or "").split()),
    )


def rollback(
    context: typer.Context,
    model: ModelName,
    to: Annotated[
        int | None, typer.Option("--to", metavar="N", min=1, help="The version; by default the one before.")
    ] = None,
) -> None:
    """Make an earlier version of a model the current one, which machines get.

    Without --to, that is the version that was current before the current one. Versions that a roll-back has left, and
    those in the trash, do not count: a second roll-back goes one further back. With --to it may be any verified
    version, also a newer one. It can be undone in the same way.

    Examples: modelyard rollback ink; modelyard rollback ink --to 3
    """
    from modelyard.client.resolve_models import find_model

    async def roll_back(registry: RegistryApi) -> tuple[Model, int]:
        """Activate the version; return the model as it was before, and the number of the version."""
        found = await find_model(registry, model)
        number = to or await _find_previous_version(registry, found)
        if number != _get_current_version(found):
            await registry.activate_version(found.id, number)
        return found, number

    terminal = terminal_of(context)
    before, number = terminal.call_registry(roll_back)
    current = _get_current_version(before)
    path = format_model_path(before.model_path)
    sentence = (
        f"Version {number} of {path} is current already."
        if current == number
        else f"Version {number} of {path} is current now; it was version {current}."
    )
    terminal.output.answer(
        document={
            "is_success": True,
            "model_id": before.id,
            "model_path": before.model_path,
            "version": number,
            "previous_version": current,
        },
        lines=[sentence],
        quiet=[str(number)],
    )
    if current not in (number, None):
        _note_consequences(terminal, before, current)


def _get_current_version(model: Model) -> int | None:
    """Return the number of the current version; None if the model has none yet: its record shows the pending one."""
    pending = model.pending_version
    return None if pending is not None and pending.version == model.version else model.version


async def _find_previous_version(registry: RegistryApi, model: Model) -> int:
    """Return the number of the version that was current before the current one.

    Raises:
        VersionNotFound: there is none.
        ValueError: see ``find_previous_version``.
    """
    from modelyard.client.api.models import find_previous_version
    from modelyard.wire.problems import VersionNotFound

    previous = await find_previous_version(registry, model.id)
    if previous is None:
        raise VersionNotFound(
            f"'{format_model_path(model.model_path)}' has no earlier version to go back to: none that was current"
            " before this one can be downloaded."
        )
    return previous


def _note_consequences(terminal: Terminal, before: Model, current: int | None) -> None:
    """Print what a roll-back means for machines and a pending version, and how to undo it."""
    pending = before.pending_version
    terminal.output.note("Machines replace the file at their next sync.")
    if pending is not None and pending.verification == "pending":
        terminal.output.note(f"Version {pending.version}, which is being verified, will not become current by itself.")
    terminal.output.note(
        "To undo: " + terminal.format_command("rollback", shorten_path(before.model_path), "--to", current)
    )


@version.command()
def note(
    context: typer.Context,
    model: ModelName,
    number: VersionNumber,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is new in the version; an empty text clears it.")],
) -> None:
    """Set the note of a version.

    Example: modelyard version note ink 3 "Trained on 40 more pictures."
    """
    from modelyard.wire.versions import VersionUpdate

    change = VersionUpdate(note=text or None)
    _change_version(
        terminal_of(context),
        (model, number),
        lambda registry, found: registry.update_version(found.id, number, change),
        "Changed the note of",
    )


@version.command()
def rm(context: typer.Context, model: ModelName, number: VersionNumber) -> None:
    """Move a version to the trash. The current version cannot be removed.

    Says which pinned collections have it.

    Example: modelyard version rm ink 2
    """
    terminal = terminal_of(context)
    removed = _change_version(
        terminal, (model, number), lambda registry, found: registry.delete_version(found.id, number), "Removed"
    )
    terminal.output.note(
        "The registry keeps removed versions for 7 days, unless its operator has set another time. To restore it:"
    )
    terminal.output.note("  " + terminal.format_command("version", "restore", shorten_path(removed.model_path), number))
    _note_pins(terminal, removed, number)


def _note_pins(terminal: Terminal, model: Model, number: int) -> None:
    """Print on standard error which pinned collections have this version, which is in the trash now."""
    from modelyard.client.collections import list_collections_with

    uses = terminal.call_registry(lambda registry: list_collections_with(registry, model.id))
    for use in uses:
        if use.is_pinned and any(each.model_version == number for each in use.version_list):
            terminal.output.note(
                f"The collection '{use.name}' pins version {number}. Subscribed machines that have it keep it, and"
                " others do not get it until it is restored."
            )


@version.command()
def restore(context: typer.Context, model: ModelName, number: VersionNumber) -> None:
    """Restore a version from the trash, which modelyard version ls MODEL --deleted lists.

    It does not become current by that: modelyard rollback MODEL --to N
    """
    _change_version(
        terminal_of(context),
        (model, number),
        lambda registry, found: registry.restore_version(found.id, number),
        "Restored",
    )


def _change_version(
    terminal: Terminal,
    name: tuple[str, int],
    change: Callable[[RegistryApi, Model], Awaitable[object]],
    verb: str,
) -> Model:
    """Change a version, given by its model's name and its number, print it with ``verb``, and return the model."""
    from modelyard.cli.registry.listing import find_and_change
    from modelyard.client.resolve_models import find_model

    model_name, number = name
    model = find_and_change(terminal, lambda registry: find_model(registry, model_name), change)
    terminal.output.answer(
        document={"is_success": True, "model_id": model.id, "version": number},
        lines=[f"{verb} version {number} of {format_model_path(model.model_path)}"],
        quiet=[str(number)],
    )
    return model
