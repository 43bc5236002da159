"""``outdated``: list the models that have a newer version at their source, after a check of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.registry.listing import ListFormat, print_list
from modelyard.cli.terminal.formatting import format_age, format_duration, format_model_path
from modelyard.cli.terminal.remedies.exit_codes import OTHER
from modelyard.cli.terminal.terminal import terminal_of
from modelyard.comfyui.quoting import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.api.registry import RegistryApi
    from modelyard.client.imports import CheckedModel
    from modelyard.wire.imports.source_checks import SourceCheckRun


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(outdated)


def outdated(
    context: typer.Context,
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help="Only these; by default all models.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Let the registry ask the sources now, one after the other; members and up.")
    ] = False,
) -> None:
    """List models that have a newer version at Hugging Face or Civitai, as the last check found it.

    Models without such a source are left out. A check of all models runs in the registry, also if this program ends.
    Exits with 1 if no source could be asked, or the check ended early. To import the newer version as the next one:
    modelyard add URL --replace MODEL

    Examples: modelyard outdated --check; modelyard outdated ink --check
    """
    from modelyard.client.imports import check_all_sources, check_outdated, list_outdated

    terminal = terminal_of(context)

    def show(checked: CheckedModel) -> None:
        """Show a result at once: the command may be ended before the last one."""
        if checked.error:
            terminal.output.note(f"{format_model_path(checked.model_path)}: not checked. {checked.error}")
        elif checked.newer_at_source:
            terminal.output.note(f"{format_model_path(checked.model_path)}: {checked.newer_at_source.name} is newer.")

    async def find(registry: RegistryApi) -> tuple[list[CheckedModel], bool]:
        """Ask the sources, or list what is known; return also whether that failed."""
        names = models or []
        if check and names:
            checked = await check_outdated(registry, names, show)
            return checked, all(each.error for each in checked)
        run = await check_all_sources(registry, _build_poll_view(terminal)) if check else None
        if run is not None:
            _show_ended(terminal, run)
        return await list_outdated(registry, names), run is not None and has_failed_check(run)

    found, has_failed = terminal.call_registry(find)
    none_found = "No newer versions are known. Ask the sources: modelyard outdated --check"
    if check:
        none_found = "No newer versions are known." if has_failed else "No newer versions."
    layout: ListFormat[CheckedModel] = ListFormat(
        "outdated_list",
        ("MODEL", "NEWER", "CHECKED", "URL"),
        _build_row,
        lambda each: each.model_id,
        none_found,
    )
    print_list(terminal, [each for each in found if each.newer_at_source], layout)
    if has_failed:
        raise typer.Exit(OTHER)


def has_failed_check(run: SourceCheckRun) -> bool:
    """Return whether a check of all models ended early, or could ask no source."""
    return run.error is not None or 0 < run.model_count <= run.failure_count


def _build_poll_view(terminal: Terminal) -> Callable[[SourceCheckRun], None]:
    """Return a function that shows how far a check of all models is: each tenth of it, and each pause."""
    shown = set[object]()

    def show(run: SourceCheckRun) -> None:
        """Show one state of the check, unless it was shown before."""
        tenth = run.checked_count * 10 // max(run.model_count, 1)
        if run.retry_at is not None and run.retry_at not in shown:
            terminal.output.note(f"A source does not answer. It is asked again in {_format_pause(run.retry_at)}.")
        elif run.retry_at is None and tenth > 0 and tenth not in shown:
            terminal.output.note(f"{run.checked_count} of {counted(run.model_count, 'model')} checked.")
        shown.update((tenth, run.retry_at))

    return show


def _format_pause(until: datetime) -> str:
    """Return how long it is until a time, by this computer's clock."""
    return format_duration(max(0.0, (until - datetime.now(UTC)).total_seconds()))


def _show_ended(terminal: Terminal, run: SourceCheckRun) -> None:
    """Show which models could not be checked, and why the check ended early if it did."""
    for failed in run.failure_list:
        terminal.output.note(f"{format_model_path(failed.model_path)}: not checked. {failed.error}")
    unlisted = run.failure_count - len(run.failure_list)
    if unlisted > 0:
        terminal.output.note(f"{counted(unlisted, 'further model')} could not be checked.")
    if run.error is not None:
        checked = f"{run.checked_count} of {counted(run.model_count, 'model')}"
        terminal.output.note(f"The check ended after {checked}: {run.error} Run the command again.")


def _build_row(checked: CheckedModel) -> tuple[str, ...]:
    """Return the cells of a model with a newer version: path, what the source calls it, age of the check, link."""
    newer = checked.newer_at_source
    return (format_model_path(checked.model_path), newer.name, format_age(newer.checked_at), newer.url) if newer else ()
