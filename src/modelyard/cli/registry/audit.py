"""``audit``: list the events of the team's audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.registry.listing import ListFormat, print_list
from modelyard.cli.terminal.formatting import count_columns, format_time
from modelyard.cli.terminal.terminal import terminal_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelyard.client.api.filters import AuditFilter
    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.teams import AuditEvent, AuditEventList

_SHOWN = 50
_HEADINGS = ("TIME", "ACTION", "ACTOR", "KIND", "OBJECT", "FACTS")


def add_to(app: typer.Typer) -> None:
    """Add this command to the command tree."""
    app.command()(audit)


def audit(
    context: typer.Context,
    action: Annotated[str | None, typer.Option(help="Only events of this action, such as model.registered.")] = None,
    object_id: Annotated[str | None, typer.Option("--object", help="Only events of the object with this id.")] = None,
    actor_id: Annotated[
        str | None, typer.Option("--actor", help="Only events of the user or key with this id.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Only events from this time on: 2026-11-24T12:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Only events before this time.")] = None,
    everything: Annotated[bool, typer.Option("--all", help=f"All events, not only the newest {_SHOWN}.")] = False,
) -> None:
    """List the team's audit events, newest first; for admins."""
    from modelyard.client.api.filters import AuditFilter

    audit_filter = AuditFilter(action, object_id, actor_id, since, until)
    terminal = terminal_of(context)
    events = terminal.call_registry(lambda registry: _list_events(registry, audit_filter, everything))
    print_list(terminal, events, _choose_layout(events, terminal.output.width))


def _choose_layout(events: Sequence[AuditEvent], width: int | None) -> ListFormat[AuditEvent]:
    """Return the table of events; where it is too narrow for whole ids of objects, they are first in the facts."""
    rows = [_HEADINGS, *map(_build_row, events)]
    whole_width = sum(max(map(count_columns, cells)) + 2 for cells in list(zip(*rows, strict=True))[:-1])
    has_column = width is None or whole_width <= width
    return ListFormat(
        "audit_event_list",
        _HEADINGS if has_column else ("TIME", "ACTION", "ACTOR", "KIND", "FACTS"),
        _build_row if has_column else _build_narrow_row,
        lambda event: event.id,
        "No events.",
    )


def _build_row(event: AuditEvent) -> tuple[str, ...]:
    """Return the cells of an event: time, action, actor, kind, object and facts."""
    return (
        format_time(event.created_at),
        event.action,
        event.actor_name,
        event.actor_kind,
        event.object_id or "",
        ", ".join(f"{name}={value}" for name, value in event.facts.items()),
    )


def _build_narrow_row(event: AuditEvent) -> tuple[str, ...]:
    """Return the cells of an event: time, action, actor, kind, and facts that begin with the object."""
    *cells, object_id, facts = _build_row(event)
    return (*cells, ", ".join(part for part in (object_id and f"object={object_id}", facts) if part))


async def _list_events(registry: RegistryApi, audit_filter: AuditFilter, everything: bool) -> list[AuditEvent]:
    """Return the newest 50 events that match the filter, or with ``everything`` all of them."""
    from modelyard.client.api.paging import Paging, list_pages

    if not everything:
        return (await registry.list_audit_events(audit_filter, Paging(per_page=_SHOWN))).audit_event_list

    async def load_page(paging: Paging) -> AuditEventList:
        return await registry.list_audit_events(audit_filter, paging)

    return [event async for page in list_pages(load_page) for event in page.audit_event_list]
