"""``audit``: who did what to which object, when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal import terminal_of
from modelyard.cli.words import table, time_words

if TYPE_CHECKING:
    from modelyard.client.filters import AuditFilter
    from modelyard.client.registry import Registry
    from modelyard.wire.teams import AuditEvent, AuditEventList

_SHOWN = 50


def add_to(app: typer.Typer) -> None:
    app.command()(audit)


def audit(
    context: typer.Context,
    action: Annotated[str | None, typer.Option(help="Only this action, such as model.registered.")] = None,
    object_id: Annotated[
        str | None, typer.Option("--object", help="Only what happened to the object with this id.")
    ] = None,
    actor_id: Annotated[str | None, typer.Option("--actor", help="Only what this user or key did.")] = None,
    since: Annotated[str | None, typer.Option(help="From this time on, such as 2026-11-24T12:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this time.")] = None,
    everything: Annotated[bool, typer.Option("--all", help=f"All events, not only the newest {_SHOWN}.")] = False,
) -> None:
    """Show the team's audit trail, newest first; for admins."""
    from modelyard.client.filters import AuditFilter

    wanted = AuditFilter(action, object_id, actor_id, since, until)
    terminal = terminal_of(context)
    found = terminal.ask(lambda registry: _events(registry, wanted, everything))
    rows = [
        (
            time_words(event.created_at),
            event.action,
            event.actor_name,
            event.actor_kind,
            event.object_id or "",
            _facts(event),
        )
        for event in found
    ]
    lines = table(("WHEN", "WHAT", "WHO", "AS", "OBJECT", "FACTS"), rows) if rows else ["No events."]
    terminal.output.answer(document={"audit_event_list": found}, lines=lines, quiet=[str(event.id) for event in found])


def _facts(event: AuditEvent) -> str:
    return ", ".join(f"{name}={value}" for name, value in event.facts.items())


async def _events(registry: Registry, wanted: AuditFilter, everything: bool) -> list[AuditEvent]:
    from modelyard.client.paging import Paging, every_page

    if not everything:
        return (await registry.list_audit_events(wanted, Paging(per_page=_SHOWN))).audit_event_list

    async def ask(paging: Paging) -> AuditEventList:
        return await registry.list_audit_events(wanted, paging)

    return [event async for page in every_page(ask) for event in page.audit_event_list]
