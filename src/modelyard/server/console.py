"""How the operator's commands read settings and refuse: in words, with an exit code, never with a stack."""

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


def settings_or_exit(**flags: Any) -> Settings:
    """The settings, or the end of the program with one line for each that is not valid."""
    try:
        return read_settings(**flags)
    except ValidationError as error:
        for found in error.errors():
            name = ".".join(str(step) for step in found["loc"])
            typer.echo(f"modelyard: the setting MODELYARD_{name.upper()} is not valid: {found['msg']}", err=True)
        raise typer.Exit(2) from None


@contextmanager
def refusals_in_words() -> Iterator[None]:
    """Whatever the operator can act on ends the program with its sentence."""
    try:
        yield
    except (DatabaseUnfit, SchemaTooNew, StoreError, Problem, OSError) as error:
        typer.echo(f"modelyard: {error}", err=True)
        raise typer.Exit(1) from None
