"""Runs a command with Node in web/: the machine's Node if it is new enough, else one installed from a Python wheel."""

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
    """Run the command line's arguments in web/, with Node and the locked packages installed; exit with its code."""
    environment = prepare_environment()
    install_packages(environment)
    sys.exit(subprocess.run(sys.argv[1:], cwd=WEB, env=environment, check=False).returncode)


def prepare_environment() -> dict[str, str]:
    """Return an environment whose PATH has ``node`` and ``npm``; install the wheel if the machine has none."""
    if is_machine_node_usable():
        return dict(os.environ)
    programs = Path(sys.executable).parent
    if not (programs / "npm").exists():
        print("No Node that is new enough was found: installing the wheel.", flush=True)
        command = [*build_pip_command(), "--disable-pip-version-check", "--quiet", "install", "--require-hashes"]
        subprocess.run([*command, "--requirement", str(LOCK)], check=True)
    return os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}


def build_pip_command() -> list[str]:
    """Return the command of this environment's pip, or of an outer one for it, as `make setup` installs no pip."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    own = str(Path(sys.executable).parent)
    elsewhere = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != own)
    return [shutil.which("python3", path=elsewhere) or "python3", "-m", "pip", "--python", sys.executable]


def is_machine_node_usable() -> bool:
    """Return whether the machine has npm and a Node of a version that Vite supports."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return False
    output = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)\.(\d+)", output)
    if version is None:
        return False
    major, minor = int(version[1]), int(version[2])
    return minor >= OLDEST[major] if major in OLDEST else major > max(OLDEST)


def install_packages(environment: dict[str, str]) -> None:
    """Run ``npm ci``, unless the packages of this package-lock.json are already installed."""
    lock, installed_lock = WEB / "package-lock.json", WEB / "node_modules" / ".installed"
    if installed_lock.exists() and installed_lock.read_bytes() == lock.read_bytes():
        return
    print("Installing the packages that build the web page …", flush=True)
    run_quietly(["npm", "ci", "--no-fund", "--no-audit", "--loglevel=error"], environment)
    shutil.copyfile(lock, installed_lock)


def run_quietly(command: list[str], environment: dict[str, str]) -> None:
    """Run a command in web/ without its output; if it fails, print that and exit with its code."""
    done = subprocess.run(command, cwd=WEB, env=environment, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"\n{done.stdout}{done.stderr}{' '.join(command)} failed.", file=sys.stderr, flush=True)
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
