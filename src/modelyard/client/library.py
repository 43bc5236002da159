"""A ComfyUI models folder: its type folders, what a file in it is, and names that every machine can hold.

…/models/<type>/<anything>/<file>      as in `folder_paths.py` of ComfyUI
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from modelyard.client.header import type_by_content
from modelyard.wire.paths import MAX_SEGMENT_BYTES, PathRefused, canonical_type, checked_path

# The folders of ComfyUI core, aliases included; custom nodes add more, which `--type` reaches.
TYPE_FOLDERS = frozenset(
    {
        "checkpoints",
        "loras",
        "vae",
        "text_encoders",
        "clip",
        "unet",
        "diffusion_models",
        "clip_vision",
        "style_models",
        "embeddings",
        "vae_approx",
        "controlnet",
        "t2i_adapter",
        "gligen",
        "upscale_models",
        "latent_upscale_models",
        "hypernetworks",
        "photomaker",
        "model_patches",
        "audio_encoders",
        "background_removal",
        "frame_interpolation",
        "geometry_estimation",
        "optical_flow",
        "detection",
    }
)
# One key of ComfyUI with a second root of another name.
_ROOT_OF = {"t2i_adapter": "controlnet"}
MODEL_SUFFIXES = frozenset({".safetensors", ".sft", ".gguf", ".onnx", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl"})

_unfit = re.compile(r"[^\w.\- ]+")


class TypeUnknown(ValueError):
    """Neither its folder nor its content says what kind of model this file is."""


class NameUnfit(ValueError):
    """The file's name cannot be a model path; ``suggestion`` is one that can."""

    def __init__(self, detail: str, suggestion: str) -> None:
        super().__init__(detail)
        self.suggestion = suggestion


@dataclass(frozen=True)
class Place:
    """Where a model belongs: its type and its path below the ComfyUI folder."""

    model_type: str
    model_path: str


def place_by_folder(file: PurePath) -> Place | None:
    """Where the folders around an absolute path say that it belongs; None if they say nothing or two things."""
    folders = file.parts[:-1]
    for index in range(len(folders) - 1, 0, -1):
        if folders[index] in TYPE_FOLDERS and folders[index - 1].casefold() == "models":
            return _place(file.parts[index:])
    named = [index for index, folder in enumerate(folders) if folder in TYPE_FOLDERS]
    return _place(file.parts[named[0] :]) if len(named) == 1 else None


def place_of(file: Path, below: PurePath, model_type: str | None = None) -> Place:
    """Where a file belongs: by the type that is given, by its folders, or by its content.

    ``below``: the part of its path that is kept under the type's folder when no models folder says it.

    Raises:
        TypeUnknown: nothing of the three gives an answer.
        OSError: the file cannot be read.
    """
    by_folder = place_by_folder(file.absolute())
    if by_folder is not None and canonical_type(model_type or by_folder.model_type) == canonical_type(
        by_folder.model_type
    ):
        return by_folder
    kind = model_type or type_by_content(file)
    if kind is None:
        raise TypeUnknown(f'What kind of model is "{file.name}"? Say it with --type, for instance --type loras.')
    return _place((kind, *below.parts))


def fit_place(place: Place, *, clean: bool) -> Place:
    """The place, if every machine can hold a file of that name; with ``clean``, else the nearest name that all can.

    Raises:
        NameUnfit: the name is unfit, and ``clean`` is not set.
        PathRefused: no cleaning helps, as with a type that holds no models.
    """
    try:
        checked_path(place.model_type, place.model_path)
    except PathRefused as refused:
        suggestion = clean_path(place.model_path)
        checked_path(place.model_type, suggestion)
        if clean:
            return Place(place.model_type, suggestion)
        raise NameUnfit(f"{refused} A path that works is '{suggestion}'.", suggestion) from None
    return place


def clean_path(model_path: str) -> str:
    """The nearest path that the rule of ``wire.paths`` lets pass."""
    return "/".join(_clean_segment(segment) for segment in model_path.split("/"))


def model_files(folder: Path) -> Iterator[Path]:
    """The model files below a folder, sorted; links are followed, hidden names are not looked at."""
    yield from _walk(folder, set())


def _walk(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    status = folder.stat()
    if (status.st_dev, status.st_ino) in seen:
        return  # a link back up
    seen.add((status.st_dev, status.st_ino))
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry, seen)
        elif entry.suffix.lower() in MODEL_SUFFIXES and entry.is_file():
            yield entry


def _place(parts: tuple[str, ...]) -> Place:
    return Place(_ROOT_OF.get(parts[0], parts[0]), "/".join(("models", _ROOT_OF.get(parts[0], parts[0]), *parts[1:])))


def _clean_segment(segment: str) -> str:
    text = _unfit.sub("_", unicodedata.normalize("NFC", segment))
    text = re.sub(r"\.{2,}", ".", text)
    stem, dot, suffix = text.rpartition(".")
    if not stem:
        stem, dot, suffix = text, "", ""
    # The brackets at the ends of a name leave nothing behind: "ink (1)" is "ink_1".
    stem = re.sub(r"[ _]*_[ _]*", "_", stem).strip("_. ") or "model"
    room = MAX_SEGMENT_BYTES - len((dot + suffix).encode())
    stem = stem.encode()[:room].decode(errors="ignore").rstrip("_. ")
    if re.fullmatch(r"(?i)(con|prn|aux|nul|(com|lpt)[0-9¹²³])", stem.split(".")[0].rstrip(" ")):
        stem = f"model_{stem}"
    return f"{stem}{dot}{suffix.strip()}"
