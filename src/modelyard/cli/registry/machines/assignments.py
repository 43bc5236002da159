"""``machine assign`` and ``unassign``: models that a machine should hold whatever its labels are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.registry.machines.arguments import MachineName
from modelyard.cli.terminal.completion import complete_model
from modelyard.cli.terminal.terminal import terminal_of
from modelyard.comfyui.quoting import counted

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
    agent_id, found = _change_assignments(context, machine, models, lambda registry, *ids: registry.assign_model(*ids))
    terminal_of(context).output.done(f"Assigned to {agent_id}: {counted(len(found), 'model')}.", **_get_facts(found))


def unassign_models(context: typer.Context, machine: MachineName, models: ModelNames) -> None:
    """End the assignment of models to a machine. Copies there are removed, unless its labels ask for the models.

    Example: modelyard machine unassign render-07 ink
    """
    agent_id, found = _change_assignments(
        context, machine, models, lambda registry, *ids: registry.unassign_model(*ids)
    )
    terminal_of(context).output.done(
        f"No longer assigned to {agent_id}: {counted(len(found), 'model')}.", **_get_facts(found)
    )


def _change_assignments(
    context: typer.Context, machine: str, names: list[str], change: Change
) -> tuple[str, list[Model]]:
    """Find the machine and all of the models, and only then change the assignment of each; return what was found."""
    from modelyard.client.api.agents import find_agent
    from modelyard.client.resolve_models import find_model

    async def run(registry: RegistryApi) -> tuple[str, list[Model]]:
        """Change the assignments with one registry client."""
        agent = await find_agent(registry, machine)
        found = [await find_model(registry, name) for name in names]
        for model in found:
            await change(registry, agent.agent_id, model.id)
        return agent.agent_id, found

    return terminal_of(context).call_registry(run)


def _get_facts(models: list[Model]) -> dict[str, list[str]]:
    """Return the ids of the models, for the JSON document."""
    return {"model_ids": [str(model.id) for model in models]}
