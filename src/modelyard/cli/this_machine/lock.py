"""``lock``: pin the models of workflows by their SHA-256, and compare a lock with the registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal.table import format_table
from modelyard.cli.terminal.terminal import terminal_of
from modelyard.comfyui.quoting import counted, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from modelyard.cli.terminal.colors import Line
    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.api.registry import RegistryApi
    from modelyard.client.locks import BuiltLock, ComparedModel
    from modelyard.comfyui.locks.locked_models import LockedModel

_DIFFERS = 1
_STANDARD_OUTPUT = Path("-")
_STATES = {
    "current": "current",
    "other_version": "other version",
    "other_path": "other path",
    "missing": "not found",
    "no_hash": "no hash",
    "unclear": "unclear",
}


def add_to(app: typer.Typer) -> None:
    """Add this command to the command tree."""
    app.command()(lock)


def lock(
    context: typer.Context,
    workflows: Annotated[
        list[Path] | None,
        typer.Argument(metavar="WORKFLOW", help="Workflows, or pictures, videos and sounds with one."),
    ] = None,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="LOCK", help="The file to write; - is standard output."),
    ] = Path("comfy-lock.yaml"),
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Write the lock also if the team lacks models.")
    ] = False,
    check: Annotated[
        Path | None,
        typer.Option(metavar="LOCK", help="Write nothing, and compare this lock with the registry and the workflows."),
    ] = None,
) -> None:
    """Pin the models of ComfyUI workflows: write the path and the SHA-256 of each in a comfy-lock.yaml.

    Exits with 1 and writes nothing if the team lacks a model that a workflow requires. Of an existing file, only the
    section models is replaced. With --check, exits with 1 if the registry lacks a locked content, or the lock a model
    of the workflows; a newer version in the registry is only shown. modelyard sync DIR --lock makes a machine hold the
    models.

    Examples: modelyard lock portrait.json -o comfy-lock.yaml; modelyard lock --check comfy-lock.yaml
    """
    terminal = terminal_of(context)
    if check is not None:
        _check_lock(terminal, check, workflows or [])
    elif workflows:
        _write_lock(terminal, workflows, output, allow_missing=allow_missing)
    else:
        raise typer.BadParameter("Give a WORKFLOW, or --check LOCK.")


def _write_lock(terminal: Terminal, workflows: Sequence[Path], output: Path, *, allow_missing: bool) -> None:
    """Build the lock of workflows and write it, and print it.

    Write nothing if models are missing and that is not allowed.

    Raises:
        Exit: models are missing, so nothing is written; with code 1.
    """
    from modelyard.client.locks import build_lock, update_lock_file
    from modelyard.comfyui.locks.writing import write_lock

    built = terminal.call_registry(lambda registry: build_lock(registry, workflows))
    is_written = allow_missing or not built.missing
    is_on_output = output == _STANDARD_OUTPUT
    if is_written and not is_on_output:
        update_lock_file(output, built.models)
    text = write_lock(built.models).decode() if is_written and is_on_output else ""
    paths = [model.path.relative for model in built.models] if is_written else []
    terminal.output.answer(
        document=_build_document(built) | {"lock": str(output) if is_written and not is_on_output else None},
        lines=text.splitlines(),
        quiet=text.splitlines() if is_on_output else paths,
    )
    _explain(terminal, built)
    if not is_written:
        terminal.output.warn(
            f"No lock is written: the registry lacks {counted(len(built.missing), 'model')}. To write it without: "
            "--allow-missing"
        )
        raise typer.Exit(_DIFFERS)
    if not is_on_output:
        terminal.output.note(f"Locked {counted(len(built.models), 'model')} in {quoted(output)}.")


def _explain(terminal: Terminal, built: BuiltLock) -> None:
    """Print on standard error what the team lacks, and what else there is to know."""
    for note in built.notes:
        terminal.output.note(note)
    for line in _list_missing(built):
        terminal.output.warn(line)
    if any(each.suggestion for each in built.missing):
        terminal.output.note("For a copy with the team's names: modelyard check WORKFLOW --rewrite NEW_FILE")


def _list_missing(built: BuiltLock) -> Iterable[str]:
    """Yield a line for each model that the team lacks."""
    for each in built.missing:
        has = f" (the team has {each.suggestion})" if each.suggestion else ""
        state = "not verified" if each.state in ("present", "other_content") else "not found"
        yield f"{state}  {each.folder or 'unknown folder'}  {each.name}{has}"


def _build_document(built: BuiltLock) -> dict[str, object]:
    """Return the models of a lock, and those that are missing, as a document for ``to_json``."""
    return {
        "model_list": [_to_document(model) for model in built.models],
        "missing_list": [each.model_dump(mode="json") for each in built.missing],
    }


def _to_document(model: LockedModel) -> dict[str, object]:
    """Return a locked model as a document."""
    return {"model_path": model.path.relative, "sha256": model.sha256, "url": model.url}


def _check_lock(terminal: Terminal, file: Path, workflows: Sequence[Path]) -> None:
    """Compare a lock with the registry, and with a lock of the workflows, and print the differences.

    Raises:
        Exit: there are some; with code 1.
    """
    from modelyard.client.locks import BuiltLock, build_lock, compare_lock, read_lock_file

    async def compare(registry: RegistryApi) -> tuple[list[ComparedModel], BuiltLock]:
        """Read the lock before the registry is asked for anything."""
        models = await read_lock_file(file)
        compared = await compare_lock(registry, models)
        return compared, await build_lock(registry, workflows) if workflows else BuiltLock((), ())

    compared, built = terminal.call_registry(compare)
    locked = {each.model.path.key for each in compared}
    unlocked = [model for model in built.models if model.path.key not in locked]
    terminal.output.answer(
        document={
            "lock": str(file),
            "model_list": [_to_compared_document(each) for each in compared],
            "unlocked_list": [_to_document(model) for model in unlocked],
            "missing_list": _build_document(built)["missing_list"],
        },
        lines=_format_comparison(file, compared, unlocked, terminal.output.width),
        quiet=[each.model.path.relative for each in compared if not each.is_available]
        + [model.path.relative for model in unlocked],
    )
    _explain(terminal, built)
    if unlocked or built.missing or not all(each.is_available for each in compared):
        raise typer.Exit(_DIFFERS)


def _to_compared_document(compared: ComparedModel) -> dict[str, object]:
    """Return what the registry has for a locked model as a document."""
    return _to_document(compared.model) | {
        "state": compared.state,
        "model_id": compared.match and str(compared.match.id),
        "version": compared.match and compared.match.version,
        "current_version": compared.at_path and compared.at_path.version,
    }


def _format_comparison(
    file: Path, compared: Sequence[ComparedModel], unlocked: Sequence[LockedModel], width: int | None
) -> list[str | Line]:
    """Return a summary and the lines of a table with what differs."""
    unclear = sum(each.state == "unclear" for each in compared)
    lacking = sum(not each.is_available for each in compared) - unclear
    all_of_them = "it" if len(compared) == 1 else "all of them"
    lacks = [f"the registry lacks {lacking}"] if lacking else []
    has = ", ".join([*lacks, *([f"{unclear} unclear"] if unclear else [])]) or f"the registry has {all_of_them}"
    summary = f"{quoted(file)}: locks {counted(len(compared), 'model')}, {has}."
    rows = [_build_row(each) for each in compared if each.state != "current"]
    rows += [("not locked", model.path.relative, "a workflow names it") for model in unlocked]
    return [summary, "", *format_table(("STATE", "PATH", "NOTE"), rows, width)] if rows else [summary]


def _build_row(compared: ComparedModel) -> tuple[str, ...]:
    """Return the cells of a locked model that is not the current one at its path."""
    match, at_path, note = compared.match, compared.at_path, ""
    if compared.state == "other_version" and match and at_path:
        note = f"version {match.version}; machines get version {at_path.version}"
    elif match:
        note = f"the team has it at {match.model_path.removeprefix('models/')}"
    elif compared.state == "unclear":
        note = "very many models have the content, and the newest are hidden from this key"
    elif compared.state == "no_hash":
        note = "the lock has no SHA-256 for it"
    elif at_path:
        note = f"the team has another content there: version {at_path.version}"
    return _STATES[compared.state], compared.model.path.relative, note
