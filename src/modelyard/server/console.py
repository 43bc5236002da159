"""Helpers of the operator's commands: errors end the program with a message and an exit code, without a stack trace."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from modelyard.server.database.engine import DatabaseUnfit
from modelyard.server.database.migrations import SchemaTooNew
from modelyard.server.settings import ENVIRONMENT_PREFIX, Settings, read_settings
from modelyard.server.storage.blob_store import StoreError
from modelyard.wire.problems import Problem
from modelyard.wire.texts.validation_messages import reword_message


def read_settings_or_exit(**flags: Any) -> Settings:
    """Return the settings, or print one line for each invalid one and exit with code 2."""
    try:
        return read_settings(**flags)
    except ValidationError as error:
        for found in error.errors():
            name = str(found["loc"][0]) if found["loc"] else ""
            is_flag = flags.get(name) is not None
            typer.echo(_describe_invalid_setting(name, found["msg"], is_flag=is_flag), err=True)
        raise typer.Exit(2) from None


def _describe_invalid_setting(name: str, message: str, *, is_flag: bool) -> str:
    """Return why a setting, named as it was set, is not valid; of a text of a wrong form, what the setting is."""
    field = Settings.model_fields.get(name)
    rule = "" if field is None else f"It is: {(field.description or '').partition('. ')[0]}"
    shown = f"--{name.replace('_', '-')}" if is_flag else f"{ENVIRONMENT_PREFIX}{name.upper()}"
    return f"modelyard: {shown} is not valid. {reword_message(message, rule).rstrip('.')}."


@contextmanager
def exit_on_operator_errors() -> Iterator[None]:
    """Turn errors that the operator can act on into a message on stderr and exit code 1; others pass through."""
    try:
        yield
    except (DatabaseUnfit, SchemaTooNew, StoreError, Problem, OSError) as error:
        typer.echo(f"modelyard: {error}", err=True)
        raise typer.Exit(1) from None


def print_box(title: str, lines: Sequence[str]) -> None:
    """Print lines in a box on standard output; what is to be copied from it is not wrapped in a file or a pipe."""
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, 8 + max(map(len, (title, *lines))))
    content = Text("\n".join(lines), style="bold")
    console.print(Panel.fit(content, title=Text(title), box=box.HEAVY, border_style="green", padding=(1, 3)))
