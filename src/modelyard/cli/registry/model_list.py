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
_SORT_HELP = (
    "created_at, display_name, file_size or last_used_at; with a - in front: descending. Without it: the best matches "
    "of words, if they are few, else the newest."
)
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
    tag: Annotated[str | None, typer.Option(help="Only with this tag, in any letter case.")] = None,
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
    """List models, newest first, or the best matches of a search first.

    Into a pipe or a file, a table is not cut and has whole ids.

    A question mark after a base model or a trigger word says that it is only claimed or guessed; the column
    base-source says by what.

    Examples: modelyard ls portrait type:loras 'base:"SDXL 1.0"'; modelyard ls --sort=-file_size --all;
    modelyard ls --columns path,size,hash --format csv > models.csv
    """
    from modelyard.wire.model_filter import ModelFilter

    options = {
        "q": _build_search(words or [], tag),
        "model_type": model_type,
        "model_status": status,
        "verification": verification,
        "file_hash": file_hash,
        "deleted": deleted,
        "sort": sort,
    }
    model_filter = ModelFilter.model_validate({name: value for name, value in options.items() if value is not None})
    names = parse_columns(columns) if columns is not None else _get_default_columns(deleted=deleted)
    terminal = terminal_of(context)
    may_correct = terminal.output.style == "human"
    listed = terminal.call_registry(
        lambda registry: _list_models_of_type(registry, model_filter, everything, may_correct=may_correct)
    )
    terminal.output.answer(
        document={name: value for name, value in listed._asdict().items() if name != "hint"},
        lines=_format_list(terminal, listed.model_list, names, output_format),
        quiet=[str(model.id) for model in listed.model_list],
    )
    _print_hints(terminal, listed)


def _build_search(words: Sequence[str], tag: str | None) -> str | None:
    """Return the search for these words and a tag; None without any.

    Raises:
        BadParameter: the tag is empty, or cannot be written in a search.
    """
    from modelyard.wire.search.grammar import quote_word

    if tag is None:
        return " ".join(words) or None
    if not tag.strip() or '"' in tag:
        raise typer.BadParameter("Use a tag that is not empty and has no quotation mark.", param_hint="--tag")
    # First, so that no word in open quotes takes it in.
    return " ".join([f"tag:{quote_word(tag)}", *words])


def _print_hints(terminal: Terminal, listed: _Listed) -> None:
    """Print what to know about a list: that there are more, of which type they are, and a similar search."""
    if listed.has_more:
        terminal.output.note(f"These are the first {len(listed.model_list)}. To list all: --all")
    if listed.hint:
        terminal.output.note(listed.hint)
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
    """Models, whether there are more, a similar search if a search finds none, and what to know about the type."""

    model_list: list[Model]
    has_more: bool
    did_you_mean: str | None
    hint: str | None = None


async def _list_models_of_type(
    registry: RegistryApi, model_filter: ModelFilter, everything: bool, *, may_correct: bool
) -> _Listed:
    """List models; with ``may_correct`` those of the known type if the one that is asked for is a near miss of it.

    Raises:
        ModelTypeUnknown: it is one, such as lora, and has no models; only without ``may_correct``.
    """
    asked = model_filter.model_type
    listed = await _list_models(registry, model_filter, everything)
    if asked is None or listed.model_list:
        return listed
    from modelyard.wire.model_folders import is_known_folder, suggest_folder
    from modelyard.wire.problems import ModelTypeUnknown

    if is_known_folder(asked):
        return listed
    if (known := suggest_folder(asked)) is None:
        return listed._replace(hint=await _describe_types(registry, asked))
    if not may_correct:
        raise ModelTypeUnknown(f"There is no type '{asked}'.", suggestion=known)
    listed = await _list_models(registry, model_filter.model_copy(update={"model_type": known}), everything)
    return listed._replace(hint=f"There is no type '{asked}'. These are the models of the type '{known}'.")


async def _describe_types(registry: RegistryApi, asked: str) -> str:
    """Return that no model is of a type that ComfyUI does not know, and which types the team has."""
    from modelyard.wire.model_filter import FacetQuery

    found = await registry.count_facets(FacetQuery(facet="type"))
    types = ", ".join(each.value for facet in found.facet_list for each in facet.value_list)
    return f"No model is of the type '{asked}'." + (f" The team's types: {types}." if types else "")


async def _list_models(registry: RegistryApi, model_filter: ModelFilter, everything: bool) -> _Listed:
    """Return the first 50 models that match the filter, or with ``everything`` all."""
    from modelyard.client.api.paging import Paging

    if everything:
        from modelyard.client.api.models import list_all_models

        return _Listed([model async for model in list_all_models(registry, model_filter)], False, None)
    page = await registry.list_models(model_filter, Paging(per_page=_SHOWN))
    return _Listed(page.model_list, page.page_meta.next_cursor is not None, page.did_you_mean)
