"""What the commands about webhooks print: the cells of lists, and the notice that a webhook was disabled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelyard.cli.terminal.formatting import format_age, format_time

if TYPE_CHECKING:
    from modelyard.wire.webhooks import Webhook, WebhookDelivery


def build_row(each: Webhook) -> tuple[str, ...]:
    """Return the cells of a webhook: name, address, state, last delivery and id."""
    return (each.display_name, each.url, get_state(each), format_age(each.last_delivered_at), str(each.id))


def get_state(each: Webhook) -> str:
    """Return the state of a webhook in a word: on, off, failing or disabled."""
    if not each.is_enabled:
        return "off" if each.disabled_reason is None else "disabled"
    return "on" if each.last_error is None else "failing"


def format_disabled(each: Webhook) -> str:
    """Return the notice that the registry has disabled a webhook."""
    when = format_time(each.disabled_at)
    return (
        f"'{each.display_name}' was disabled at {when}: {each.disabled_reason} "
        f"When its receiver works again: modelyard webhook edit {each.id} --on"
    )


def build_delivery_row(each: WebhookDelivery) -> tuple[str, ...]:
    """Return the cells of a delivery: event, state, attempts, its times, the last error and its id."""
    return (
        each.event_type,
        each.delivery_state,
        str(each.attempts),
        format_age(each.created_at),
        format_time(each.next_attempt_at) or "",
        each.error or "",
        str(each.id),
    )
