"""The operator's commands ``modelyard serve``, ``migrate``, ``reset-password`` and others, with their options.

What they do is imported when one of them runs, so that ``--help`` answers at once.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    # ``modelyard --help`` is the client's. For any option here Typer would import pydantic, also for a command's help.
    add_help_option=False,
    help="Run a registry.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
storage = typer.Typer(no_args_is_help=True, help="Check and configure the storage of the models.")
app.add_typer(storage, name="storage")
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder for the database and the stored models.")]


@contextmanager
def _require_server_packages() -> Iterator[None]:
    """Say how to install the server's packages if one of them, which a base installation lacks, cannot be imported.

    Raises:
        Exit: a package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("modelyard"):
            raise
        typer.echo(
            f"'modelyard {sys.argv[1]}' needs the server's packages ('{missing.name}' is missing).\n"
            "  pip install 'modelyard[server]'",
            err=True,
        )
        raise typer.Exit(1) from None


@app.callback()
def _set_umask() -> None:
    # Files that the server's commands write are for its own user only.
    os.umask(0o077)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    data_dir: DataDir = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Private key (PEM).")] = None,
    log_format: Annotated[str | None, typer.Option(help="auto, json or text.")] = None,
    no_http: Annotated[
        bool, typer.Option("--no-http", help="Run jobs only: verify uploads, re-verify models, clean up. Needs S3.")
    ] = False,
    metrics_port: Annotated[
        int | None, typer.Option(help="With --no-http: serve /metrics, /healthz and /readyz on this port of loopback.")
    ] = None,
) -> None:
    """Run the registry. Every other setting is an environment variable: see the settings page."""
    with _require_server_packages():
        from modelyard.server.operator_commands import run_registry

    run_registry(
        no_http=no_http,
        host=host,
        port=port,
        metrics_port=metrics_port,
        data_dir=data_dir,
        tls_cert=tls_cert,
        tls_key=tls_key,
        log_format=log_format,
    )


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Migrate the database's schema to this version; `serve` does so too."""
    with _require_server_packages():
        from modelyard.server.operator_commands import migrate_database

    migrate_database(data_dir)


@app.command("reset-password")
def reset_password(
    email: Annotated[str, typer.Argument(help="The account's address.")], data_dir: DataDir = None
) -> None:
    """Print a one-time link, and a command, with which a user sets a new password; the server may be running."""
    with _require_server_packages():
        from modelyard.server.operator_commands import print_reset_link

    print_reset_link(email, data_dir)


@app.command("restore-team")
def restore_team(
    team_id: Annotated[UUID, typer.Argument(help="The deleted team's id, from the audit log or the server's log.")],
    data_dir: DataDir = None,
) -> None:
    """Restore a team that was deleted within the trash days; the server may be running."""
    with _require_server_packages():
        from modelyard.server.operator_commands import restore_deleted_team

    restore_deleted_team(team_id, data_dir)


@app.command("collect-garbage")
def collect_garbage(
    data_dir: DataDir = None,
    grace: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="SECONDS", help="Keep unreferenced files that are younger than this; by default two hours."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Print what would be removed, and remove nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Remove expired models, uploads and files now; servers do so every hour, and may be running."""
    with _require_server_packages():
        from modelyard.server.operator_commands import collect_garbage_now

    collect_garbage_now(data_dir, grace, dry_run=dry_run, as_json=as_json)


@storage.command()
def probe(
    data_dir: DataDir = None, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Test what the store enforces, with objects of the probe's own; exit code 0 if it has every capability."""
    with _require_server_packages():
        from modelyard.server.storage_commands import probe_store

    probe_store(data_dir, as_json=as_json)


@storage.command()
def setup(
    create: Annotated[bool, typer.Option("--create", help="Create the bucket if it does not exist.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the rules as JSON, and change nothing.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Set up the bucket: allow uploads from the page (CORS), and remove unfinished uploads after some days."""
    with _require_server_packages():
        from modelyard.server.storage_commands import set_up_bucket

    set_up_bucket(data_dir, create=create, dry_run=dry_run)
