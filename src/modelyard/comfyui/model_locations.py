"""The type and model path of files in a ComfyUI models folder, and corrected file names.

…/models/<type>/<anything>/<file>      as in `folder_paths.py` of ComfyUI
"""

import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from modelyard.comfyui.folder_links import FolderLinks
from modelyard.comfyui.model_files.several_files import find_indexed_parts, is_one_model, is_part
from modelyard.comfyui.type_detection import detect_type
from modelyard.wire.formats import find_format
from modelyard.wire.model_folders import CORE_FOLDERS, DIFFUSERS_FOLDER, KEY_BY_FOLDER, find_type_folder
from modelyard.wire.paths import (
    INVISIBLE_LETTERS,
    MAX_SEGMENT_BYTES,
    ModelPathInvalid,
    get_canonical_type,
    is_device_name,
    parse_model_path,
)

_CORE_FOLDERS = frozenset(CORE_FOLDERS)

_invalid_characters = re.compile(rf"(?:[^\w.\- ]|[{INVISIBLE_LETTERS}])+")


class TypeUnknown(ValueError):
    """The model type of a file can be determined neither by its folder nor by its content."""


class NameInvalid(ValueError):
    """A file name is invalid as a model path; ``suggestion`` is a valid one."""

    def __init__(self, detail: str, suggestion: str) -> None:
        super().__init__(detail)
        self.suggestion = suggestion


@dataclass(frozen=True)
class ModelLocation:
    """The location of a model: its type and its path below the ComfyUI folder."""

    model_type: str
    model_path: str


def find_location_by_folder(file: PurePath) -> ModelLocation | None:
    """Find a file's location by the folders of its absolute path; None if they are ambiguous or tell nothing.

    The innermost type folder directly below a folder ``models`` decides, in any letter case, else the only one with a
    core type's name. Folders of known custom nodes and of A1111 count only below a models folder: elsewhere names such
    as ``onnx`` are too common.
    """
    folders = file.parts[:-1]
    for index in range(len(folders) - 1, 0, -1):
        folder = find_type_folder(folders[index]) if _is_models_folder(folders[index - 1]) else None
        if folder is not None:
            return _build_location((folder, *file.parts[index + 1 :]))
    indexes = [index for index, folder in enumerate(folders) if folder in _CORE_FOLDERS]
    return _build_location(file.parts[indexes[0] :]) if len(indexes) == 1 else None


def find_location(file: Path, relative: PurePath, model_type: str | None = None) -> ModelLocation:
    """Find a file's location by the given type, else by its folders, else by its content.

    The path is that of its folders if they tell the same type, else ``relative`` below the type's folder, without a
    folder ``models`` at its start. It is not validated.

    Raises:
        TypeUnknown: none of the three determines the type.
        OSError: the file cannot be read.
    """
    by_folder = find_location_by_folder(file.absolute())
    if by_folder is not None and get_canonical_type(model_type or by_folder.model_type) == get_canonical_type(
        by_folder.model_type
    ):
        return by_folder
    kind = model_type or detect_type(file)
    if kind is None:
        raise TypeUnknown(
            f'The model type of "{file.name}" is unknown. Give it with --type, for instance --type loras.'
        )
    below = relative.parts
    return _build_location((kind, *(below[1:] if len(below) > 1 and _is_models_folder(below[0]) else below)))


def find_folder_location(folder: Path, model_type: str | None, default_type: str | None) -> ModelLocation:
    """Find the location of a folder that is one model, by the given type, else by the folders above, else the default.

    The path is that of its folders if they say the same type, else the folder's name below the type's folder. It is
    not validated.

    Raises:
        TypeUnknown: none of the three determines the type.
    """
    by_folder = _find_in_diffusers(folder.absolute()) or find_location_by_folder(folder.absolute())
    if by_folder is not None and get_canonical_type(model_type or by_folder.model_type) == get_canonical_type(
        by_folder.model_type
    ):
        return by_folder
    kind = model_type or default_type
    if kind is None:
        raise TypeUnknown(
            f'The model type of the folder "{folder.name}" is unknown. Give it with --type, such as --type diffusers.'
        )
    return _build_location((kind, folder.name))


def check_location(location: ModelLocation, *, clean: bool) -> ModelLocation:
    """Return the location if its path is valid on all platforms; with ``clean``, one with a corrected path if not.

    Raises:
        NameInvalid: the path is invalid, and ``clean`` is false.
        ModelPathInvalid: the path cannot be corrected, for instance a type that holds no models.
    """
    try:
        parse_model_path(location.model_type, location.model_path)
    except ModelPathInvalid as refused:
        if {".", ".."} & set(location.model_path.split("/")):
            raise
        suggestion = clean_path(location.model_path)
        parse_model_path(location.model_type, suggestion)
        if clean:
            return ModelLocation(location.model_type, suggestion)
        raise NameInvalid(f"{refused} A valid path is '{suggestion}'.", suggestion) from None
    return location


