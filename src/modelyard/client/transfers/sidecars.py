"""Files beside a model file that other programs made: its picture, and what Civitai or LoRA Manager knows of it.

They belong to the model file with the same stem, its name without the extension. URLs in them are never fetched.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.wire.formats import MAX_PICTURE_BYTES
from modelyard.wire.model_details import Sidecar

# In the order in which they are looked for: a name that says that it is a preview comes first.
PICTURE_SUFFIXES = tuple(
    f"{middle}.{extension}" for middle in (".preview", "") for extension in ("png", "jpg", "jpeg", "webp")
)
CIVITAI_INFO, LORA_MANAGER = ".civitai.info", ".metadata.json"
# Such a file has some kilobytes; with the descriptions of many pictures, some hundreds.
_MAX_JSON_BYTES = 4 * 1024 * 1024
_MAX_WORDS, _MAX_TEXT = 200, 5_000


class PictureUnusable(ValueError):
    """A picture beside a model file cannot be sent."""


@dataclass(frozen=True)
class SidecarDetails:
    """What a file beside a model declares of it."""

    file: Path
    base_model: str | None
    trigger_words: list[str]

    def build_sidecar(self) -> Sidecar:
        """Return it as a registration has it."""
        return Sidecar(base_model=self.base_model, trigger_words=self.trigger_words)


def find_sidecar_picture(file: Path) -> Path | None:
    """Return the picture beside a model file, or None. Blocking: looks for eight names, and lists no folder."""
    candidates = (file.with_name(file.stem + suffix) for suffix in PICTURE_SUFFIXES)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def read_sidecar_picture(picture: Path) -> bytes:
    """Return the content of a picture. Blocking.

    Raises:
        PictureUnusable: it is empty, or larger than the registry accepts.
        OSError: it cannot be read.
    """
    size = picture.stat().st_size
    if not 0 < size <= MAX_PICTURE_BYTES:
        raise PictureUnusable(f'"{picture}" has {size} bytes; a picture has at most {MAX_PICTURE_BYTES}.')
    return picture.read_bytes()


def read_sidecar_details(file: Path, file_hash: str | None) -> SidecarDetails | None:
    """Return what ``.civitai.info``, or else LoRA Manager's ``.metadata.json``, declares of a model file. Blocking.

    None if there is neither, if it cannot be read, or if the hash in it is that of another file than ``file_hash``
    (``sha256:<hex>``, None if the file was not hashed).
    """
    for suffix in (CIVITAI_INFO, LORA_MANAGER):
        sidecar = file.with_name(file.stem + suffix)
        document = _read_json(sidecar)
        if document is None or not _agrees(document, file_hash):
            continue
        details = SidecarDetails(sidecar, _get_base_model(document), _get_trigger_words(document))
        if details.base_model or details.trigger_words:
            return details
    return None


def _read_json(file: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file; None if there is none, or if it is too large."""
    try:
        if file.stat().st_size > _MAX_JSON_BYTES:
            return None
        document = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _agrees(document: dict[str, Any], file_hash: str | None) -> bool:
    """Return whether the document may be about a file: it names no SHA-256, or this one among others."""
    named = {text.lower() for text in _iterate_hashes(document)}
    return not named or file_hash is None or file_hash.removeprefix("sha256:") in named


def _iterate_hashes(document: dict[str, Any]) -> Iterator[str]:
    """Yield the SHA-256 hashes that a document names: Civitai lists those of all files of a version."""
    if isinstance(document.get("sha256"), str) and document["sha256"]:
        yield document["sha256"]
    files = document.get("files")
    for entry in files if isinstance(files, list) else ():
        hashes = entry.get("hashes") if isinstance(entry, dict) else None
        if isinstance(hashes, dict) and isinstance(hashes.get("SHA256"), str):
            yield hashes["SHA256"]


def _get_base_model(document: dict[str, Any]) -> str | None:
    """Return the base model: ``baseModel`` of Civitai, ``base_model`` of LoRA Manager."""
    for name in ("baseModel", "base_model"):
        value = document.get(name)
        if isinstance(value, str) and value.strip() and value.strip().lower() not in ("unknown", "other"):
            return value.strip()[:_MAX_TEXT]
    return None


def _get_trigger_words(document: dict[str, Any]) -> list[str]:
    """Return the trigger words: those of the document, or else those that LoRA Manager got from Civitai."""
    civitai = document.get("civitai")
    for source in (document, civitai if isinstance(civitai, dict) else {}):
        words = source.get("trainedWords")
        found = [word.strip()[:_MAX_TEXT] for word in words if isinstance(word, str)] if isinstance(words, list) else []
        if kept := [word for word in found if word][:_MAX_WORDS]:
            return kept
    return []
