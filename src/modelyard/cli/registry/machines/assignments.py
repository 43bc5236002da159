"""``machine assign`` and ``unassign``: models that a machine should hold whatever its labels are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.registry.listing import change_each
from modelyard.cli.registry.machines.arguments import MachineName
from modelyard.cli.terminal.completion import complete_model
from modelyard.cli.terminal.terminal import terminal_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.models import Model

    Change = Callable[[RegistryApi, str, UUID], Awaitable[object]]

ModelNames = Annotated[
    list[str],
    typer.Argument(metavar="MODEL...", help="Their names, paths or ids: modelyard ls", autocompletion=complete_model),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to those about machines."""
    app.command("assign")(assign_models)
    app.command("unassign")(unassign_models)


def assign_models(context: typer.Context, machine: MachineName, models: ModelNames) -> None:
    """Assign models to a machine: it gets them whatever labels they require.

    Example: modelyard machine assign render-07 ink kaori
    """
    _change_assignments(
        context, (machine, models), lambda registry, *ids: registry.assign_model(*ids), "Assigned {} to"
    )


def unassign_models(context: typer.Context, machine: MachineName, models: ModelNames) -> None:
    """End the assignment of models to a machine. Copies there are removed, unless its labels ask for the models.

    Example: modelyard machine unassign render-07 ink
    """
    _change_assignments(
        context, (machine, models), lambda registry, *ids: registry.unassign_model(*ids), "{} is no longer assigned to"
    )


def _change_assignments(context: typer.Context, names: tuple[str, list[str]], change: Change, text: str) -> None:
    """Find the machine and all of the models, then change the assignment of each, and print it.

    ``text`` has ``{}`` for the path of the model; the machine follows it.
    """
    from modelyard.client.api.agents import find_agent
    from modelyard.client.resolve_models import find_models

    async def find(registry: RegistryApi) -> tuple[str, list[Model]]:
        """Return the id of the machine, and the models."""
        machine, models = names
        return (await find_agent(registry, machine)).agent_id, await find_models(registry, models)

    terminal = terminal_of(context)
    agent_id, found = terminal.call_registry(find)
    change_each(
        terminal,
        found,
        lambda registry, model: change(registry, agent_id, model.id),
        lambda path: f"{text.format(path)} {agent_id}",
    )
