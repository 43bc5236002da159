import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# What Python has on POSIX only.
POSIX_MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")

IMPORT_EVERYTHING_FOR_CLIENTS = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    sys.modules[name] = None
import modelyard
for module in pkgutil.walk_packages(modelyard.__path__, "modelyard."):
    if not module.name.startswith("modelyard.server"):
        importlib.import_module(module.name)
        print(module.name)
"""


def test_client_cli_and_agent_import_no_posix_only_module() -> None:
    """Block the modules that Windows lacks, then import everything but the server."""
    command = [sys.executable, "-c", IMPORT_EVERYTHING_FOR_CLIENTS, *POSIX_MODULES]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    imported = set(ran.stdout.split())
    assert {"modelyard.client.transfers.push", "modelyard.cli.transfers.pull", "modelyard.agent.loop"} <= imported
