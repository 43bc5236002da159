"""Rewriting of a workflow with other names of models."""

import json
from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

from modelyard.comfyui.workflows.documents import parse_document
from modelyard.wire.formats import find_format

Slash = Literal["/", "\\"]
System = Literal["windows", "posix"]
SLASHES: Mapping[System, Slash] = {"windows": "\\", "posix": "/"}


class CheckedReference(Protocol):
    """A reference, and what a registry has for it; ``modelyard.wire.workflows.WorkflowReference`` is one."""

    @property
    def name(self) -> str: ...

    @property
    def state(self) -> str: ...

    @property
    def suggestion(self) -> str | None: ...


def build_replacements(references: Iterable[CheckedReference], slash: Slash | None) -> dict[str, str]:
    """Return new names for a workflow: those of the same files in the registry, with this slash between folders.

    A similar name counts only if it differs in case or folder. Without a ``slash``, each name keeps its own. Names that
    do not end like a model file are left out, since the same text may stand for something else.
    """
    renamed = {each.name: _choose_name(each, slash) for each in references if find_format(each.name)}
    return {old: new for old, new in renamed.items() if old != new}


def _choose_name(reference: CheckedReference, slash: Slash | None) -> str:
    """Return the name that a reference should have."""
    name, suggestion = reference.name.replace("\\", "/"), reference.suggestion
    is_same_file = reference.state == "other_name" or (
        reference.state == "similar"
        and suggestion is not None
        and suggestion.rpartition("/")[2].casefold() == name.rpartition("/")[2].casefold()
    )
    chosen = suggestion if suggestion and is_same_file else name
    own: Slash = "\\" if "\\" in reference.name else "/"
    return chosen.replace("/", slash or own)


def replace_names(document: bytes, names: Mapping[str, str]) -> bytes:
    """Return a copy of a workflow in which each text that is one of the names is replaced.

    Only whole texts are replaced, so that prompts, also with tags of LoRAs, and keys stay. Spaces between values and
    the notation of numbers may differ from the original.

    Raises:
        WorkflowUnreadable: it is no JSON, or is too large or nested too deeply.
    """
    content = _replace(parse_document(document), names)
    try:
        return json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair is written as an escape only.
        return json.dumps(content).encode()


def _replace(value: object, names: Mapping[str, str]) -> object:
    """Return a JSON value with other names; ``parse_document`` limits its depth."""
    if isinstance(value, str):
        return names.get(value, value)
    if isinstance(value, dict):
        return {key: _replace(child, names) for key, child in value.items()}
    return [_replace(child, names) for child in value] if isinstance(value, list) else value
