"""What commands that import models share: show drafts, ask, wait with progress, and say how imports ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from modelyard.cli.terminal.formatting import format_model_path, format_size
from modelyard.cli.terminal.table import format_table
from modelyard.comfyui.quoting import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from modelyard.cli.terminal.progress import ProgressView
    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.api.registry import RegistryApi
    from modelyard.client.imports import EndedImport, RefusedImport
    from modelyard.wire.imports.drafts import ImportDraft
    from modelyard.wire.imports.jobs import ModelImport, NewImport

_RELIES_ON_ETAG = """\
  The download was interrupted, and no hash is declared: only the ETag of
  the source says that all bytes are of one file."""
_HEADINGS = ("SOURCE", "SIZE", "PATH", "BASE MODEL", "LICENSE")


def format_drafts(drafts: Sequence[ImportDraft], imports: Sequence[NewImport]) -> list[str]:
    """Return a table of drafts as they are confirmed, and a line about each that is one of several files."""
    rows = [
        (
            draft.source.name,
            format_size(new.file_size) if new.file_size else "unknown",
            format_model_path(new.model_path),
            draft.base_model or "",
            draft.license or "",
        )
        for draft, new in zip(drafts, imports, strict=True)
    ]
    others = [
        f"{draft.source.name} has {counted(len(draft.file_list) - 1, 'other file')}: "
        "--include imports several, and --dry-run --json lists their links."
        for draft in drafts
        if len(draft.file_list) > 1
    ]
    return [*map(str, format_table(_HEADINGS, rows, None)), *others]


def confirm_imports(
    terminal: Terminal, drafts: Sequence[ImportDraft], imports: Sequence[NewImport], *, is_accepted: bool
) -> None:
    """Show the drafts and ask whether to import them.

    Raises:
        BadParameter: no question can be asked, and ``--yes`` is not given.
        Abort: the answer is no.
    """
    if is_accepted:
        return
    if not terminal.can_ask:
        raise typer.BadParameter("To import without a question, add --yes; --dry-run shows what would be imported.")
    for line in format_drafts(drafts, imports):
        terminal.output.note(line)
    typer.confirm(f"Import {counted(len(imports), 'file')}?", abort=True, err=True)


def run_imports(terminal: Terminal, imports: Sequence[NewImport]) -> list[EndedImport | RefusedImport]:
    """Run imports at the same time, as far as the registry does, and return them when all have ended or are refused."""
    from modelyard.cli.terminal.progress import show_progress
    from modelyard.client import imports as client

    async def run(registry: RegistryApi) -> list[EndedImport | RefusedImport]:
        """Start all imports and wait for them."""
        with show_progress(terminal.output) as view:
            return await client.run_imports(
                registry, imports, lambda: build_reporter(view), lambda new, name: _print_followed(view, new, name)
            )

    return terminal.call_registry(run, retry_until_give_up=True)


def _print_followed(view: ProgressView, new: NewImport, name: str) -> None:
    """Print whose import is waited for instead of starting another one."""
    message = f"{format_model_path(new.model_path)}: {name} imports it already. Waiting for that import."
    view.print_above(lambda: typer.echo(message, err=True))


def build_reporter(view: ProgressView) -> Callable[[ModelImport], None]:
    """Return a function that shows the progress of one import, and each new reason why it waits."""
    from pathlib import Path

    from modelyard.transfer.progress import Received

    shown = set[str]()

    def report(record: ModelImport) -> None:
        """Show one state of the import."""
        if record.import_state == "queued" and record.error and record.error not in shown:
            shown.add(record.error)
            message = f"{record.display_name}: {record.error}"
            view.print_above(lambda: typer.echo(message, err=True))
        if record.file_size is not None:
            view.show(Received(Path(record.model_path), record.bytes_done, record.file_size))

    return report


def format_ended(ended: EndedImport | RefusedImport) -> str:
    """Return the line about an import that has ended or is refused, and two more if only an ETag joins its ranges."""
    from modelyard.client.imports import RefusedImport

    if isinstance(ended, RefusedImport):
        return f"{format_model_path(ended.model_path)}: not imported. {ended.error}"
    path = format_model_path(ended.record.model_path)
    if ended.error and not ended.is_waiting:
        return f"{path}: not imported. {ended.error}"
    imported = f"{path}: imported, {ended.record.model_id}"
    if ended.error:
        imported = f"{imported}, but not verified yet. {ended.error}"
    return f"{imported}\n{_RELIES_ON_ETAG}" if ended.record.relies_on_etag else imported
