"""The program ``modelyard``: runs the client's commands, or imports the server and runs its commands."""

import sys

from modelyard.cli.commands import SERVER_COMMANDS


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] in SERVER_COMMANDS:
        from modelyard.server.main import app

        app(prog_name="modelyard")
        return
    try:
        from modelyard.cli.command_tree import run
    except KeyboardInterrupt:  # while it was imported
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
