"""``add``: import models from links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal.terminal import terminal_of
from modelyard.cli.transfers.imports import confirm_imports, format_drafts, format_ended, run_imports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelyard.cli.terminal.terminal import Terminal
    from modelyard.client.imports import EndedImport, RefusedImport
    from modelyard.wire.imports.drafts import ImportDraft
    from modelyard.wire.imports.jobs import NewImport

_FAILED = 1


def add_to(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command()(add)


def add(
    context: typer.Context,
    urls: Annotated[
        list[str], typer.Argument(metavar="URL...", help="Links to Hugging Face, Civitai (also AIR), or https files.")
    ],
    model_type: Annotated[
        str | None, typer.Option("--type", help="The ComfyUI models folder; by default what fits the file.")
    ] = None,
    path: Annotated[
        str | None, typer.Option(help="The path on machines, such as loras/ink.safetensors; of a single URL.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="A display name; of a single URL.")] = None,
    replace: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Import it as the next version of this model; of a single URL.")
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Import all files whose names match, such as 'vae/*'. May be repeated."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Import without a question.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be imported; import nothing.")] = False,
) -> None:
    """Add models from links: the registry downloads the files, and verifies them like uploads.

    Shows what the links are before it asks. A repository or version with several files is one of them; use the link of
    another file for that, or --include for several. The registry continues if this program ends.

    Examples: modelyard add https://civitai.com/models/111; modelyard add hf://studio/ink/ink.safetensors --type loras;
    modelyard add https://civitai.com/models/111 --replace ink; modelyard add hf://studio/ink --include '*.safetensors'
    """
    from modelyard.client.imports import DraftChanges, confirm_draft, confirm_next_version, resolve_links
    from modelyard.client.resolve_models import find_model

    if (len(urls) > 1 or include) and (path or name or replace):
        raise typer.BadParameter("--path, --name and --replace take a single URL, without --include.")
    if replace and (path or model_type):
        raise typer.BadParameter("With --replace, the model keeps its path and type.")
    terminal = terminal_of(context)
    replaced = terminal.call_registry(lambda registry: find_model(registry, replace)) if replace else None
    found = terminal.call_registry(lambda registry: resolve_links(registry, urls))
    drafts = _choose(found, include) if include else found
    if replaced is None:
        imports = [confirm_draft(draft, DraftChanges(model_type, path, name)) for draft in drafts]
    else:
        imports = [confirm_next_version(draft, replaced, name) for draft in drafts]
    _check(imports)
    if dry_run:
        _print_drafts(terminal, drafts, imports)
        return
    confirm_imports(terminal, drafts, imports, is_accepted=yes)
    _print_ended(terminal, run_imports(terminal, imports))


def _check(imports: Sequence[NewImport]) -> None:
    """Check the paths of all imports before any starts; raises ``BadParameter`` if two would get one path."""
    from modelyard.client.imports import check_paths

    try:
        check_paths(imports)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _choose(found: Sequence[ImportDraft], patterns: Sequence[str]) -> list[ImportDraft]:
    """Return the drafts of the files that match; raises ``BadParameter`` if none does, or a draft has not all files."""
    from modelyard.client.imports import choose_files

    try:
        return [each for draft in found for each in choose_files(draft, patterns)]
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _print_drafts(terminal: Terminal, drafts: Sequence[ImportDraft], imports: Sequence[NewImport]) -> None:
    """Print what would be imported."""
    terminal.output.answer(
        document={"draft_list": drafts},
        lines=format_drafts(drafts, imports),
        quiet=[new.model_path for new in imports],
    )


def _print_ended(terminal: Terminal, ended: Sequence[EndedImport | RefusedImport]) -> None:
    """Print which models were imported; exit with 1 if one was not, or could not be verified yet.

    Raises:
        Problem: the only import is refused.
    """
    from modelyard.client.imports import EndedImport, RefusedImport

    started = [each for each in ended if isinstance(each, EndedImport)]
    refused = [each for each in ended if isinstance(each, RefusedImport)]
    if len(ended) == len(refused) == 1:
        raise refused[0].problem
    problems = [{"model_path": each.model_path} | each.problem.to_json() for each in refused]
    terminal.output.answer(
        document={"import_list": [each.to_json() for each in started], "refused_list": problems},
        lines=[format_ended(each) for each in ended],
        quiet=[
            str(each.model.id) for each in started if each.model is not None and (each.is_waiting or not each.error)
        ],
    )
    if any(each.error for each in ended):
        raise typer.Exit(_FAILED)
