"""``sync``: a models folder becomes what the team wants, once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.rate import LimitRate, network_of
from modelyard.cli.terminal import require_posix, terminal_of
from modelyard.cli.words import size_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from modelyard.cli.progress import Picture
    from modelyard.cli.terminal import Terminal
    from modelyard.client.registry import Registry
    from modelyard.client.sync.acting.downloads import Terms
    from modelyard.client.sync.acting.standing import Standing, Tell
    from modelyard.client.sync.planning.actions import Plan
    from modelyard.client.sync.wanted import WantedList


def add_to(app: typer.Typer) -> None:
    app.command()(sync)


def sync(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a ComfyUI, or a models folder.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    label: Annotated[
        list[str] | None, typer.Option("--label", help="A label of this machine; models that need it come too.")
    ] = None,
    comfyui_url: Annotated[
        str | None,
        typer.Option("--comfyui-url", metavar="URL", help="Where its ComfyUI listens; else http://127.0.0.1:8188."),
    ] = None,
    limit_rate: LimitRate = None,
    approve_removal: Annotated[
        bool, typer.Option("--approve-removal", help="Remove what is not wanted any more, however many files it is.")
    ] = False,
) -> None:
    """Make a models folder hold what the team wants, once, verified; the plan is printed first.

    Files that this command did not place are never changed or removed. A ComfyUI that runs there is asked where it
    looks, and whether it finds what was placed. To keep a machine so: modelyard agent run

    Examples: modelyard sync ~/ComfyUI --dry-run; modelyard sync /srv/models --label gpu24
    """
    require_posix("modelyard sync")
    from modelyard.client.sync.acting.downloads import Terms

    terminal = terminal_of(context)
    terms = Terms(network=network_of(limit_rate))

    wish = _Wish(folder, comfyui_url, label or [], dry_run, approve_removal)

    async def work(registry: Registry) -> tuple[Plan, tuple[Standing, ...]]:
        return await _synced(terminal, registry, wish, terms)

    plan, standings = terminal.ask(work, patiently=True)
    terminal.output.answer(
        document={"plan": _document(plan), "results": [result_of(standing) for standing in standings]},
        lines=_summary(plan, standings, dry_run),
        quiet=[str(standing.path) for standing in standings if standing.state == "ready"],
    )
    is_good = plan.held is None and not plan.refuse and all(each.state in {"ready", None} for each in standings)
    if not is_good and not dry_run:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Wish:
    folder: Path
    comfyui_url: str | None
    labels: Sequence[str]
    dry_run: bool
    approve_removal: bool


async def _synced(
    terminal: Terminal, registry: Registry, wish: _Wish, terms: Terms
) -> tuple[Plan, tuple[Standing, ...]]:
    import asyncio
    from dataclasses import replace

    from modelyard.agent.beside import let_go, proven, why_busy
    from modelyard.agent.library import Memory, library_at
    from modelyard.cli.progress import drawing
    from modelyard.client.address import checked_download
    from modelyard.client.sync.acting.apply import apply_plan
    from modelyard.client.syncing import folder_memory, plan_once

    memory = Memory(terminal.settings.state_dir / "sync" / "folders.json")
    library = await asyncio.to_thread(library_at, wish.folder, wish.comfyui_url, os.environ, memory)
    wanted = await _wanted(terminal, registry, wish)
    async with folder_memory(wish.folder, terminal.settings.state_dir) as machine:
        plan = await plan_once(library.installs, wanted, machine, approve_removal=wish.approve_removal)
        for line in _planned(plan):
            terminal.output.note(line)
        if wish.dry_run:
            return plan, ()

        async def url_of(model_id: UUID) -> str:
            return checked_download((await registry.download_ticket(model_id)).download_url, registry.url)

        with drawing(terminal.output) as picture:
            beside = replace(terms, why_busy=why_busy(library))
            standings = await apply_plan(plan, machine, url_of, beside, _drawn(picture))
        await asyncio.to_thread(let_go, library, standings, plan)
        return plan, await asyncio.to_thread(proven, library, wanted, standings)


async def _wanted(terminal: Terminal, registry: Registry, wish: _Wish) -> WantedList:
    """A machine's key has a manifest; everybody else has the team's list."""
    from modelyard.cli.agent import agent_settings
    from modelyard.client.syncing import machine_list, team_list
    from modelyard.wire.credentials import PREFIXES

    if (terminal.settings.token or "").startswith(PREFIXES["agent"]):
        return await machine_list(registry, agent_settings(terminal).agent_id, wish.labels)
    return await team_list(registry, wish.labels)


def _drawn(picture: Picture) -> Tell:
    from modelyard.transfer.progress import Received

    def tell(standing: Standing) -> None:
        path = Path(standing.model_path)
        if standing.state == "downloading":
            picture.hear(Received(path, standing.bytes_done, standing.size))
        elif standing.state != "verifying":
            picture.forget(path)

    return tell


def _planned(plan: Plan) -> Iterable[str]:
    """The plan, a line for each thing that is done or not done."""
    for fetch in plan.fetch:
        yield f"fetch    {fetch.wanted.model_path}  {size_words(fetch.wanted.size)}"
    for adopt in plan.adopt:
        yield f"take     {adopt.wanted.model_path}  from {adopt.source.path}"
    for swap in plan.replace:
        yield f"replace  {swap.wanted.model_path}  {size_words(swap.wanted.size)}"
    for removal in plan.remove:
        yield f"remove   {removal.target.path}"
    for refusal in plan.refuse:
        yield f"leave    {refusal.model_path}: {refusal.reason}"
    for keep in plan.keep:
        if keep.remark:
            yield f"note     {keep.wanted.model_path}: {keep.remark}"
    yield from plan.notes
    if plan.held is not None:
        yield f"{plan.held.finding} So many are removed only if you say so: --approve-removal"
        yield from (f"keep     {removal.target.path}" for removal in plan.held.removals)


def _summary(plan: Plan, standings: Sequence[Standing], dry_run: bool) -> list[str]:
    if dry_run:
        coming = len(plan.fetch) + len(plan.adopt) + len(plan.replace)
        return [f"{len(plan.keep)} are here, {coming} would come, {len(plan.remove)} would go."]
    # What is refused is in the plan, which was printed.
    refused = {refusal.model_id for refusal in plan.refuse}
    lines = [
        f"{each.done or each.state}  {each.path or each.model_path}" + (f": {each.reason}" if each.reason else "")
        for each in standings
        if (each.done not in {"kept", "found"} or each.reason) and each.model_id not in refused
    ]
    here = sum(standing.state == "ready" for standing in standings)
    return [*lines, f"{here} models are here as the team wants them."]


def _document(plan: Plan) -> dict[str, object]:
    return {
        "fetch": [{"model_path": each.wanted.model_path, "file_size": each.wanted.size} for each in plan.fetch],
        "adopt": [{"model_path": each.wanted.model_path, "from": each.source.path} for each in plan.adopt],
        "replace": [{"model_path": each.wanted.model_path, "file_size": each.wanted.size} for each in plan.replace],
        "remove": [each.target.path for each in plan.remove],
        "held": [] if plan.held is None else [each.target.path for each in plan.held.removals],
        "keep": [{"model_path": each.wanted.model_path, "path": each.path} for each in plan.keep],
        "refuse": [{"model_path": each.model_path, "state": each.state, "reason": each.reason} for each in plan.refuse],
        "notes": plan.notes,
    }


def result_of(standing: Standing) -> dict[str, object]:
    """Where a model stands, as JSON says it."""
    return {
        "model_id": standing.model_id,
        "model_path": standing.model_path,
        "state": standing.state or "removed",
        "outcome": standing.done,
        "path": standing.path,
        "reason": standing.reason,
    }
