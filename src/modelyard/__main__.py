"""The one command ``modelyard``: the client's commands, and by lazy import the server's."""

import sys

SERVER_COMMANDS = frozenset({"serve", "migrate", "reset-password", "collect-garbage", "restore-team", "storage"})


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] in SERVER_COMMANDS:
        _serve()
        return
    from modelyard.cli.main import run

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
