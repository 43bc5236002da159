"""``webhook``: send the team's events to other systems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from modelyard.cli.commands import CLIENT_COMMANDS
from modelyard.cli.registry.listing import ListFormat, find_and_change, print_details, print_list
from modelyard.cli.registry.webhooks.output import build_delivery_row, build_row, format_disabled, get_state
from modelyard.cli.terminal.formatting import format_age, format_time
from modelyard.cli.terminal.terminal import Yes, terminal_of

if TYPE_CHECKING:
    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.webhooks import RotatedSecret, Webhook, WebhookDelivery

webhook = typer.Typer(no_args_is_help=True, help=CLIENT_COMMANDS["webhook"].help)

WebhookName = Annotated[
    str,
    typer.Argument(
        metavar="WEBHOOK", help="The webhook's name, address, id or its first 8 digits: modelyard webhook ls"
    ),
]
Events = Annotated[
    list[str] | None,
    typer.Option("--event", metavar="TYPE", help="An event that it gets; may be repeated. By default all events."),
]
_SHOWN_ONCE = "The secret is shown only once. The receiver verifies the signature of each request with it."


def add_to(app: typer.Typer) -> None:
    """Add the group to the command tree."""
    app.add_typer(webhook, name="webhook")


@webhook.command("add")
def add_webhook(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="The https address that gets the events.")],
    name: Annotated[str | None, typer.Option(help="What it is for; by default the host of the address.")] = None,
    event: Events = None,
) -> None:
    """Add a webhook that gets the team's events from now on, and print its secret.

    Example: modelyard webhook add https://hooks.studio.example/modelyard --event model.verified --event model.failed
    """
    from urllib.parse import urlsplit

    from modelyard.wire.webhooks import EVENT_TYPES, NewWebhook

    host = urlsplit(url).netloc
    if not host:
        raise typer.BadParameter("Use an address that begins with https://.", param_hint="URL")
    given = host[:100] if name is None else name
    values = {"display_name": given, "url": url, "event_list": event or EVENT_TYPES}
    new = NewWebhook.model_validate(values)
    terminal = terminal_of(context)
    created = terminal.call_registry(lambda registry: registry.create_webhook(new))
    terminal.output.answer(document=created, lines=[created.secret], quiet=[created.secret])
    terminal.output.note(_SHOWN_ONCE)


@webhook.command("ls")
def list_webhooks(context: typer.Context) -> None:
    """List the team's webhooks, oldest first."""
    from modelyard.client.resolve_people import list_all_webhooks

    terminal = terminal_of(context)
    listed = terminal.call_registry(list_all_webhooks)
    layout: ListFormat[Webhook] = ListFormat(
        "webhook_list",
        ("NAME", "ADDRESS", "STATE", "DELIVERED", "ID"),
        build_row,
        lambda each: each.id,
        "No webhooks.",
    )
    print_list(terminal, listed, layout)
    for each in listed:
        if each.disabled_reason is not None:
            terminal.output.note(format_disabled(each))


@webhook.command("show")
def show_webhook(context: typer.Context, name: WebhookName) -> None:
    """Show one webhook: its events, and whether they arrive. Its secret is not shown."""
    from modelyard.client.resolve_people import find_webhook

    terminal = terminal_of(context)
    found = terminal.call_registry(lambda registry: find_webhook(registry, name))
    pairs = [
        ("id", str(found.id)),
        ("name", found.display_name),
        ("address", found.url),
        ("state", get_state(found)),
        ("events", ", ".join(found.event_list)),
        ("delivered", format_age(found.last_delivered_at)),
        ("last error", found.last_error or ""),
        ("old secret until", format_time(found.previous_secret_until) or ""),
        ("created by", found.created_by.display_name),
    ]
    print_details(terminal, found, found.id, pairs)
    if found.disabled_reason is not None:
        terminal.output.note(format_disabled(found))


@webhook.command("edit")
def edit_webhook(
    context: typer.Context,
    name: WebhookName,
    url: Annotated[str | None, typer.Option(help="Its new address.")] = None,
    new_name: Annotated[str | None, typer.Option("--name", help="Its new name.")] = None,
    event: Events = None,
    is_enabled: Annotated[bool | None, typer.Option("--on/--off", help="Send events, or stop sending them.")] = None,
) -> None:
    """Change a webhook, or turn it on or off. The events given with --event replace those that it has.

    Example: modelyard webhook edit "Studio chat" --event model.failed --on
    """
    from modelyard.client.resolve_people import find_webhook
    from modelyard.wire.webhooks import WebhookUpdate

    given = {"url": url, "display_name": new_name, "event_list": event or None, "is_enabled": is_enabled}
    change = WebhookUpdate.model_validate({field: value for field, value in given.items() if value is not None})
    if not change.model_fields_set:
        raise typer.BadParameter("Name what to change: --url, --name, --event, --on or --off.")
    terminal = terminal_of(context)
    found = find_and_change(
        terminal,
        lambda registry: find_webhook(registry, name),
        lambda registry, found: registry.update_webhook(found.id, change),
    )
    terminal.output.done(f"Changed the webhook '{found.display_name}'.", webhook_id=found.id)


