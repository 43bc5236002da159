"""Folders of Modelyard that other users of the machine should not be able to open, and a check whether they can."""

import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

# The default data folders of a registry on this machine.
_REGISTRY_FOLDERS = (Path("modelyard-data"), Path("/var/lib/modelyard"))


def list_private_folders(environment: Mapping[str, str], agent_folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the purpose and the path of each private folder that exists.

    Without ``MODELYARD_DATA_DIR`` these are the registry's default folders, one of them in the working directory.
    """
    named = environment.get("MODELYARD_DATA_DIR")
    registries = (Path(named),) if named else _REGISTRY_FOLDERS
    for purpose, folder in [("agent's state", agent_folder), *(("registry's data", each) for each in registries)]:
        if folder.is_dir():
            yield purpose, folder


def find_open_mode(folder: Path) -> str | None:
    """Return a folder's octal mode, as for ``chmod``, if group or others have a permission.

    None if they have none, and on Windows, where modes do not say who has access.
    """
    mode = stat.S_IMODE(folder.stat().st_mode)
    return f"{mode:o}" if sys.platform != "win32" and mode & 0o077 else None
