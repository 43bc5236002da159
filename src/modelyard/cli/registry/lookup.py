"""``lookup`` and ``facets``: find models by hashes, paths and files, and count those that a search finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal.formatting import format_model_path, format_partial_count
from modelyard.cli.terminal.table import format_table
from modelyard.cli.terminal.terminal import terminal_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelyard.client.api.registry import RegistryApi
    from modelyard.client.lookup import LookupAnswer
    from modelyard.wire.model_filter import FacetList

_HEADINGS = ("ASKED", "FOUND BY", "VERSION", "PATH", "ID")
_NOT_FOUND = 1
# A note names so many texts.
_MOST_NAMED = 3


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command tree."""
    for command in (lookup, facets):
        app.command()(command)


def lookup(
    context: typer.Context,
    texts: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|HASH|PATH...",
            help="Files of this machine, hashes of any kind from 8 digits on, or model paths.",
        ),
    ],
) -> None:
    """Find the models that have the content of a file, a hash or a path.

    A hash is SHA-256, BLAKE3, AutoV1, AutoV2, AutoV3 or CRC32, in any case, with or without a prefix such as sha256:.
    A FILE that exists here is hashed. Exits with 1 if one of them is not found, or unclear: very many contents or
    models have the hash, and those that the registry looked at are none that you can see.

    Examples: modelyard lookup a5f58eb1c3; modelyard lookup ~/Downloads/ink.safetensors
    """
    from modelyard.cli.terminal.progress import show_progress
    from modelyard.client.lookup import look_up
    from modelyard.transfer.hashing import DigestCache

    terminal = terminal_of(context)
    digests = DigestCache(terminal.settings.cache_dir / "digests.sqlite")

    async def find(registry: RegistryApi) -> list[LookupAnswer]:
        """Hash the files and ask the registry."""
        with show_progress(terminal.output) as view:
            return await look_up(registry, texts, digests, view.show)

    answers = terminal.call_registry(find)
    capped = [answer for answer in answers if answer.is_capped]
    matches = [(answer.text, match) for answer in answers for match in answer.match_list]
    rows = [row for answer in answers for row in _build_rows(answer)]
    terminal.output.answer(
        document={
            "match_list": [match.model_dump(mode="json") | {"asked": text} for text, match in matches],
            "not_found": [answer.text for answer in answers if answer.state == "not found"],
            "capped_list": [answer.text for answer in capped],
        },
        lines=format_table(_HEADINGS, rows, terminal.output.width),
        quiet=[str(match.id) for _, match in matches],
    )
    if capped:
        terminal.output.note(_explain_capped(capped))
    if any(answer.state != "found" for answer in answers):
        raise typer.Exit(_NOT_FOUND)


def _explain_capped(capped: Sequence[LookupAnswer]) -> str:
    """Return the note that more models may match than are listed."""
    names = ", ".join(answer.text for answer in capped[:_MOST_NAMED])
    more = f" and {len(capped) - _MOST_NAMED:,} more" if len(capped) > _MOST_NAMED else ""
    return (
        f"More models than are listed may match {names}{more}. If they have the same content, the newest are listed. "
        f"Otherwise the contents are sorted by their SHA-256, and the first are listed. "
        f"For more of them: modelyard ls --hash {capped[0].question} --all"
    )


def _build_rows(answer: LookupAnswer) -> list[tuple[str, ...]]:
    """Return the cells of each match, or of one row that says that none was found."""
    return [
        (answer.text, match.matched_by, str(match.version), format_model_path(match.model_path), str(match.id))
        for match in answer.match_list
    ] or [(answer.text, answer.state, "", "", "")]


def facets(
    context: typer.Context,
    words: Annotated[list[str] | None, typer.Argument(metavar="[QUERY]...", help="A search, as of ls.")] = None,
    facet: Annotated[
        str | None,
        typer.Option(help="Only this one: type, base, tag, state, by or is."),
    ] = None,
    prefix: Annotated[str | None, typer.Option(help="Only values of which a word begins with this text.")] = None,
) -> None:
    """Count the models that a search finds by type, base model, tag, replica state and uploader.

    Examples: modelyard facets type:loras; modelyard facets --facet tag --prefix por
    """
    from modelyard.wire.model_filter import FacetQuery

    options = {"q": " ".join(words) if words else None, "facet": facet, "prefix": prefix}
    query = FacetQuery.model_validate({name: value for name, value in options.items() if value is not None})
    terminal = terminal_of(context)
    counted = terminal.call_registry(lambda registry: registry.count_facets(query))
    terminal.output.answer(
        document=counted,
        lines=format_table(("FACET", "MODELS", "VALUE"), _list_facet_rows(counted), terminal.output.width),
        quiet=[one.value for each in counted.facet_list for one in each.value_list],
    )
    if any(each.is_capped for each in counted.facet_list):
        terminal.output.note("There are more models than were counted: a + marks counts that may be higher.")


def _list_facet_rows(counted: FacetList) -> list[tuple[str, ...]]:
    """Return a table row for each value of each facet, and one for values that are left out."""
    rows: list[tuple[str, ...]] = []
    for each in counted.facet_list:
        capped = each.is_capped
        rows += [(each.name, format_partial_count(one.count, is_capped=capped), one.value) for one in each.value_list]
        if each.has_more:
            rows.append((each.name, "", "… and more: --facet and --prefix find them"))
    return rows