@webhook.command("rm")
def remove_webhook(context: typer.Context, name: WebhookName, yes: Yes = False) -> None:
    """Delete a webhook with its deliveries."""
    from modelyard.client.resolve_people import find_webhook

    terminal = terminal_of(context)
    found = terminal.call_registry(lambda registry: find_webhook(registry, name))
    if not yes:
        typer.confirm(f"Delete the webhook '{found.display_name}' with its deliveries?", abort=True, err=True)
    terminal.call_registry(lambda registry: registry.delete_webhook(found.id))
    terminal.output.done(f"Deleted the webhook '{found.display_name}'.", webhook_id=found.id)


@webhook.command("test")
def test_webhook(context: typer.Context, name: WebhookName) -> None:
    """Send a test to a webhook, also to one that is off; modelyard webhook deliveries shows whether it arrived."""
    from modelyard.client.resolve_people import find_webhook
    from modelyard.wire.schemas import Created

    async def test(registry: RegistryApi) -> tuple[Webhook, Created]:
        """Find the webhook and queue the test."""
        found = await find_webhook(registry, name)
        return found, await registry.test_webhook(found.id)

    terminal = terminal_of(context)
    found, created = terminal.call_registry(test)
    terminal.output.done(f"Queued a test for the webhook '{found.display_name}'.", delivery_id=created.id)


@webhook.command("rotate-secret")
def rotate_secret(context: typer.Context, name: WebhookName) -> None:
    """Give a webhook a new secret, which is shown only once; for 24 hours the old one signs requests too."""
    from modelyard.client.resolve_people import find_webhook

    async def rotate(registry: RegistryApi) -> RotatedSecret:
        """Find the webhook and rotate its secret."""
        found = await find_webhook(registry, name)
        return await registry.rotate_webhook_secret(found.id)

    terminal = terminal_of(context)
    rotated = terminal.call_registry(rotate)
    terminal.output.answer(document=rotated, lines=[rotated.secret], quiet=[rotated.secret])
    terminal.output.note(f"{_SHOWN_ONCE} The old one works until {format_time(rotated.previous_secret_until)}.")


@webhook.command("deliveries")
def list_deliveries(
    context: typer.Context,
    name: WebhookName,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many of the newest are listed.")] = 20,
) -> None:
    """List the newest deliveries of a webhook, and why they failed."""
    from modelyard.client.api.paging import Paging
    from modelyard.client.resolve_people import find_webhook

    async def load(registry: RegistryApi) -> list[WebhookDelivery]:
        """Find the webhook and return its deliveries."""
        found = await find_webhook(registry, name)
        page = await registry.list_webhook_deliveries(found.id, Paging(per_page=limit))
        return page.delivery_list

    terminal = terminal_of(context)
    layout: ListFormat[WebhookDelivery] = ListFormat(
        "delivery_list",
        ("EVENT", "STATE", "TRIES", "QUEUED", "NEXT", "ERROR", "ID"),
        build_delivery_row,
        lambda each: each.id,
        "No deliveries.",
    )
    print_list(terminal, terminal.call_registry(load), layout)


@webhook.command("redeliver")
def redeliver(
    context: typer.Context,
    name: WebhookName,
    delivery: Annotated[UUID, typer.Argument(metavar="DELIVERY", help="The id of one of its deliveries.")],
) -> None:
    """Send a delivery again, with the same id and body, so that a receiver can recognise it.

    Example: modelyard webhook redeliver "Studio chat" 0199a1de-7c1e-7a52-9d3b-5f0c2f6f7a10
    """
    from modelyard.client.resolve_people import find_webhook

    terminal = terminal_of(context)
    found = find_and_change(
        terminal,
        lambda registry: find_webhook(registry, name),
        lambda registry, found: registry.redeliver_to_webhook(found.id, delivery),
    )
    terminal.output.done(f"Queued the delivery for the webhook '{found.display_name}' again.", delivery_id=delivery)
