"""Writes the lock files in ``requirements/`` from the requirements in ``pyproject.toml``.

    server.txt   the package with its server: what an operator installs
    dev.txt      that, and everything `make check` runs: what `make setup` installs
    build.txt    the part of it that builds the rest, installed first, so that building downloads nothing unlocked
    page.txt     Node, for a machine that has none: what builds the page
    bench.txt    the peers that `make bench` compares with, in an environment of their own
    docs.txt     what builds the documentation site, in an environment of its own
    dist.txt     what `make dist` needs beside the build, in an environment of its own
    installers.txt  installers of applications, for a test, in an environment of their own
    clients.txt  generators of API clients, for a test, in an environment of their own
    hf-*.txt     clients of Hugging Face, for a test, each in an environment of its own
    manager.txt  ComfyUI-Manager alone, whose list of models a test reads, in an environment of its own

Each pin has the hashes of every file its release has in the registry, so one lock serves Python 3.11 and later. Files
that only this machine knows (find-links, constraints) are kept out: their hashes would mean nothing elsewhere.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
HEADER = "# Written by `make lock` from pyproject.toml. Do not edit.\n"
# Locked without their dependencies: a test reads a file of the package, and runs nothing of it.
ALONE = frozenset({"manager"})
LOCAL_SETTINGS = ("PIP_FIND_LINKS", "PIP_CONSTRAINT", "PIP_NO_INDEX")


def read_requirements() -> dict[str, list[str]]:
    """Return the requirement lines of each lock file, by its name.

    ``dev`` is constrained to the versions of ``server``, so that the installed versions are the tested ones.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    server = project["project"]["dependencies"] + project["project"]["optional-dependencies"]["server"]
    groups = project["dependency-groups"]
    return {
        "server": server,
        "dev": ["-c server.txt", *server, *groups["dev"], *groups["build"]],
        "build": ["-c dev.txt", *groups["build"]],
        "page": groups["page"],
        "bench": groups["bench"],
        "docs": groups["docs"],
        "dist": groups["dist"],
        "installers": groups["installers"],
        "clients": groups["clients"],
        "manager": groups["manager"],
        **{name: lines for name, lines in groups.items() if name.startswith("hf-")},
    }


def compile_lock(name: str, folder: Path, *, upgrade: bool) -> None:
    """Run pip-compile on ``NAME.in`` to write ``NAME.txt`` in the folder; existing pins are kept unless upgraded."""
    environment = {key: value for key, value in os.environ.items() if key not in LOCAL_SETTINGS}
    environment["PIP_CONFIG_FILE"] = os.devnull
    options = ["--generate-hashes", "--allow-unsafe", "--strip-extras", "--no-header", "--no-config", "--quiet"]
    omissions = ["--no-emit-index-url", "--no-emit-find-links", "--no-emit-trusted-host", "--no-emit-options"]
    command = [sys.executable, "-m", "piptools", "compile", *options, *omissions]
    if upgrade:
        command.append("--upgrade")
    # Names without folders: pip-tools writes into the lock where a requirement came from.
    subprocess.run([*command, f"--output-file={name}.txt", f"{name}.in"], cwd=folder, env=environment, check=True)


def write_lock(name: str, lines: list[str], folder: Path, *, upgrade: bool) -> None:
    """Compile the requirement lines and write the lock file."""
    lock = LOCKS / f"{name}.txt"
    (folder / f"{name}.in").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for existing in LOCKS.glob("*.txt"):  # `-c server.txt` is looked for beside the input
        (folder / existing.name).write_text(existing.read_text(encoding="utf-8"), encoding="utf-8")
    compile_lock(name, folder, upgrade=upgrade)
    body = (folder / lock.name).read_text(encoding="utf-8").removeprefix(HEADER)
    if name in ALONE:
        body = keep_pins(body, lines)
    lock.write_text(HEADER + body, encoding="utf-8")
    print(f"{lock.relative_to(ROOT)}: {body.count('==')} pins")


def keep_pins(body: str, lines: list[str]) -> str:
    """Return a lock with the pins of these requirement lines only, without those of what they need."""
    names = {Requirement(line).name for line in lines}
    pins = re.split(r"^(?=[A-Za-z0-9])", body, flags=re.MULTILINE)
    return "".join(pin for pin in pins if pin.partition("==")[0] in names)


def main() -> None:
    """Write all lock files, or the one named by ``--only``."""
    parser = argparse.ArgumentParser(description="Write requirements/*.txt from pyproject.toml.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions instead of keeping pins")
    parser.add_argument("--only", choices=sorted(read_requirements()), help="write one lock")
    arguments = parser.parse_args()
    LOCKS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, lines in read_requirements().items():
            if arguments.only in (None, name):
                write_lock(name, lines, Path(folder), upgrade=arguments.upgrade)


if __name__ == "__main__":
    main()
