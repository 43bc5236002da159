"""What the operator's commands do: run the registry, migrate its database, and others.

``modelyard.server.main`` has their options, so that their help needs none of the imports here.
"""

import json
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import typer
import uvicorn

from modelyard.server.accounts.operations import create_reset_token
from modelyard.server.app import begin_stop, create_app, create_worker_app
from modelyard.server.console import exit_on_operator_errors, print_box, read_settings_or_exit
from modelyard.server.database.session import Database
from modelyard.server.garbage.collection import collect_garbage
from modelyard.server.garbage.run_state import GRACE, CollectionResult, RunOptions
from modelyard.server.http.descriptors import raise_max_connections
from modelyard.server.http.log_output import start_logging
from modelyard.server.http.middleware.metrics import Metrics
from modelyard.server.http.public_url import find_own_url
from modelyard.server.http.server import build_http_server, check_certificate, open_sockets
from modelyard.server.resources import (
    Resources,
    check_database_file_exists,
    check_folder_is_free,
    check_registry_exists,
    open_database,
    open_resources,
    open_store_beside_server,
    parse_bucket,
)
from modelyard.server.scheduler.scheduler import Scheduler
from modelyard.server.settings import Settings
from modelyard.server.teams.first_start import FirstLogin, first_start
from modelyard.server.teams.operations import restore_team

_RUNS_JOBS = "modelyard runs without HTTP: it verifies uploads, re-verifies stored models and cleans up."
_FOLDER_HAS_NO_WORKERS = (
    "The models are stored in a folder, which only one server can use, and that server runs the jobs itself. "
    "Leave out --no-http, or set MODELYARD_STORAGE_URL to a bucket."
)


def run_registry(*, no_http: bool, **flags: Any) -> None:
    """Run the registry with these settings of the command line until a signal stops it; see ``serve``."""
    settings = read_settings_or_exit(**flags)
    start_logging(settings)
    if no_http and parse_bucket(settings) is None:
        typer.echo(f"modelyard: {_FOLDER_HAS_NO_WORKERS}", err=True)
        raise typer.Exit(2)
    with exit_on_operator_errors():
        # Before anything is created or shown: what cannot be served must leave no trace.
        check_folder_is_free(settings)
        if not no_http:
            check_certificate(settings)
        sockets = _open_port(settings, no_http=no_http)
        with open_resources(settings) as resources:
            if no_http:
                _run_jobs(resources, sockets)
            else:
                _serve(resources, sockets)


def _open_port(settings: Settings, *, no_http: bool) -> Sequence[socket.socket]:
    """Return sockets with the port of the settings; none for a worker without a metrics port.

    Raises:
        CannotListen: see ``open_sockets``.
    """
    if not no_http:
        return open_sockets(settings.host, settings.port, "port")
    if settings.metrics_port is None:
        return ()
    return open_sockets(settings.metrics_host, settings.metrics_port, "metrics-port")


def _serve(resources: Resources, sockets: Sequence[socket.socket]) -> None:
    """Create the first team if there is none, show its login, and serve the API until a signal stops it."""
    login = _create_first_team(resources)
    max_connections = raise_max_connections()
    app = create_app(resources, max_connections)
    server = build_http_server(app, resources.settings, max_connections, partial(begin_stop, app))
    _print_first_login(resources.settings, login, port=sockets[0].getsockname()[1])
    _run(server, sockets)


def _create_first_team(resources: Resources) -> FirstLogin | None:
    """Create the owner and the first team if the registry has no users; return the login until it is used, or None."""
    settings = resources.settings
    return first_start(
        resources.database,
        resources.identity.passwords,
        email=settings.owner_email or "owner@modelyard.local",
        password=settings.owner_password,
        team_name=settings.team_name,
    )


def _print_first_login(settings: Settings, login: FirstLogin | None, *, port: int) -> None:
    """Print the login of the first start, if there is one, with the registry's address and the team's id.

    The password is printed only if it was generated. Where the registry keeps data in its own folder, the folder is
    printed, and who can read it. Standard output is flushed.
    """
    if login is None:
        return
    shown = login.password or "(from MODELYARD_OWNER_PASSWORD)"
    address = find_own_url(settings, port)
    lines = [f"e-mail    {login.email}", f"password  {shown}", "", f"Open {address}, or sign in here and change it:"]
    commands = [f"modelyard login {address} {login.email}", "modelyard password"]
    print_box(f"First login: team {login.team_name}", [*lines, *commands])
    if login.password is not None:
        typer.echo("Each start shows this login until it is used.")
    typer.echo(f"Team id {login.team_id}")
    if settings.database_url is None or settings.storage_url is None:
        readers = "this user and the folder's group" if settings.data_dir_shared else "this user only"
        typer.echo(f"Models and secrets are in {settings.data_dir.absolute()}, which is open to {readers}.")
    sys.stdout.flush()


