"""``push``: files become models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from modelyard.cli.rate import LimitRate, network_of
from modelyard.cli.terminal import Terminal, terminal_of
from modelyard.cli.words import size_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelyard.client.push import Pushed
    from modelyard.client.registry import Registry
    from modelyard.client.selection import PushRequest, Unfit
    from modelyard.transfer.network import Network

_MOST_JOBS = 16


class Manner(NamedTuple):
    """How a push goes about it: files at once, whether it waits for verification, and how fast it may be."""

    jobs: int
    wait: bool
    network: Network


def add_to(app: typer.Typer) -> None:
    app.command()(push)


def push(
    context: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files, folders (all models below), patterns.")],
    model_type: Annotated[
        str | None,
        typer.Option(
            "--type", help="The ComfyUI models folder, such as loras; else the file's folder or content says it."
        ),
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(help="Where machines hold it: models/<type>/<file>; with a slash at its end, a folder."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="A display name; else the file's name.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag; may be repeated.")] = None,
    description: Annotated[str | None, typer.Option(help="Free text.")] = None,
    license_name: Annotated[str | None, typer.Option("--license", help="A licence's name or SPDX id.")] = None,
    source_url: Annotated[str | None, typer.Option(help="Where it came from.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="Only machines with this label get it; may be repeated.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Put new bytes behind a path that is taken.")] = False,
    clean_names: Annotated[
        bool, typer.Option("--clean-names", help="Where a file's name is unfit, use the nearest fit one.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would happen; change and send nothing.")
    ] = False,
    limit_rate: LimitRate = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=_MOST_JOBS, help="Files at once.")] = 2,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until the registry has read and verified the bytes.")
    ] = True,
) -> None:
    """Push model files into the team's registry.

    Bytes that the team holds already are not sent. After an interruption, the same command goes on where it stopped.
    The exit code is that of the worst file.

    Examples: modelyard push ink.safetensors --type loras --tag portrait; modelyard push ~/ComfyUI/models/loras
    """
    from modelyard.client.selection import Notes, Wishes, select_files

    said: dict[str, Any] = {
        "description": description,
        "tags": tag,
        "license": license_name,
        "source_url": source_url,
        "required_labels": label,
    }
    notes = Notes(**{field: value for field, value in said.items() if value is not None})
    wishes = Wishes(model_type, path, name, notes, replace, clean_names)
    selected = select_files(files, wishes)
    manner = Manner(jobs, wait, network_of(limit_rate))
    terminal = terminal_of(context)
    raise typer.Exit(_rehearsed(terminal, selected) if dry_run else _pushed(terminal, selected, manner))


def _pushed(terminal: Terminal, selected: Sequence[PushRequest | Unfit], manner: Manner) -> int:
    """Push what can be pushed; the exit code of the worst file."""
    from modelyard.cli.progress import drawing
    from modelyard.client.batch import push_all
    from modelyard.client.push import Pushed, Pushing
    from modelyard.client.selection import PushRequest, Unfit

    requests = [each for each in selected if isinstance(each, PushRequest)]
    results = [Pushed(each.file, "failed", failure=each.why) for each in selected if isinstance(each, Unfit)]
    for result in results:
        _tell(terminal, result)

    async def work(registry: Registry) -> list[Pushed]:
        with drawing(terminal.output) as picture:
            pushing = Pushing(registry, terminal.settings, picture.hear, wait=manner.wait, network=manner.network)

            def settled(result: Pushed) -> None:
                picture.forget(result.file)
                picture.above(lambda: _tell(terminal, result))

            return await push_all(pushing, requests, manner.jobs, settled)

    if requests:
        results += terminal.ask(work, patiently=True)
    if terminal.output.style == "json":
        terminal.output.answer(document={"files": [_document(result) for result in results]}, lines=[])
    return max(_exit_code(result) for result in results)


def _tell(terminal: Terminal, result: Pushed) -> None:
    from modelyard.cli.explain import explained

    if result.failure is not None:
        told = explained(result.failure)
        if told is None:
            raise result.failure
        terminal.output.warn("\n  ".join([f"{result.file}: {told.sentence}", *told.fix]))
    elif result.model is not None and terminal.output.style != "json":
        model = result.model
        state = "" if model.verification == "verified" else f", {model.verification}"
        line = f"{result.outcome}  {model.model_path}  {size_words(model.file_size)}{state}  {model.id}"
        terminal.output.answer(document=None, lines=[line], quiet=[str(model.id)])


def _exit_code(result: Pushed) -> int:
    from modelyard.cli.explain import OTHER, explained

    if result.failure is None:
        return 0
    told = explained(result.failure)
    return OTHER if told is None else told.exit_code


def _document(result: Pushed) -> dict[str, object]:
    from modelyard.cli.explain import explained

    told = None if result.failure is None else explained(result.failure)
    return {
        "file": str(result.file),
        "outcome": result.outcome,
        "model": result.model,
        "error": None if told is None else told.facts,
    }


def _rehearsed(terminal: Terminal, selected: Sequence[PushRequest | Unfit]) -> int:
    """Say what a push would do, asking the registry only what it holds."""
    from modelyard.client.push import Pushed
    from modelyard.client.rehearsal import rehearse
    from modelyard.client.selection import Unfit

    plans = terminal.ask(lambda registry: rehearse(registry, terminal.settings, selected))
    failed = [Pushed(each.file, "failed", failure=each.why) for each in selected if isinstance(each, Unfit)]
    for result in failed:
        _tell(terminal, result)
    terminal.output.answer(
        document={"plan": [plan._asdict() for plan in plans], "files": [_document(result) for result in failed]},
        lines=[
            f"would {plan.action}  {plan.file}  as {plan.model_path}  ({plan.model_type}, {size_words(plan.size)})"
            for plan in plans
        ],
        quiet=[plan.model_path for plan in plans],
    )
    codes = [_exit_code(result) for result in failed] + [4 for plan in plans if plan.is_refused]
    return max(codes, default=0)
