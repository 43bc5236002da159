"""``modelyard serve`` and the operator's other commands."""

import json
import secrets
import signal
import sys
import threading
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from modelyard.server.accounts.operations import issue_reset_token
from modelyard.server.app import create_app
from modelyard.server.chores import Chores
from modelyard.server.cleanup.collecting import collect_garbage
from modelyard.server.cleanup.rounds import GRACE, Collected, Plan
from modelyard.server.console import refusals_in_words, settings_or_exit
from modelyard.server.listener import http_server
from modelyard.server.observed import Metrics, start_logging
from modelyard.server.parts import Parts, bucket_of, opened, opened_beside, opened_database
from modelyard.server.settings import Settings
from modelyard.server.storage_commands import app as storage_app
from modelyard.server.teams.first_start import FirstLogin, first_start
from modelyard.server.teams.operations import restore_team

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Run a registry.")
app.add_typer(storage_app, name="storage")
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Folder for the database and the stored models.")]

_ONE_SERVER = (
    "The models are in a folder, and a folder has one server, which does this work itself. "
    "Leave out --no-http, or name a bucket in MODELYARD_STORAGE_URL."
)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    data_dir: DataDir = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Private key (PEM).")] = None,
    log_format: Annotated[str | None, typer.Option(help="json or text.")] = None,
    no_http: Annotated[
        bool, typer.Option("--no-http", help="Answer nobody: verify uploads, read models again, clean up. Needs S3.")
    ] = False,
) -> None:
    """Run the registry. Every other setting is an environment variable: see the settings page."""
    settings = settings_or_exit(
        host=host, port=port, data_dir=data_dir, tls_cert=tls_cert, tls_key=tls_key, log_format=log_format
    )
    start_logging(settings)
    if no_http and bucket_of(settings) is None:
        typer.echo(f"modelyard: {_ONE_SERVER}", err=True)
        raise typer.Exit(2)
    with refusals_in_words(), opened(settings) as parts:
        if no_http:
            _work(parts)
            return
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
    app = create_app(parts)
    server = http_server(app, settings, app.state.fleet.waiting.stop)
    # When it is done, uvicorn raises the signal that it heard once more; by default that ends the process before its
    # parts are closed.
    signal.signal(signal.SIGTERM, lambda *_: None)
    server.run()
    if not server.started:
        raise typer.Exit(1)


def _work(parts: Parts) -> None:
    """Do the chores until somebody ends the process."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    chores = Chores(parts, Metrics())
    chores.start()
    typer.echo("modelyard works without HTTP: it verifies uploads, reads models again and cleans up.")
    sys.stdout.flush()
    stopping.wait()
    chores.stop()


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database's schema up to date; `serve` does so too."""
    with refusals_in_words(), opened_database(settings_or_exit(data_dir=data_dir)):
        typer.echo("The schema is current.")


@app.command("reset-password")
def reset_password(
    email: Annotated[str, typer.Argument(help="The account's address.")], data_dir: DataDir = None
) -> None:
    """Print a one-time link, and a command, with which a user sets a new password; the server may be running."""
    settings = settings_or_exit(data_dir=data_dir)
    with refusals_in_words(), opened_database(settings) as database, database.writing() as session:
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
    settings = settings_or_exit(data_dir=data_dir)
    with refusals_in_words(), opened_database(settings) as database, database.writing(team_id) as session:
        team = restore_team(session, team_id, trash_days=settings.trash_days)
    typer.echo(f"The team '{team.display_name}' is back, with its models, members and keys.")


@app.command("collect-garbage")
def garbage(
    data_dir: DataDir = None,
    grace: Annotated[
        int, typer.Option(min=0, metavar="SECONDS", help="Keep nameless bytes that are younger than this.")
    ] = int(GRACE.total_seconds()),
    dry_run: Annotated[bool, typer.Option(help="Say what would be removed, and remove nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Remove what is past its time now; servers do so every hour, and may be running."""
    settings = settings_or_exit(data_dir=data_dir)
    start_logging(settings.model_copy(update={"log_level": "warning"}))
    with refusals_in_words(), opened_beside(settings) as (database, store):
        collected = collect_garbage(database, store, settings, Plan(timedelta(seconds=grace), is_dry=dry_run))
    typer.echo(json.dumps(asdict(collected)) if as_json else _in_words(collected, is_dry=dry_run))
    if collected.failures or not collected.is_whole:
        raise typer.Exit(1)


def _in_words(collected: Collected, *, is_dry: bool) -> str:
    lines = [
        f"{'Would remove' if is_dry else 'Removed'} {collected.models} models, {collected.uploads} uploads, "
        f"{collected.files} files with {collected.bytes} bytes."
    ]
    if collected.unknown_files:
        lines.append(f"{collected.unknown_files} files are unknown to this database and were kept.")
    if collected.failures:
        lines.append(f"{collected.failures} files could not be looked at or removed; the log says why. Try again.")
    return "\n".join(lines)
