"""Builds the ComfyUI extension as a zip: its folder, to be unpacked in ``custom_nodes``.

The same commit gives the same bytes. For Comfy's registry, the zip needs the id and the repository of the publisher's
account there, which are not facts of this repository: they are arguments.
"""

import argparse
import json
import re
import tomllib
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from tools.dist import read_commit_time
from tools.repository import ROOT, tracked_files

EXTENSION = ROOT / "extension" / "modelyard-bridge"


def main() -> None:
    """Write the zip into the folder of ``--output``, and print its path."""
    parser = argparse.ArgumentParser(description="Build the ComfyUI extension as a zip.")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", metavar="FOLDER")
    parser.add_argument("--publisher", metavar="ID", help="the publisher at Comfy's registry; needs --repository")
    parser.add_argument("--repository", metavar="URL", help="where the extension's source is; needs --publisher")
    given = parser.parse_args()
    if (given.publisher is None) != (given.repository is None):
        parser.error("Comfy's registry needs both --publisher and --repository.")
    try:
        publisher = None if given.publisher is None else Publisher(given.publisher, given.repository)
    except ValueError as failure:
        parser.error(str(failure))
    print(build_extension(given.output.resolve(), publisher))


@dataclass(frozen=True)
class Publisher:
    """An account at Comfy's registry, and the repository of the source.

    Raises:
        ValueError: the id has other characters than letters, digits, - and _, or the repository is no web address.
    """

    publisher_id: str
    repository: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", self.publisher_id):
            raise ValueError("The publisher is an id of Comfy's registry: letters, digits, - and _.")
        address = urlsplit(self.repository)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise ValueError("The repository is a web address, such as https://git.example/studio/modelyard.")

    def add_to(self, project: str) -> str:
        """Return the text of pyproject.toml with the id and the repository."""
        urls = f"[project.urls]\nRepository = {json.dumps(self.repository)}\n\n[tool.comfy]\n"
        return project.replace("[tool.comfy]\n", urls).replace(
            'PublisherId = ""\n', f'PublisherId = "{self.publisher_id}"\n'
        )


def build_extension(folder: Path, publisher: Publisher | None = None) -> Path:
    """Write ``modelyard-bridge-VERSION.zip`` with the files that git has of the extension, and the license.

    Without a publisher it can be unpacked in ``custom_nodes``, and Comfy's registry does not take it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    package = folder / f"modelyard-bridge-{read_version()}.zip"
    moment = datetime.fromtimestamp(int(read_commit_time()), UTC).timetuple()[:6]
    with zipfile.ZipFile(package, "w") as archive:
        for name, file in sorted(list_files().items()):
            entry = zipfile.ZipInfo(f"{EXTENSION.name}/{name}", moment)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            content = file.read_bytes()
            if publisher is not None and name == "pyproject.toml":
                content = publisher.add_to(content.decode()).encode()
            archive.writestr(entry, content)
    return package


def list_files() -> dict[str, Path]:
    """Return the files of the extension by their names in its folder."""
    files = [file for file in tracked_files() if file.is_relative_to(EXTENSION)]
    return {file.relative_to(EXTENSION).as_posix(): file for file in files} | {"LICENSE": ROOT / "LICENSE"}


def read_version() -> str:
    """Return the extension's version, from its pyproject.toml."""
    project = tomllib.loads((EXTENSION / "pyproject.toml").read_text(encoding="utf-8"))
    return str(project["project"]["version"])


if __name__ == "__main__":
    main()
