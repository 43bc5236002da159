"""The program ``modelyard``: runs the client's commands, or imports the server and runs its commands."""

import gc
import os
import sys

from modelyard.cli.commands import SERVER_COMMANDS
from modelyard.wire import ValidatorDeferral

_THREADED_COMMANDS = {"add", "agent", "pull", "push", "sync"}


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] in SERVER_COMMANDS:
        _run_server_command()
        return
    # Of 250,000 objects that the imports of a command make, almost all stay: to look for garbage among them again and
    # again was a fifth of the CPU time of `ls`. `Terminal.run` enables it for the command's work.
    gc.disable()
    # Looking for plugins reads the metadata of all installed packages.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    ValidatorDeferral.is_on = _THREADED_COMMANDS.isdisjoint(sys.argv)
    try:
        from modelyard.cli.command_tree import run
    except KeyboardInterrupt:  # while it was imported
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)
    exit_code = run(sys.argv[1:])
    # The interpreter looks for garbage among all objects once more when it ends.
    gc.freeze()
    sys.exit(exit_code)


def _run_server_command() -> None:
    """Run a command of the server, with a help like that of the client's commands."""
    from typer.main import get_command

    from modelyard.cli.root_group import complete_help
    from modelyard.server.main import app

    command = get_command(app)
    complete_help(command)
    command(prog_name="modelyard")


if __name__ == "__main__":
    main()
