"""The files of ComfyUI's extension: where they are, and copying them into a ComfyUI."""

import json
import os
import shutil
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import modelyard
from modelyard.client.atomic_file import list_drafts, write_file, write_private_file
from modelyard.comfyui.layout import CODE_FOLDER
from modelyard.comfyui.quoting import quoted
from modelyard.transfer.portable.files import fsync_folder

NAME = "modelyard-bridge"
# In a wheel, tools/wheel.py puts the files into the package; a checkout has them beside it.
PACKAGED_FOLDER = "comfyui_extension"
CONFIG_NAME = "agent.json"
_PROJECT_FILE = "pyproject.toml"
# The zip of `make extension` has it too.
_LICENSE_FILE = "LICENSE"
# ComfyUI loads no folder with this ending.
_DRAFT_FOLDER = f".{NAME}.new.disabled"


class ExtensionRefused(ValueError):
    """The extension cannot be installed into a ComfyUI, or removed from it."""


@dataclass(frozen=True)
class AgentAddress:
    """How the extension finds its agent: the socket, and the agent's name for people."""

    socket: Path
    agent_id: str


def find_extension_files() -> dict[str, Path]:
    """Return the files of the extension by their names in its folder.

    Raises:
        ExtensionRefused: this installation of modelyard has none.
    """
    package = Path(modelyard.__file__).resolve().parent
    for folder in (package / PACKAGED_FOLDER, package.parents[1] / "extension" / NAME):
        if (folder / _PROJECT_FILE).is_file():
            files = [file for file in folder.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
            return {file.relative_to(folder).as_posix(): file for file in files if file.name != CONFIG_NAME}
    raise ExtensionRefused("This installation of modelyard has no files of the extension. Install it from a wheel.")


def install_extension(comfyui: Path, files: Mapping[str, Path], address: AgentAddress) -> Path:
    """Copy the extension into a ComfyUI, in place of an earlier version, and return its folder; may be repeated.

    Files of an earlier version that are gone are removed; what a user added stays. A first installation appears whole
    or not at all; an interrupted update is completed by the next call.

    Raises:
        ExtensionRefused: the folder has no ``custom_nodes``, or what is there is not this extension.
        OSError: a file cannot be written.
    """
    folder = _find_folder(comfyui)
    if not folder.parent.is_dir():
        raise ExtensionRefused(f"{quoted(comfyui)} has no folder {CODE_FOLDER}. Name the folder of a ComfyUI.")
    before = _list_installed(folder) if _is_installed(folder, files) else set[str]()
    _check_no_links(folder, before.union(files))

    if folder.exists():
        _write_files(folder, files)
        _remove_files(folder, before.difference(files))
        _write_config(folder, files, address)
    else:
        _create_folder(folder, files, address)
    return folder


def remove_extension(comfyui: Path, files: Iterable[str]) -> Path | None:
    """Remove the extension from a ComfyUI; return its folder if files that a user added keep it, else None.

    ``files`` are the names to remove if the extension was copied there by hand. Does nothing if it is not there.

    Raises:
        ExtensionRefused: what is there is not this extension.
        OSError: a file cannot be removed.
    """
    folder = _find_folder(comfyui)
    names = set(files)
    if _is_installed(folder, names):
        names |= _list_installed(folder) | {_LICENSE_FILE, CONFIG_NAME}
        _check_no_links(folder, names)
        _remove_files(folder, names)
    _remove_draft_folder(folder)
    with suppress(OSError):
        folder.rmdir()
    return folder if folder.exists() else None


def _find_folder(comfyui: Path) -> Path:
    """Return the folder of the extension in a ComfyUI."""
    return comfyui / CODE_FOLDER / NAME


def _is_installed(folder: Path, names: Iterable[str]) -> bool:
    """Return whether the extension is in its folder; False if none of these files is there, but perhaps others.

    Raises:
        ExtensionRefused: something else is there.
    """
    if folder.is_symlink():
        raise ExtensionRefused(f"{quoted(folder)} is a link, and is left as it is.")
    if not folder.exists():
        return False
    try:
        project = tomllib.loads((folder / _PROJECT_FILE).read_text(encoding="utf-8"))["project"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        project = None
    if project == NAME:
        return True
    if not folder.is_dir() or any(os.path.lexists(folder / name) for name in names):
        raise ExtensionRefused(f"{quoted(folder)} is not modelyard's extension, and is left as it is.")
    return False


def _list_installed(folder: Path) -> set[str]:
    """Return the names of the files that were installed, without any that lead out of the folder."""
    try:
        names = json.loads((folder / CONFIG_NAME).read_bytes())["file_list"]
        found = {str(name) for name in names}
    except (OSError, ValueError, KeyError, TypeError):
        found = set()
    return {name for name in found if not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts}


def _check_no_links(folder: Path, names: Iterable[str]) -> None:
    """Check that none of the files, nor a folder of them, is a symbolic link, which might lead anywhere.

    Raises:
        ExtensionRefused: one is.
    """
    for name in names:
        for path in ((folder / name), *(folder / parent for parent in PurePosixPath(name).parents)):
            if path.is_symlink():
                raise ExtensionRefused(f"{quoted(path)} is a link. Remove it, then try again.")


def _create_folder(folder: Path, files: Mapping[str, Path], address: AgentAddress) -> None:
    """Create the extension's folder with all of its files in one step, and make it durable.

    A draft of it, which is removed in any case, is filled first.
    """
    draft = folder.with_name(_DRAFT_FOLDER)
    _remove_draft_folder(folder)
    try:
        draft.mkdir()
        _write_files(draft, files)
        _write_config(draft, files, address)
        draft.rename(folder)
    finally:
        _remove_draft_folder(folder)
    fsync_folder(folder.parent)


def _remove_draft_folder(folder: Path) -> None:
    """Remove what an interrupted first installation left."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder.with_name(_DRAFT_FOLDER))


def _write_files(folder: Path, files: Mapping[str, Path]) -> None:
    """Copy the files, first the one by which the extension is recognised if this is interrupted."""
    for name in sorted(files, key=lambda name: (name != _PROJECT_FILE, name)):
        _copy_file(files[name], folder / name)


def _write_config(folder: Path, files: Iterable[str], address: AgentAddress) -> None:
    """Write how the extension finds its agent, and which files were installed."""
    document = {"socket": str(address.socket), "profile": address.agent_id, "file_list": sorted(files)}
    write_private_file(folder / CONFIG_NAME, json.dumps(document, indent=2) + "\n")


def _copy_file(source: Path, target: Path) -> None:
    """Copy a file durably, in place of another one in one step; the umask decides its mode and those of its folders."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_drafts(target)
    write_file(target, source.read_bytes())


def _remove_drafts(target: Path) -> None:
    """Remove what a killed installation left of a file."""
    for draft in list_drafts(target):
        draft.unlink(missing_ok=True)


def _remove_files(folder: Path, names: Iterable[str]) -> None:
    """Remove files, their drafts, what Python compiled from them, and the folders below ``folder`` that are empty then.

    The file by which the extension is recognised is the last, so that an interrupted removal can be repeated.
    """
    removed = [folder / name for name in sorted(names, key=lambda name: (name == _PROJECT_FILE, name))]
    for path in removed:
        _remove_drafts(path)
        path.unlink(missing_ok=True)
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink(missing_ok=True)
    parents = {parent for path in removed for parent in path.parents if parent.is_relative_to(folder)}
    for parent in sorted(parents, key=lambda path: len(path.parts), reverse=True):
        for empty in (parent / "__pycache__", *([parent] if parent != folder else [])):
            with suppress(OSError):
                empty.rmdir()
