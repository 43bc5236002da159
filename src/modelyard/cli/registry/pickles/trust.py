"""The group ``trust``: pickle files that the scan has refused and an admin has allowed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from modelyard.cli.commands import CLIENT_COMMANDS
from modelyard.cli.registry.listing import ListFormat, print_list
from modelyard.cli.terminal.formatting import format_age, format_model_path
from modelyard.cli.terminal.table import Column
from modelyard.cli.terminal.terminal import Yes, terminal_of

if TYPE_CHECKING:
    from modelyard.client.pickles.trusted_files import FileToTrust
    from modelyard.wire.pickles.trusted_files import TrustedFile


class TrustGroup(TyperGroup):
    """A group whose command ``allow`` can be left out: ``trust MODEL``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words, with ``allow`` before them if the first names no command."""
        is_named = not args or args[0] in ctx.help_option_names or self.get_command(ctx, args[0]) is not None
        return super().parse_args(ctx, args if is_named else ["allow", *args])


FileName = Annotated[
    str, typer.Argument(metavar="SHA256|MODEL", help="The file's SHA-256, or a model: the file of its newest version.")
]

trust = typer.Typer(cls=TrustGroup, no_args_is_help=True, help=CLIENT_COMMANDS["trust"].help)


def add_to(app: typer.Typer) -> None:
    """Add the group to the command tree."""
    app.add_typer(trust, name="trust")


@trust.command()
def allow(
    context: typer.Context,
    file: FileName,
    reason: Annotated[str, typer.Option(help="Why; it is in the audit log.")],
    yes: Yes = False,
) -> None:
    """Allow a pickle file that the scan has refused; for admins of a team whose pickle_policy is trusted.

    Shows what the scan found before it asks. The failed versions with this file are verified again, and reach machines
    then. Loading such a file can run code on them. "trust SHA256|MODEL" does the same.

    Example: modelyard trust face_detector --reason "Original file of the authors, checked by Ada"
    """
    from modelyard.client.pickles.trusted_files import find_file_to_trust

    terminal = terminal_of(context)
    found = terminal.call_registry(lambda registry: find_file_to_trust(registry, file))
    for line in format_findings(found):
        terminal.output.note(line)
    if not yes:
        if terminal.output.style == "json" or not sys.stdin.isatty():
            raise typer.BadParameter("To allow the file without a question, add --yes.")
        typer.confirm("Allow this file?", abort=True, err=True)
    allowed = terminal.call_registry(lambda registry: registry.allow_file(found.file_hash, reason))
    terminal.output.answer(
        document=allowed,
        lines=[f"Allowed {allowed.file_hash}. The registry verifies its failed versions again."],
        quiet=[allowed.file_hash],
    )


@trust.command("ls")
def list_trusted(context: typer.Context) -> None:
    """List the files that admins have allowed, newest first."""
    from modelyard.client.pickles.trusted_files import list_all_trusted_files

    def build_row(each: TrustedFile) -> tuple[str, ...]:
        """Return the cells of a trusted file."""
        return each.file_hash, each.created_by.display_name, format_age(each.created_at), each.reason

    terminal = terminal_of(context)
    layout: ListFormat[TrustedFile] = ListFormat(
        "trusted_file_list",
        ("HASH", "ALLOWED BY", "SINCE", Column("REASON", 0)),
        build_row,
        lambda each: each.file_hash,
        "No trusted files.",
    )
    print_list(terminal, terminal.call_registry(list_all_trusted_files), layout)


@trust.command("rm")
def withdraw(context: typer.Context, file: FileName) -> None:
    """Refuse new registrations of a file again. The versions that have it stay, also on machines.

    Example: modelyard trust rm face_detector
    """
    from modelyard.client.pickles.trusted_files import find_trusted_file

    terminal = terminal_of(context)
    found = terminal.call_registry(lambda registry: find_trusted_file(registry, file))
    terminal.call_registry(lambda registry: registry.withdraw_trust(found.file_hash))
    terminal.output.done(
        f"{found.file_hash} is not trusted any more. Its versions stay; to remove those: modelyard rm MODEL",
        file_hash=found.file_hash,
    )


def format_findings(found: FileToTrust) -> list[str]:
    """Return what is known of a file before it is allowed."""
    if found.findings is None or found.model_path is None:
        return [found.file_hash]
    imports = [f"  imports {each.name}" for each in found.findings.import_list if not each.is_expected]
    missing = [] if found.findings.is_complete else ["  This list is not complete: the file may import other names."]
    finding = found.findings.finding or "The scan found nothing."
    return [f"{format_model_path(found.model_path)}: {finding}", *imports, *missing, found.file_hash]
