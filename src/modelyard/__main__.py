"""The program ``modelyard``: runs the client's commands, or imports the server and runs its commands."""

import sys

from modelyard.cli.server_commands import SERVER_COMMANDS


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] in SERVER_COMMANDS:
        _serve()
        return
    try:
        from modelyard.cli.command_tree import run
    except KeyboardInterrupt:  # while it was imported
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)
    sys.exit(run(sys.argv[1:]))


def _serve() -> None:
    """Hand over to the server's commands, if they are installed."""
    try:
        from modelyard.server.main import app
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("modelyard"):
            raise
        sys.stderr.write(
            f"'modelyard {sys.argv[1]}' needs the server's packages ('{missing.name}' is missing).\n"
            "  pip install 'modelyard[server]'\n"
        )
        sys.exit(1)
    app(prog_name="modelyard")


if __name__ == "__main__":
    main()
