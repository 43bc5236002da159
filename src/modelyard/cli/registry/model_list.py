"""``ls``: list the team's models as a table that fits the terminal, or for spreadsheets and scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from modelyard.cli.registry.model_columns import (
    COLUMNS,
    DEFAULT_COLUMNS,
    format_csv,
    format_models,
    parse_columns,
)
from modelyard.cli.terminal.terminal import Terminal, terminal_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelyard.cli.terminal.colors import Line
    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.model_filter import ModelFilter
    from modelyard.wire.models import Model

_SHOWN = 50
_SORT_HELP = "created_at, display_name, file_size or last_used_at; with a - in front: descending."
Format = Literal["table", "wide", "csv"]


def add_to(app: typer.Typer) -> None:
    """Add the command to the command tree."""
    app.command()(ls)


def ls(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[QUERY]...", help="Words, and qualifiers such as type:loras, 'size:>2gb' or unused:90d."
        ),
    ] = None,
    model_type: Annotated[str | None, typer.Option("--type", help="Only this type, such as loras.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only with this tag.")] = None,
    status: Annotated[str | None, typer.Option(help="Only active or disabled ones.")] = None,
    verification: Annotated[str | None, typer.Option(help="Only pending, verified or failed ones.")] = None,
    file_hash: Annotated[str | None, typer.Option("--hash", help="Only with this hash, of any kind.")] = None,
    deleted: Annotated[bool, typer.Option("--deleted", help="List the trash instead.")] = False,
    sort: Annotated[str | None, typer.Option(help=_SORT_HELP)] = None,
    everything: Annotated[bool, typer.Option("--all", help=f"All models, not only the first {_SHOWN}.")] = False,
    columns: Annotated[
        str | None, typer.Option(metavar="NAME,…", help=f"The columns, in this order: {', '.join(COLUMNS)}.")
    ] = None,
    output_format: Annotated[
        Format,
        typer.Option("--format", help="Fitted to the terminal, wide with nothing cut, or CSV."),
    ] = "table",
) -> None:
    """List models, newest first. Into a pipe or a file, a table is not cut and has whole ids.

    Examples: modelyard ls portrait type:loras 'base:"SDXL 1.0"'; modelyard ls --sort=-file_size --all;
    modelyard ls --columns path,size,hash --format csv > models.csv
    """
    from modelyard.wire.model_filter import ModelFilter

    options = {
        "q": " ".join(words) if words else None,
        "model_type": model_type,
        "model_status": status,
        "verification": verification,
        "tag": tag,
        "file_hash": file_hash,
        "deleted": deleted,
        "sort": sort,
    }
    model_filter = ModelFilter.model_validate({name: value for name, value in options.items() if value is not None})
    names = parse_columns(columns) if columns is not None else _get_default_columns(deleted=deleted)
    terminal = terminal_of(context)
    listed = terminal.call_registry(lambda registry: _list_models(registry, model_filter, everything))
    terminal.output.answer(
        document=listed._asdict(),
        lines=_format_list(terminal, listed.model_list, names, output_format),
        quiet=[str(model.id) for model in listed.model_list],
    )
    if listed.has_more:
        terminal.output.note(f"These are the first {len(listed.model_list)}. To list all: --all")
    if listed.did_you_mean:
        terminal.output.note(f"Did you mean: {listed.did_you_mean}")


def _get_default_columns(*, deleted: bool) -> list[str]:
    """Return the columns of a list that names none; of the trash, when models were deleted instead of changed."""
    return ["deleted" if deleted and name == "changed" else name for name in DEFAULT_COLUMNS]


def _format_list(
    terminal: Terminal, models: Sequence[Model], names: Sequence[str], output_format: Format
) -> Sequence[str | Line]:
    """Return the lines of a list in a format; of an empty one, a sentence or the headings."""
    from modelyard.client.references.short_ids import shorten_ids

    if output_format == "csv":
        return format_csv(models, names)
    if not models:
        return ["No models."]
    width = terminal.output.width if output_format == "table" else None
    return format_models(models, names, width, shorten_ids([model.id for model in models]))


class _Listed(NamedTuple):
    """Models, whether there are more, and a similar search if a search finds none."""

    model_list: list[Model]
    has_more: bool
    did_you_mean: str | None


async def _list_models(registry: RegistryApi, model_filter: ModelFilter, everything: bool) -> _Listed:
    """Return the first 50 models that match the filter, or with ``everything`` all."""
    from modelyard.client.api.models import list_all_models
    from modelyard.client.api.paging import Paging

    if everything:
        return _Listed([model async for model in list_all_models(registry, model_filter)], False, None)
    page = await registry.list_models(model_filter, Paging(per_page=_SHOWN))
    return _Listed(page.model_list, page.page_meta.next_cursor is not None, page.did_you_mean)