def _run(server: uvicorn.Server, sockets: Sequence[socket.socket]) -> None:
    """Run the server on these sockets until a signal stops it; exit with code 1 if it could not start."""
    # When uvicorn ends, it raises the received signal again; by default that would end the process before its resources
    # are closed.
    signal.signal(signal.SIGTERM, lambda *_: None)
    server.run([*sockets])
    if not server.started:
        raise typer.Exit(1)


def _run_jobs(resources: Resources, sockets: Sequence[socket.socket]) -> None:
    """Run the jobs until SIGTERM or SIGINT, and serve monitoring on the sockets, if there are any."""
    if sockets:
        typer.echo(_RUNS_JOBS)
        # Metrics have no TLS.
        settings = resources.settings.model_copy(update={"tls_cert": None, "tls_key": None})
        worker, max_connections = create_worker_app(resources), raise_max_connections()
        _run(build_http_server(worker, settings, max_connections, partial(begin_stop, worker)), sockets)
        return
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    scheduler = Scheduler(resources, Metrics())
    scheduler.start()
    typer.echo(_RUNS_JOBS)
    sys.stdout.flush()
    stopping.wait()
    scheduler.stop()


def migrate_database(data_dir: Path | None) -> None:
    """Migrate the database's schema to this version; an empty PostgreSQL database gets it, a new folder does not."""
    settings = read_settings_or_exit(data_dir=data_dir)
    start_logging(settings)
    with exit_on_operator_errors():
        check_database_file_exists(settings)
        with open_database(settings):
            typer.echo("The schema is current.")


@contextmanager
def _open_existing_database(settings: Settings) -> Iterator[Database]:
    """Open the database of a registry that exists; errors that the operator can act on end the program."""
    with exit_on_operator_errors():
        check_registry_exists(settings)
        with open_database(settings) as database:
            yield database


def print_reset_link(email: str, data_dir: Path | None) -> None:
    """Print a one-time link, and a command, with which a user sets a new password."""
    settings = read_settings_or_exit(data_dir=data_dir)
    with _open_existing_database(settings) as database, database.writing() as session:
        token = create_reset_token(session, email)
    address = find_own_url(settings, settings.port)
    typer.echo(f"{address}/reset-password?token={token}")
    typer.echo(f"Valid once, for one hour. In a terminal: modelyard --url {address} password --reset-token {token}")
    if not settings.public_url:
        typer.echo(
            f"No public address is set, so both have {address}. If the registry has another one, use that instead, or"
            " set MODELYARD_PUBLIC_URL.",
            err=True,
        )


def restore_deleted_team(team_id: UUID, data_dir: Path | None) -> None:
    """Restore a team that was deleted within the trash days."""
    settings = read_settings_or_exit(data_dir=data_dir)
    with _open_existing_database(settings) as database, database.writing(team_id) as session:
        team = restore_team(session, team_id, trash_days=settings.trash_days)
    typer.echo(f"Restored the team '{team.display_name}' with its models, members and keys.")


def collect_garbage_now(data_dir: Path | None, grace_seconds: int | None, *, dry_run: bool, as_json: bool) -> None:
    """Collect garbage once and print the result; exit with code 1 if something could not be removed."""
    settings = read_settings_or_exit(data_dir=data_dir)
    start_logging(settings.model_copy(update={"log_level": "warning"}))
    grace = GRACE if grace_seconds is None else timedelta(seconds=grace_seconds)
    with exit_on_operator_errors():
        check_registry_exists(settings)
        with open_store_beside_server(settings) as (database, store):
            collected = collect_garbage(database, store, settings, RunOptions(grace, is_dry=dry_run))
    typer.echo(json.dumps(asdict(collected)) if as_json else _format_collected(collected, is_dry=dry_run))
    if collected.failures or collected.failed_teams or not collected.is_complete:
        raise typer.Exit(1)


def _format_collected(collected: CollectionResult, *, is_dry: bool) -> str:
    """Return the result of a garbage collection as text for people."""
    lines = [
        f"{'Would remove' if is_dry else 'Removed'} {collected.models} models, {collected.versions} versions, "
        f"{collected.uploads} uploads, {collected.files} files with {collected.bytes} bytes."
    ]
    if collected.unknown_files:
        lines.append(f"{collected.unknown_files} files are unknown to this database and were kept.")
    if collected.failures:
        lines.append(f"{collected.failures} files could not be read or removed; the log says why. Try again.")
    if collected.failed_teams:
        lines.append(f"Of {collected.failed_teams} teams not all could be removed; the log says why. Try again.")
    return "\n".join(lines)
