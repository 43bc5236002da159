"""``machine budget``: the disk budget of a machine, and what it evicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.registry.machines.arguments import MachineName
from modelyard.cli.terminal.formatting import format_age, format_model_path, format_size, format_time
from modelyard.cli.terminal.table import Column, format_table
from modelyard.cli.terminal.terminal import Yes, terminal_of
from modelyard.comfyui.quoting import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelyard.cli.terminal.colors import Line
    from modelyard.client.api.registry import RegistryApi
    from modelyard.wire.uses.lists import EvictionPreview

_NONE = "none"
_HEADINGS = (Column("PATH", 0), Column("SIZE", 1), Column("LAST USED", 2), Column("NOW", 3))


def add_to(app: typer.Typer) -> None:
    """Add the command to those about machines."""
    app.command("budget")(set_budget)


def set_budget(
    context: typer.Context,
    machine: MachineName,
    size: Annotated[str, typer.Argument(help="Such as 500GB; none removes the budget.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what the machine would evict.")] = False,
    yes: Yes = False,
) -> None:
    """Limit what a machine's models take: it evicts the least recently used ones that are not assigned to it.

    Prints what the budget evicts, and asks before it is set if that is any model; a script passes --yes. Evicted models
    stay away until they are assigned to the machine, or a prompt in its queue needs them.

    Example: modelyard machine budget render-07 500GB --dry-run
    """
    from modelyard.wire.search.sizes import parse_size

    budget = None if size.casefold() == _NONE else parse_size(size)
    terminal = terminal_of(context)
    if budget is not None:
        preview = terminal.call_registry(lambda registry: _load_preview(registry, machine, budget))
        terminal.output.answer(
            document=preview,
            lines=format_preview(preview, machine, terminal.output.width),
            quiet=[str(model.model_id) for model in preview.evicted_list],
        )
        if preview.counts_use and preview.evicted_count and not (yes or dry_run):
            typer.confirm("Set this budget?", abort=True, err=True)
    if not dry_run:
        terminal.call_registry(lambda registry: _save_budget(registry, machine, budget))
    if budget is None:
        terminal.output.done(f"{machine} has no disk budget" + (" then." if dry_run else " any more."))
    elif not dry_run:
        terminal.output.note(f"{machine} has a disk budget of {format_size(budget)} now.")


async def _load_preview(registry: RegistryApi, machine: str, budget: int) -> EvictionPreview:
    """Return what a budget evicts from a machine."""
    from modelyard.client.api.agents import find_agent

    return await registry.preview_evictions((await find_agent(registry, machine)).agent_id, budget)


async def _save_budget(registry: RegistryApi, machine: str, budget: int | None) -> None:
    """Set or remove the budget of a machine."""
    from modelyard.client.api.agents import find_agent
    from modelyard.wire.agents.machines import AgentUpdate

    agent_id = (await find_agent(registry, machine)).agent_id
    await registry.update_agent(agent_id, AgentUpdate(disk_budget_bytes=budget))


def format_preview(preview: EvictionPreview, machine: str, width: int | None) -> Sequence[str | Line]:
    """Return the table of what a budget evicts, and sentences about it."""
    rows = [
        (
            format_model_path(model.model_path),
            format_size(model.file_size),
            "never" if model.last_used_at is None else format_age(model.last_used_at),
            "on the machine" if model.is_here else "not there",
        )
        for model in (preview.evicted_list if preview.counts_use else ())
    ]
    lines: list[str | Line] = [*format_table(_HEADINGS, rows, width), ""] if rows else []
    return [*lines, *_list_sentences(preview, machine)]


def _list_sentences(preview: EvictionPreview, machine: str) -> list[str]:
    """Return what the budget of a machine is, and what it means."""
    budget, desired = format_size(preview.disk_budget_bytes), format_size(preview.desired_bytes)
    lines = [f"{machine} could use {budget}; its models take {desired}."]
    if preview.kept_bytes > preview.disk_budget_bytes:
        lines.append(f"Assigned and pinned models alone take {format_size(preview.kept_bytes)}, and stay.")
    if not preview.counts_use:
        lines.append("It does not count use, so it evicts nothing, and downloads stop at the budget.")
        return lines
    if preview.evicts_from is not None and preview.use_counted_since is not None:
        since, first = format_time(preview.use_counted_since), format_time(preview.evicts_from)
        lines.append(f"It counts use since {since}, so it evicts nothing that it has before {first}.")
    if preview.evicted_count:
        models = counted(preview.evicted_count, "model")
        verb = "evicts" if preview.evicts_from is None else "would evict"
        lines.append(f"By its last report it {verb} {models}, which frees {format_size(preview.freed_bytes)}.")
        if preview.evicted_count > len(preview.evicted_list):
            lines.append(f"The first {len(preview.evicted_list)} are listed.")
    if preview.away_count:
        lines.append(f"Not held already, evicted or never fetched: {counted(preview.away_count, 'model')}.")
    return lines
