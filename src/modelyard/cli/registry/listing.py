"""Print the objects of ``ls`` and ``show`` commands, and change an object that is given by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from modelyard.cli.terminal.formatting import format_fields
from modelyard.cli.terminal.table import Column, format_table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.api.registry import RegistryApi

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
