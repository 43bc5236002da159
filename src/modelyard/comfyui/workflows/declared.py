"""Models that a workflow declares: ``properties.models`` of a node, and ``models`` of the whole workflow."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from modelyard.comfyui.workflows.documents import list_objects
from modelyard.wire.hashes.texts import split_hash
from modelyard.wire.model_folders import KEY_BY_FOLDER
from modelyard.wire.paths import NON_MODEL_FOLDERS, get_canonical_type
from modelyard.wire.texts.web_addresses import AddressInvalid, parse_address

MAX_URL_LENGTH = 2_000
# One name in several folders is usual. The limit keeps the search linear.
_MAX_SAME_NAME = 8
_folder = re.compile(r"\w[\w. -]{0,99}")


@dataclass(frozen=True)
class DeclaredModel:
    """An entry of a ``models`` list. It counts only where a node has its name as a value."""

    folder: str | None
    hash: str | None
    url: str | None


DeclaredModels = Mapping[str, Sequence[DeclaredModel]]


def read_declared(entries: object) -> DeclaredModels:
    """Return the entries of a ``models`` list by their names; what is invalid in them is left out."""
    declared: dict[str, list[DeclaredModel]] = {}
    for entry in list_objects(entries):
        if not isinstance(name := entry.get("name"), str) or len(declared.get(name, ())) == _MAX_SAME_NAME:
            continue
        url, folder = _parse_url(entry.get("url")), parse_folder(entry.get("directory"))
        digest = _parse_hash(entry.get("hash"), entry.get("hash_type"))
        declared.setdefault(name, []).append(DeclaredModel(folder, digest, url))
    return declared


def find_declared(name: str, folders: Collection[str], *declared: DeclaredModels) -> DeclaredModel | None:
    """Return the first entry of this name for one of the folders, or for any folder if none are given."""
    entries = (entry for models in declared for entry in models.get(name, ()))
    return next((entry for entry in entries if not folders or entry.folder in (None, *folders)), None)


def parse_folder(text: object) -> str | None:
    """Return the canonical folder key of a directory such as ``loras`` or ``models/unet/flux``.

    None if it has none: for a path that leads elsewhere, and for folders of other files, such as ``custom_nodes``.
    """
    if not isinstance(text, str):
        return None
    parts = [part for part in text.replace("\\", "/").split("/") if part]
    if parts[:1] == ["models"]:
        del parts[0]
    if not parts or ".." in parts or not _folder.fullmatch(parts[0]) or parts[0] in NON_MODEL_FOLDERS:
        return None
    return get_folder_key(parts[0])


def get_folder_key(folder: str) -> str:
    """Return ComfyUI's canonical key for the name of a folder or a key: ``unet`` is ``diffusion_models``."""
    return KEY_BY_FOLDER.get(folder, get_canonical_type(folder))


def _parse_hash(text: object, kind: object) -> str | None:
    """Return a SHA-256 as lower-case hex, another kind of hash as ``kind:digits``; None if it is no hash."""
    if not isinstance(text, str):
        return None
    if isinstance(kind, str) and kind and ":" not in text:
        text = f"{kind}:{text}"
    kinds, digits = split_hash(text.strip())
    if not kinds:
        return None
    return digits if kinds[0] == "sha256" else f"{kinds[0]}:{digits}"


def _parse_url(text: object) -> str | None:
    """Return an http or https address as written; None for anything else."""
    if not isinstance(text, str) or len(text) > MAX_URL_LENGTH:
        return None
    try:
        parse_address(text)
    except AddressInvalid:
        return None
    return text
