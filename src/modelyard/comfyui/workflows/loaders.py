"""Loader nodes: which inputs of which nodes name models, and in which folder ComfyUI searches for them."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from modelyard.comfyui.workflows.declared import get_folder_key

_FILES = ("core_loaders.toml", "custom_loaders.toml")


class LoadersInvalid(ValueError):
    """A text is no valid table of loaders. The message says where."""


@dataclass(frozen=True)
class LoaderInput:
    """An input that names a model.

    ``folders`` are canonical keys. If there are several, the node searches all of them, and the first one is reported
    unless the workflow declares another.
    """

    folders: tuple[str, ...]
    folder_by_prefix: Mapping[str, str] = field(default_factory=dict)  # for names that begin so

    def list_folders(self, name: str) -> tuple[str, ...]:
        """Return the folders in which this name is searched."""
        special = (folder for prefix, folder in self.folder_by_prefix.items() if name.lower().startswith(prefix))
        return next(((folder,) for folder in special), self.folders)


@dataclass(frozen=True)
class Loader:
    """A node type that loads models.

    ``inputs`` are by name; ``*`` in a name is any number. ``widgets`` are the names of the first widgets in order, up
    to the last one that names a model: workflows in UI format may list values without names.
    """

    inputs: Mapping[str, LoaderInput] = field(default_factory=dict)
    widgets: tuple[str, ...] = ()
    count_input: str | None = None  # only so many of the numbered inputs are loaded
    switch_input: str | None = None  # "Off" or false: the numbered input is not loaded
    takes_bare_names: bool = False  # names may lack the extension
    finds_by_stem: bool = False  # finds a file in any subfolder by its name without extension
    loads_tags: bool = False  # <lora:name:strength> in its texts are loaded

    def find_input(self, name: str) -> LoaderInput | None:
        """Return what an input names; None if it names no model."""
        found = self.inputs.get(name)
        return self.inputs.get(_number.sub("*", name)) if found is None and name else found

    def is_in_use(self, name: str, values: Mapping[str, object]) -> bool:
        """Return whether a numbered input is within the count and not switched off, by the values of the node."""
        if (number := _number.search(name)) is None:
            return True
        count = values.get(self.count_input or "")
        if isinstance(count, (int, float)) and int(number[0]) > count:
            return False
        switch = values.get(self.switch_input.replace("*", number[0])) if self.switch_input else None
        return switch is not False and str(switch).lower() != "off"

    def get_only_folders(self) -> tuple[str, ...]:
        """Return the folders that all inputs of the node search; none if they differ."""
        folders = {each.folders for each in self.inputs.values()}
        return next(iter(folders)) if len(folders) == 1 else ()


@dataclass(frozen=True)
class LoaderTable:
    """Loaders by node type."""

    by_type: Mapping[str, Loader] = field(default_factory=dict)

    def find(self, node_type: str) -> Loader | None:
        """Return the loader of a node type; None for a node that is not known."""
        return self.by_type.get(node_type)

    def extend(self, other: "LoaderTable") -> "LoaderTable":
        """Return this table with the loaders of another one, which replace those of the same type."""
        return LoaderTable({**self.by_type, **other.by_type})


# Rows of a node with repeated widgets.
_MAX_REPEATED = 50
_number = re.compile(r"[0-9]{1,6}")


@cache
def get_default_loaders() -> LoaderTable:
    """Return the loaders of ComfyUI and of well-known custom nodes."""
    table = LoaderTable()
    for name in _FILES:
        table = table.extend(parse_loaders(files(__package__).joinpath(name).read_text(encoding="utf-8")))
    return table


def parse_loaders(text: str) -> LoaderTable:
    """Parse a table of loaders in TOML; ``core_loaders.toml`` describes its form.

    Raises:
        LoadersInvalid: it is no TOML, or an entry has another form.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise LoadersInvalid(f"The table of loaders is not valid TOML: {error}") from None
    entries, all_bare = document.get("loader", []), document.get("all_bare") is True
    by_type: dict[str, Loader] = {}
    for number, entry in enumerate(entries if isinstance(entries, list) else [None], start=1):
        try:
            loader = _parse_loader(entry, takes_bare_names=all_bare)
            by_type |= dict.fromkeys(_parse_names(entry["nodes"]), loader)
        except (AttributeError, TypeError, ValueError, KeyError):
            raise LoadersInvalid(
                f"Loader {number} needs `nodes` and `inputs`, as core_loaders.toml has them."
            ) from None
    return LoaderTable(by_type)


def _parse_loader(entry: dict[str, Any], *, takes_bare_names: bool) -> Loader:
    """Return the loader of an entry; raise a built-in exception if it has another form."""
    prefixes = {
        prefix: get_folder_key(_parse_text(folder)) for prefix, folder in dict(entry.get("prefixes", {})).items()
    }
    inputs = {
        name: LoaderInput(_parse_folders(folders), prefixes) for name, folders in dict(entry.get("inputs", {})).items()
    }
    widgets = _parse_names(entry.get("widgets", [name for name in inputs if "*" not in name]))
    repeated = _parse_names(entry.get("repeated", []))
    count, switch = entry.get("count"), entry.get("switch")
    return Loader(
        inputs=inputs,
        widgets=(
            *widgets,
            *[each.replace("*", str(number)) for number in range(1, _MAX_REPEATED) for each in repeated],
        ),
        count_input=None if count is None else _parse_text(count),
        switch_input=None if switch is None else _parse_text(switch),
        takes_bare_names=takes_bare_names or entry.get("bare") is True or entry.get("stem") is True,
        finds_by_stem=entry.get("stem") is True,
        loads_tags=entry.get("tags") is True,
    )


def _parse_folders(folders: object) -> tuple[str, ...]:
    """Return the canonical keys of a folder, or of a list of folders."""
    names = (folders,) if isinstance(folders, str) else _parse_names(folders)
    return tuple(get_folder_key(name) for name in names)


def _parse_names(names: object) -> tuple[str, ...]:
    """Return a list of texts; raise TypeError for another value."""
    if not isinstance(names, list):
        raise TypeError
    return tuple(_parse_text(name) for name in names)


def _parse_text(text: object) -> str:
    """Return a text; raise TypeError for another value."""
    if not isinstance(text, str):
        raise TypeError
    return text
