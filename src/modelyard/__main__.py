"""The program ``modelyard``: runs the client's commands, or imports the server and runs its commands."""

import sys

from modelyard.cli.commands import SERVER_COMMANDS


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] in SERVER_COMMANDS:
        _run_server_command()
        return
    try:
        from modelyard.cli.command_tree import run
    except KeyboardInterrupt:  # while it was imported
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)
    sys.exit(run(sys.argv[1:]))


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
