"""A check whether a running ComfyUI loads a placed file, and what a person does if it does not."""

import os
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from modelyard.comfyui.http_api import ComfyUI
from modelyard.comfyui.layout import Install, NamedModel
from modelyard.comfyui.quoting import quoted
from modelyard.wire.model_folders import COMFYUI_EXTENSIONS, CORE_FOLDERS, find_format_nodes, find_node_folder


class LoadCheck:
    """A check whether a running ComfyUI loads models from the placed files. Blocking.

    Whether it runs is asked once, at creation, and each key's list once, when it is needed.
    """

    def __init__(self, comfyui: ComfyUI, install: Install) -> None:
        self._comfyui = comfyui
        self._install = install
        self._names: dict[str, frozenset[str] | None] = {}
        self._is_running = comfyui.get_version() is not None
        self._roots: dict[str, list[Path]] = defaultdict(list)
        for root in install.roots:
            self._roots[root.key].append(root.path.resolve())

    def find_problem(self, model: NamedModel, path: Path) -> str | None:
        """Return why ComfyUI does not load the model from the file at ``path``, as a message.

        ``path`` has no links above the file name. None if ComfyUI does load it, was not running at the creation of this
        check, or does not use that folder. Custom nodes may add keys with other extensions
        to existing folders, so it is enough if any key lists the file. Folders that a node reads directly are not in
        ComfyUI's lists, so nothing is reported for them.
        """
        if not self._is_running or not self._is_in_install(model, path):
            return None
        names = self._list_names(model, path)
        listed = [
            (key, name) for key, name in names if name.replace("/", os.sep) in (self._get_listed_names(key) or ())
        ]
        opened = [_find_opened_file(self._install, key, name) for key, name in listed]
        if any(file is None or _is_same(file, path) for file in opened):
            return None
        if opened and opened[0] is not None:
            loaded = f"ComfyUI loads {quoted(opened[0])} under this name, not {quoted(path)}."
            return f"{loaded} Move that file away or rename it."
        node_folder = find_node_folder(model.model_type)
        if node_folder is not None and node_folder.is_read_directly:
            return None
        return self._explain_unlisted(model, path, names)

    def _explain_unlisted(self, model: NamedModel, path: Path, names: list[tuple[str, str]]) -> str:
        """Say why no key lists the file: ComfyUI does not have the type's key, or its list lacks the file."""
        start = f"ComfyUI at {self._comfyui.url}"
        if all(self._get_listed_names(key) is None for key, _ in names):
            return f"{start} has no models of type '{model.model_type}'. {_advise_on_type(model.model_type)}"
        keys = [key for key, _ in names]
        listed = ", ".join(f"'{key}'" for key in keys)
        advice = advise_on_unlisted(model.model_type, path.suffix.lower(), keys)
        return (
            f"{start} does not list {quoted(model.name)} under {listed}, though the file is at {quoted(path)}. {advice}"
        )

    def _is_in_install(self, model: NamedModel, path: Path) -> bool:
        """Return whether the file is in a folder of this ComfyUI, or may be since the type's folder is unknown."""
        if any(path.is_relative_to(root) for roots in self._roots.values() for root in roots):
            return True
        models = self._install.models
        return model.model_type not in self._roots and (models is None or path.is_relative_to(models.resolve()))

    def _list_names(self, model: NamedModel, path: Path) -> list[tuple[str, str]]:
        """Return the keys that may list the file with its name under each key; the model's own key comes first."""
        names = {(model.model_type, model.name): None}
        for key, roots in self._roots.items():
            for root in roots:
                if path.is_relative_to(root):
                    names[key, path.relative_to(root).as_posix()] = None
        return list(names)

    def _get_listed_names(self, key: str) -> frozenset[str] | None:
        """Return the names that ComfyUI lists for a key, which are requested once; see ``ComfyUI.list_names``."""
        if key not in self._names:
            self._names[key] = self._comfyui.list_names(key)
        return self._names[key]


def _advise_on_type(model_type: str) -> str:
    """Say what to do if ComfyUI does not have the key of a type."""
    folder = find_node_folder(model_type)
    node = (
        "the custom node that adds the type" if folder is None else f"a custom node that adds it: {folder.custom_node}"
    )
    return f"Install {node}, then restart ComfyUI."


def advise_on_unlisted(model_type: str, extension: str, keys: Collection[str]) -> str:
    """Say what to do if ComfyUI has a type's key, or others of its folder, and none lists a file. Pure.

    ``extension`` is in lower case. A node that lists the extension and is installed has its own key in ``keys``.
    """
    if model_type not in CORE_FOLDERS:
        return (
            "The custom node that reads the folder does not take the extension, or the folder changed: restart ComfyUI."
        )
    if extension in COMFYUI_EXTENSIONS:
        return "It read this folder before the file was there: restart ComfyUI."
    own = f"Its own loaders take no {extension or 'such'} files."
    if not (nodes := find_format_nodes(extension)):
        return f"{own} Install a custom node that takes them in this folder, then restart ComfyUI."
    here = next((node for node in nodes if model_type in node.folders), None)
    if here is None:
        folders = ", ".join(f"'{node.folders[0]}' ({node.loader})" for node in nodes)
        return f"{nodes[0].custom_node} loads {extension} files of other types: {folders}. Move the model there."
    if here.key in keys:
        return (
            f"It read this folder before the file was there: restart ComfyUI. The node '{here.loader}' loads the file."
        )
    install = f"Install the custom node {here.custom_node}, restart ComfyUI"
    return f"{own} {install}, and load the file with the node '{here.loader}'."


def _find_opened_file(install: Install, key: str, name: str) -> Path | None:
    """Return the file that ComfyUI opens for a name: from the first root that has it; None if none has."""
    paths = (root.path / name for root in install.roots if root.key == key)
    return next((path for path in paths if path.is_file()), None)


def _is_same(first: Path, second: Path) -> bool:
    """Return whether two paths are one file, for instance through links; False if one of them is missing."""
    try:
        return first.samefile(second)
    except OSError:
        return False
