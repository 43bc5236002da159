"""``modelyard serve`` and the operator's other commands."""

import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from pydantic import ValidationError

from modelyard.server.accounts.operations import issue_reset_token
from modelyard.server.app import create_app
from modelyard.server.database.migrations import SchemaTooNew
from modelyard.server.listener import http_server
from modelyard.server.models.trash import GRACE, collect_garbage
from modelyard.server.observed import start_logging
from modelyard.server.parts import Parts, opened, opened_database
from modelyard.server.settings import Settings, read_settings
from modelyard.server.storage.blob_store import FolderInUse
from modelyard.server.teams.first_start import FirstLogin, first_start
from modelyard.server.teams.operations import restore_team
from modelyard.wire.problems import Problem

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Run a registry.")
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder for the database and the stored models.")]


def _settings(**flags: Any) -> Settings:
    try:
        return read_settings(**flags)
    except ValidationError as error:
        for found in error.errors():
            name = ".".join(str(step) for step in found["loc"])
            typer.echo(f"modelyard: the setting MODELYARD_{name.upper()} is not valid: {found['msg']}", err=True)
        raise typer.Exit(2) from None


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    data_dir: DataDir = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Private key (PEM).")] = None,
    log_format: Annotated[str | None, typer.Option(help="json or text.")] = None,
) -> None:
    """Run the registry. Every other setting is an environment variable: see the settings page."""
    settings = _settings(
        host=host, port=port, data_dir=data_dir, tls_cert=tls_cert, tls_key=tls_key, log_format=log_format
    )
    start_logging(settings)
    with _refusals_in_words(), opened(settings) as parts:
        _say_first_login(settings, _first_start(parts))
        _run(settings, parts)


def _first_start(parts: Parts) -> FirstLogin | None:
    settings = parts.settings
    return first_start(
        parts.database,
        parts.identity.passwords,
        email=settings.owner_email or "owner@modelyard.local",
        password=settings.owner_password or secrets.token_urlsafe(15),
        team_name=settings.team_name,
    )


def _say_first_login(settings: Settings, login: FirstLogin | None) -> None:
    if login is None:
        return
    shown = "(from MODELYARD_OWNER_PASSWORD)" if settings.owner_password else login.password
    typer.echo(f"\n  First start: the owner and the team '{login.team_name}' were made.\n")
    typer.echo(f"    e-mail    {login.email}\n    password  {shown}\n    team      {login.team_id}\n")
    typer.echo("  This is shown once. Change the password after signing in.\n")
    sys.stdout.flush()


def _run(settings: Settings, parts: Parts) -> None:
    server = http_server(create_app(parts), settings)
    # When it is done, uvicorn raises the signal that it heard once more; by default that ends the process before its
    # parts are closed.
    signal.signal(signal.SIGTERM, lambda *_: None)
    server.run()
    if not server.started:
        raise typer.Exit(1)


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database's schema up to date; `serve` does so too."""
    with _refusals_in_words(), opened_database(_settings(data_dir=data_dir)):
        typer.echo("The schema is current.")


@app.command("reset-password")
def reset_password(
    email: Annotated[str, typer.Argument(help="The account's address.")], data_dir: DataDir = None
) -> None:
    """Print a one-time link, and a command, with which a user sets a new password; the server may be running."""
    settings = _settings(data_dir=data_dir)
    with _refusals_in_words(), opened_database(settings) as database, database.writing() as session:
        token = issue_reset_token(session, email)
    address = settings.public_url or f"http://{settings.host}:{settings.port}"
    typer.echo(f"{address}/reset-password?token={token}")
    typer.echo(f"Good for one hour and once. In a terminal: modelyard --url {address} password --reset-token {token}")


@app.command("restore-team")
def undelete_team(
    team_id: Annotated[UUID, typer.Argument(help="The deleted team's id: the audit trail and the log have it.")],
    data_dir: DataDir = None,
) -> None:
    """Bring back a team that was deleted a few days ago; the server may be running."""
    settings = _settings(data_dir=data_dir)
    with _refusals_in_words(), opened_database(settings) as database, database.writing() as session:
        team = restore_team(session, team_id, trash_days=settings.trash_days)
    typer.echo(f"The team '{team.display_name}' is back, with its models, members and keys.")


@app.command("collect-garbage")
def garbage(
    data_dir: DataDir = None,
    grace: Annotated[
        int, typer.Option(min=0, metavar="SECONDS", help="Keep nameless bytes that are younger than this.")
    ] = int(GRACE.total_seconds()),
) -> None:
    """Remove what is past its time now; the server does so every hour."""
    with _refusals_in_words(), opened(_settings(data_dir=data_dir)) as parts:
        collected = collect_garbage(parts.database, parts.store, parts.settings, timedelta(seconds=grace))
    typer.echo(
        f"Removed {collected.models} models, {collected.uploads} uploads, {collected.blobs + collected.objects} files."
    )


@contextmanager
def _refusals_in_words() -> Iterator[None]:
    try:
        yield
    except (FolderInUse, SchemaTooNew, Problem, OSError) as error:
        typer.echo(f"modelyard: {error}", err=True)
        raise typer.Exit(1) from None
