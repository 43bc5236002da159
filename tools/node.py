"""Node for the page: the machine's own if it is new enough, else the one that a Python wheel brings."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.repository import ROOT

WEB = ROOT / "web"
LOCK = ROOT / "requirements" / "page.txt"
# What Vite asks for (vite.dev/guide).
OLDEST = {20: 19, 22: 12}


def main() -> None:
    """``python -m tools.node npm run build``: a command of Node's, in web/ and with its packages there."""
    environment = node_environment()
    install(environment)
    sys.exit(subprocess.run(sys.argv[1:], cwd=WEB, env=environment, check=False).returncode)


def node_environment() -> dict[str, str]:
    """The environment in which ``node`` and ``npm`` are found; the wheel is installed if it is needed."""
    if is_new_enough():
        return dict(os.environ)
    programs = Path(sys.executable).parent
    if not (programs / "npm").exists():
        print("There is no Node that is new enough: taking the one of the wheel.", flush=True)
        command = [*pip(), "--disable-pip-version-check", "--quiet", "install", "--require-hashes"]
        subprocess.run([*command, "--requirement", str(LOCK)], check=True)
    return os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}


def pip() -> list[str]:
    """The pip of this environment, or one from outside for it: `make setup` makes environments without their own."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    own = str(Path(sys.executable).parent)
    elsewhere = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != own)
    return [shutil.which("python3", path=elsewhere) or "python3", "-m", "pip", "--python", sys.executable]


def is_new_enough() -> bool:
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return False
    shown = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)\.(\d+)", shown)
    if version is None:
        return False
    major, minor = int(version[1]), int(version[2])
    return minor >= OLDEST[major] if major in OLDEST else major > max(OLDEST)


def install(environment: dict[str, str]) -> None:
    """The packages of web/package-lock.json, unless they are there already."""
    lock, mark = WEB / "package-lock.json", WEB / "node_modules" / ".installed"
    if mark.exists() and mark.read_bytes() == lock.read_bytes():
        return
    subprocess.run(["npm", "ci", "--no-fund", "--no-audit", "--loglevel=error"], cwd=WEB, env=environment, check=True)
    shutil.copyfile(lock, mark)


if __name__ == "__main__":
    main()
