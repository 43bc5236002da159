"""``audit``: list the events of the team's audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.registry.listing import ListFormat, print_list
from modelyard.cli.terminal.formatting import format_time
from modelyard.cli.terminal.table import Column
from modelyard.cli.terminal.terminal import terminal_of

if TYPE_CHECKING:
    from modelyard.client.api.filters import AuditFilter
    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.teams import AuditEvent, AuditEventList

_SHOWN = 50


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
    layout: ListFormat[AuditEvent] = ListFormat(
        "audit_event_list",
        ("TIME", "ACTION", "ACTOR", Column("KIND", 9), "OBJECT", "FACTS"),
        _build_row,
        lambda event: event.id,
        "No events.",
    )
    print_list(
        terminal, terminal.call_registry(lambda registry: _list_events(registry, audit_filter, everything)), layout
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


async def _list_events(registry: RegistryApi, audit_filter: AuditFilter, everything: bool) -> list[AuditEvent]:
    """Return the newest 50 events that match the filter, or with ``everything`` all of them."""
    from modelyard.client.api.paging import Paging, list_pages

    if not everything:
        return (await registry.list_audit_events(audit_filter, Paging(per_page=_SHOWN))).audit_event_list

    async def load_page(paging: Paging) -> AuditEventList:
        return await registry.list_audit_events(audit_filter, paging)

    return [event async for page in list_pages(load_page) for event in page.audit_event_list]