def clean_path(model_path: str) -> str:
    """Correct each segment of a path by the rules of ``wire.paths``; type, length and depth are not checked."""
    return "/".join(_clean_segment(segment) for segment in model_path.split("/"))


def list_model_files(folder: Path) -> Iterator[Path]:
    """Yield the files with a model's extension below a folder, sorted in each folder.

    Links are followed if they end inside the folder, each folder is visited once, and hidden names are skipped. A link
    to a folder that is not followed, each link that leads nowhere, and what has a model's name but is no file are
    yielded too. A file with a model's extension is yielded also if it is a link that is not followed.

    Of a folder that cannot be read, or that is one model, the folder is yielded instead of what is in it; then model
    files directly in it that are no parts, such as the whole model in one file that publishers put beside a pipeline.
    Of a folder with parts beside their index and other model files, the folder is yielded instead of the parts.
    """
    yield from _walk(folder, set(), FolderLinks(folder))


def _walk(folder: Path, seen: set[tuple[int, int]], links: FolderLinks) -> Iterator[Path]:
    """Yield the model files below a folder, unless the folder is in ``seen``, a set of device and inode numbers."""
    try:
        status, entries = folder.stat(), sorted(folder.iterdir())
    except OSError:
        yield folder
        return
    if (status.st_dev, status.st_ino) in seen:
        return  # visited before, through a link
    seen.add((status.st_dev, status.st_ino))
    entries = [entry for entry in entries if not entry.name.startswith(".")]
    names = set() if has_many_models(folder) else {entry.name for entry in entries}
    is_whole = is_one_model(names)
    parts = set(filter(is_part, names)) if is_whole else find_indexed_parts(names)
    if is_whole or parts:
        yield folder
    for entry in entries:
        is_model = find_format(entry.name) is not None and entry.name not in parts
        if is_folder(entry) and (is_whole or links.find_problem(entry) is None):
            yield from () if is_whole else _walk(entry, seen, links)
        elif is_model or is_folder(entry) or _leads_nowhere(entry):
            yield entry


def _leads_nowhere(path: Path) -> bool:
    """Return whether a path is a link to what is not there, or to itself."""
    return os.path.islink(path) and not os.path.exists(path)  # noqa: PTH110, PTH114 - pathlib raises if a folder is closed


def is_one_model_folder(folder: Path) -> bool:
    """Return whether a folder is one model by the names of its files; False if it cannot be read. Blocking."""
    try:
        names = {entry.name for entry in folder.iterdir() if not entry.name.startswith(".")}
    except OSError:
        return False
    return is_one_model(names) and not has_many_models(folder)


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder or a link to one; False if that cannot be found out."""
    try:
        return path.is_dir()
    except OSError:  # in a folder that may be listed only, or not even that
        return False


def _find_in_diffusers(folder: PurePath) -> ModelLocation | None:
    """Return the location of a folder below ``models/diffusers``; None for others."""
    above = folder.parts[:-1]
    indexes = [index for index in range(1, len(above)) if above[index].casefold() == DIFFUSERS_FOLDER]
    in_models = [index for index in indexes if _is_models_folder(above[index - 1])]
    return _build_location((DIFFUSERS_FOLDER, *folder.parts[in_models[-1] + 1 :])) if in_models else None


def has_many_models(folder: Path) -> bool:
    """Return whether a folder is one of ComfyUI's or of a custom node's, such as ``models/text_encoders``."""
    folder = folder.absolute()
    is_known = folder.name.casefold() == DIFFUSERS_FOLDER or find_type_folder(folder.name) is not None
    return is_known and _is_models_folder(folder.parent.name)


def _is_models_folder(name: str) -> bool:
    """Return whether a folder of this name may be a models folder, as ComfyUI's, A1111's and SwarmUI's are."""
    return name.casefold() == "models"


def _build_location(parts: tuple[str, ...]) -> ModelLocation:
    """Return the location of a path that begins with a type folder; ``t2i_adapter`` becomes ``controlnet``."""
    return ModelLocation(
        KEY_BY_FOLDER.get(parts[0], parts[0]), "/".join(("models", KEY_BY_FOLDER.get(parts[0], parts[0]), *parts[1:]))
    )


def _clean_segment(segment: str) -> str:
    """Return a similar file or folder name that is valid on all platforms; a long one is cut before its extension."""
    text = _invalid_characters.sub("_", unicodedata.normalize("NFC", segment))
    text = re.sub(r"\.{2,}", ".", text)
    stem, dot, suffix = text.rpartition(".")
    if not stem:
        stem, dot, suffix = text, "", ""
    # Replaced characters at the ends are dropped: "ink (1)" becomes "ink_1".
    stem = re.sub(r"[ _]*_[ _]*", "_", stem).strip("_. ") or "model"
    max_stem_bytes = MAX_SEGMENT_BYTES - len((dot + suffix).encode())
    stem = stem.encode()[:max_stem_bytes].decode(errors="ignore").rstrip("_. ")
    if is_device_name(stem):
        stem = f"model_{stem}"
    return f"{stem}{dot}{suffix.strip()}"
