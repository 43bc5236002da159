"""``lookup``: find models by hashes, paths and files of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelyard.cli.terminal.formatting import format_table
from modelyard.cli.terminal.terminal import terminal_of

if TYPE_CHECKING:
    from modelyard.client.api.registry import Registry
    from modelyard.client.lookup import LookupAnswer

_HEADINGS = ("ASKED", "FOUND BY", "VERSION", "PATH", "ID")
_NOT_FOUND = 1


def add_to(app: typer.Typer) -> None:
    """Add the command to the command tree."""
    app.command()(lookup)


def lookup(
    context: typer.Context,
    texts: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|HASH|PATH...",
            help="Files of this machine, hashes of any kind from 8 digits on, or model paths.",
        ),
    ],
) -> None:
    """Find the models that have the content of a file, a hash or a path.

    A hash is SHA-256, BLAKE3, AutoV1, AutoV2, AutoV3 or CRC32, in any case, with or without a prefix such as sha256:.
    A FILE that exists here is hashed. Exits with 1 if one of them is not found.

    Examples: modelyard lookup a5f58eb1c3; modelyard lookup ~/Downloads/ink.safetensors
    """
    from modelyard.cli.terminal.progress import show_progress
    from modelyard.client.lookup import look_up
    from modelyard.transfer.hashing import DigestCache

    terminal = terminal_of(context)
    digests = DigestCache(terminal.settings.cache_dir / "digests.sqlite")

    async def find(registry: Registry) -> list[LookupAnswer]:
        """Hash the files and ask the registry."""
        with show_progress(terminal.output) as view:
            return await look_up(registry, texts, digests, view.show)

    answers = terminal.call_registry(find)
    missing = [answer.text for answer in answers if not answer.match_list]
    matches = [(answer.text, match) for answer in answers for match in answer.match_list]
    terminal.output.answer(
        document={
            "match_list": [match.model_dump(mode="json") | {"asked": text} for text, match in matches],
            "not_found": missing,
        },
        lines=format_table(_HEADINGS, [row for answer in answers for row in _build_rows(answer)]),
        quiet=[str(match.id) for _, match in matches],
    )
    if missing:
        raise typer.Exit(_NOT_FOUND)


def _build_rows(answer: LookupAnswer) -> list[tuple[str, ...]]:
    """Return the cells of each match, or of one row that says that there is none."""
    return [
        (answer.text, match.matched_by, str(match.version), match.model_path, str(match.id))
        for match in answer.match_list
    ] or [(answer.text, "not found", "", "", "")]
