"""``collection subscribe``, ``pin``, ``hold`` and their opposites: machines that get the models of a collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.registry.listing import find_and_change
from modelyard.cli.terminal.completion import complete_machine
from modelyard.cli.terminal.terminal import terminal_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.collections import Collection, CollectionUpdate, NewSubscription

    Change = Callable[[RegistryApi, Collection, NewSubscription], Awaitable[object]]

CollectionName = Annotated[
    str, typer.Argument(metavar="COLLECTION", help="Its name, its id or the first 8 digits of it.")
]
LabelOption = Annotated[str | None, typer.Option(metavar="LABEL", help="All machines with this label.")]
MachineOption = Annotated[
    str | None, typer.Option(metavar="MACHINE", help="One machine.", autocompletion=complete_machine)
]


def add_subscription_commands(app: typer.Typer) -> None:
    """Add these commands to those about collections."""
    app.command("subscribe")(subscribe)
    app.command("unsubscribe")(unsubscribe)
    app.command("pin")(pin_collection)
    app.command("unpin")(unpin_collection)
    app.command("hold")(hold_collection)
    app.command("unhold")(unhold_collection)


def subscribe(
    context: typer.Context, name: CollectionName, label: LabelOption = None, machine: MachineOption = None
) -> None:
    """Send the models of a collection to a machine, or to all machines with a label, from now on.

    Examples: modelyard collection subscribe "Winter campaign" --label gpu24; modelyard collection subscribe Portraits
    --machine render-07
    """
    _change_subscription(
        context, name, (label, machine), lambda registry, found, target: registry.subscribe(found.id, target)
    )


def unsubscribe(
    context: typer.Context, name: CollectionName, label: LabelOption = None, machine: MachineOption = None
) -> None:
    """End the subscription of a machine or a label. Models that nothing else asks for are removed from machines.

    Example: modelyard collection unsubscribe "Winter campaign" --label gpu24
    """
    from modelyard.client.collections import unsubscribe

    _change_subscription(context, name, (label, machine), unsubscribe, has_ended=True)


def _change_subscription(
    context: typer.Context,
    name: str,
    target: tuple[str | None, str | None],
    change: Change,
    *,
    has_ended: bool = False,
) -> None:
    """Find the collection, change the subscription of a label or machine, and print that.

    Raises:
        BadParameter: not exactly one of both is given.
    """
    from modelyard.client.collections import find_collection
    from modelyard.wire.collections import NewSubscription

    label, machine = target
    if (label is None) == (machine is None):
        raise typer.BadParameter("Give either --label or --machine.")
    new = NewSubscription(label=label, agent_id=machine)
    terminal = terminal_of(context)
    found = find_and_change(
        terminal,
        lambda registry: find_collection(registry, name),
        lambda registry, found: change(registry, found, new),
    )
    subscribed = f"the machine '{machine}'" if label is None else f"machines with the label '{label}'"
    verb = "Ended the subscription of" if has_ended else "Subscribed"
    facts = {"label": label, "agent_id": machine}
    terminal.output.done(f"{verb} {subscribed} to '{found.name}'.", collection_id=found.id, **facts)


def pin_collection(context: typer.Context, name: CollectionName) -> None:
    """Pin a collection: subscribed machines hold its models at its versions, even when these are replaced.

    The registry keeps these versions. If two pinned collections have different versions of a model, machines that are
    subscribed to both leave its file as it is.
    """
    from modelyard.wire.collections import CollectionUpdate

    _update(context, name, CollectionUpdate(is_pinned=True), "is pinned")


def unpin_collection(context: typer.Context, name: CollectionName) -> None:
    """Unpin a collection: subscribed machines get the current version of its models."""
    from modelyard.wire.collections import CollectionUpdate

    _update(context, name, CollectionUpdate(is_pinned=False), "is no longer pinned")


def hold_collection(context: typer.Context, name: CollectionName) -> None:
    """Hold a collection: its new versions reach subscribed machines only by a roll-out.

    See: modelyard collection rollout --help
    """
    from modelyard.wire.collections import CollectionUpdate

    _update(context, name, CollectionUpdate(is_held=True), "is held: its new versions wait for a roll-out")


def unhold_collection(context: typer.Context, name: CollectionName) -> None:
    """End the hold of a collection: machines that have its newest version get new ones at once."""
    from modelyard.wire.collections import CollectionUpdate

    found = _update(context, name, CollectionUpdate(is_held=False), "is no longer held")
    if found.rolled_out_version != found.version:
        terminal_of(context).output.note(
            f"Machines still get version {found.rolled_out_version}, and new versions wait too, until you roll out "
            f"version {found.version}: modelyard collection rollout start NAME"
        )


def _update(context: typer.Context, name: str, change: CollectionUpdate, what: str) -> Collection:
    """Change a collection, print what it is now, and return it."""
    from modelyard.client.collections import find_collection

    terminal = terminal_of(context)
    found = find_and_change(
        terminal,
        lambda registry: find_collection(registry, name),
        lambda registry, found: registry.update_collection(found.id, change),
    )
    terminal.output.done(f"'{found.name}' {what}.", collection_id=found.id)
    return found
