"""``unused``: models that machines hold without using them, and what their removal frees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal.completion import complete_machine
from modelyard.cli.terminal.formatting import format_age, format_model_path, format_size
from modelyard.cli.terminal.table import Column, format_table
from modelyard.cli.terminal.terminal import terminal_of
from modelyard.comfyui.quoting import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelyard.cli.terminal.colors import Line
    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.uses.lists import UnusedModel, UnusedModelList

_HEADINGS = (Column("PATH", 0), Column("SIZE", 1), Column("LAST USED", 2), Column("MACHINES", 3))


def add_to(app: typer.Typer) -> None:
    """Add the command to the command tree."""
    app.command("unused")(list_unused)


def list_unused(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=1, help="Not used for so many days.")] = 90,
    machine: Annotated[str | None, typer.Option(help="Only on this machine.", autocompletion=complete_machine)] = None,
) -> None:
    """List models that their machines have not used for a while, the largest first, and what removing them frees.

    Assigned and pinned models are left out, and machines that have not counted use for so long.

    Example: modelyard unused --days 30 --machine render-07
    """
    from modelyard.client.api.agents import find_agent, list_all_unused_models
    from modelyard.wire.uses.lists import MAX_UNUSED_MACHINES

    async def load(registry: RegistryApi) -> tuple[UnusedModelList, list[UnusedModel]]:
        """Return the sums and the models, with one registry client."""
        agent_id = None if machine is None else (await find_agent(registry, machine)).agent_id
        return await list_all_unused_models(registry, days, agent_id)

    terminal = terminal_of(context)
    sums, models = terminal.call_registry(load)
    terminal.output.answer(
        document=sums.model_dump(mode="json", exclude={"page_meta"})
        | {"unused_model_list": [model.model_dump(mode="json") for model in models]},
        lines=format_unused(sums, models, days, terminal.output.width),
        quiet=[str(model.model_id) for model in models],
    )
    if sums.uncounted_ids:
        names = _format_machines(sums.uncounted_ids[:MAX_UNUSED_MACHINES], len(sums.uncounted_ids))
        terminal.output.note(f"Not counted for {counted(days, 'day')}, so not in the list: {names}")


def format_unused(
    sums: UnusedModelList, models: Sequence[UnusedModel], days: int, width: int | None
) -> Sequence[str | Line]:
    """Return the table of the models and the line with how much space they use; a sentence if there are none."""
    if not models:
        return [f"No model is known to be unused for {counted(days, 'day')}."]
    rows = [
        (
            format_model_path(model.model_path),
            format_size(model.file_size),
            _format_use(model),
            _format_machines(model.agent_ids, model.agent_count),
        )
        for model in models
    ]
    machines, size = counted(sums.machine_count or 0, "machine"), format_size(sums.total_bytes or 0)
    return [
        *format_table(_HEADINGS, rows, width),
        "",
        f"Safe to remove from {machines}: {counted(sums.model_count or 0, 'model')}, {size}.",
    ]


def _format_machines(agent_ids: Sequence[str], count: int) -> str:
    """Return the names of machines, and how many more there are."""
    names = ", ".join(agent_ids)
    return names if count <= len(agent_ids) else f"{names} and {count - len(agent_ids)} more"


def _format_use(model: UnusedModel) -> str:
    """Return how long ago a model was used, on any machine."""
    return "never" if model.last_used_at is None else format_age(model.last_used_at)
