"""Which inputs of which nodes name models, found in what a running ComfyUI offers for them.

ComfyUI does not say in which folder an input searches, so the list of an input is compared with those of the folders.
"""

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from modelyard.comfyui.workflows.detection import is_file_name, is_no_model
from modelyard.comfyui.workflows.loaders import get_default_loaders

# The input of a node for values whose input is not known: the node loads models of one folder only.
ANY_INPUT = "*"


class FoundLoader(NamedTuple):
    """An input of a node that offers the files of one folder, or ``ANY_INPUT``."""

    node_type: str
    input: str
    folder: str


def find_loader_inputs(object_info: bytes, files_by_folder: Mapping[str, frozenset[str]]) -> list[FoundLoader]:
    """Return the inputs whose choices are the files of exactly one folder, sorted.

    ``object_info`` is a response of ``/object_info``. Nothing is known of inputs of empty folders, and of folders that
    list the same files. Nodes that are known without ComfyUI are left out. Of nodes whose other inputs cannot name a
    model, ``ANY_INPUT`` is returned too.

    Raises:
        ValueError: the response is no JSON object.
    """
    try:
        nodes = json.loads(object_info)
    except RecursionError:
        raise ValueError("The response is nested too deeply.") from None
    if not isinstance(nodes, dict):
        raise ValueError("The response is no JSON object.")  # noqa: TRY004 - of a response, not of an argument
    folders = _index_folders(files_by_folder)
    known = get_default_loaders()
    return sorted(
        FoundLoader(node_type, name, folder)
        for node_type, node in nodes.items()
        if known.find(node_type) is None
        for name, folder in _find_in_node(node, folders)
    )


def _find_in_node(node: object, folders: Mapping[frozenset[str], str]) -> Iterator[tuple[str, str]]:
    """Yield the inputs of a node that offer the files of a folder, and ``ANY_INPUT`` if all of it are of one folder."""
    inputs = list(_list_choices(node))
    found = {name: folder for name, choices in inputs if (folder := folders.get(_select_files(choices))) is not None}
    yield from found.items()
    others = [choices for name, choices in inputs if name not in found]
    if len(set(found.values())) == 1 and not any(_may_name_models(choices) for choices in others):
        yield ANY_INPUT, next(iter(found.values()))


def _may_name_models(choices: object) -> bool:
    """Return whether an input may have the name of a model: a text, or a choice among files or of an unknown list.

    A list that is empty, or has only choices that load no file, may be that of a folder that is empty on this machine.
    Other types have numbers or are linked.
    """
    if not isinstance(choices, list):
        return not isinstance(choices, str) or choices in ("STRING", "COMBO", "*")
    names = [each for each in choices if not (isinstance(each, str) and is_no_model(each))]
    return not names or not all(isinstance(each, str) and not is_file_name(each) for each in names)


def _index_folders(files_by_folder: Mapping[str, frozenset[str]]) -> dict[frozenset[str], str]:
    """Return the folder that lists these files; without those that list none, or the same as another."""
    found: dict[frozenset[str], str] = {}
    repeated: set[frozenset[str]] = set()
    for folder, names in files_by_folder.items():
        files = _select_files(names)
        if files in found:
            repeated.add(files)
        found[files] = folder
    return {files: folder for files, folder in found.items() if files and files not in repeated}


def _select_files(names: object) -> frozenset[str]:
    """Return the choices without those that load no file; none if one is no text."""
    if not isinstance(names, (list, frozenset)) or not all(isinstance(each, str) for each in names):
        return frozenset()
    return frozenset(each.replace("\\", "/") for each in names if not is_no_model(each))


def _list_choices(node: object) -> Iterator[tuple[str, object]]:
    """Yield the inputs of a node that offer choices, with these: ``[[…], {…}]``, or ``["COMBO", {"options": […]}]``."""
    groups = node.get("input") if isinstance(node, dict) else None
    for group in groups.values() if isinstance(groups, dict) else ():
        for name, declared in group.items() if isinstance(group, dict) else ():
            if isinstance(declared, list) and declared:
                options = declared[1].get("options") if len(declared) > 1 and isinstance(declared[1], dict) else None
                yield name, options if declared[0] == "COMBO" else declared[0]
