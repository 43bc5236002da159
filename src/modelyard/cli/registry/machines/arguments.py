"""Arguments of commands about machines."""

from typing import Annotated

import typer

from modelyard.cli.terminal.completion import complete_machine

MachineName = Annotated[
    str,
    typer.Argument(metavar="MACHINE", help="The machine's name: modelyard machine ls", autocompletion=complete_machine),
]
