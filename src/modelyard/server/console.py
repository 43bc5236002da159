"""Helpers of the operator's commands: errors end the program with a message and an exit code, without a stack trace."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from pydantic import ValidationError

from modelyard.server.database.engine import DatabaseUnfit
from modelyard.server.database.migrations import SchemaTooNew
from modelyard.server.settings import Settings, read_settings
from modelyard.server.storage.blob_store import StoreError
from modelyard.wire.problems import Problem


def read_settings_or_exit(**flags: Any) -> Settings:
    """Return the settings, or print one line for each invalid one and exit with code 2."""
    try:
        return read_settings(**flags)
    except ValidationError as error:
        for found in error.errors():
            name = ".".join(str(step) for step in found["loc"])
            typer.echo(f"modelyard: the setting MODELYARD_{name.upper()} is not valid: {found['msg']}", err=True)
        raise typer.Exit(2) from None


@contextmanager
def exit_on_operator_errors() -> Iterator[None]:
    """Turn errors that the operator can act on into a message on stderr and exit code 1; others pass through."""
    try:
        yield
    except (DatabaseUnfit, SchemaTooNew, StoreError, Problem, OSError) as error:
        typer.echo(f"modelyard: {error}", err=True)
        raise typer.Exit(1) from None
