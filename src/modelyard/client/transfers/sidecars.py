"""Files beside a model file that other programs made: its picture, and what Civitai or LoRA Manager knows of it.

They belong to the model file with the same stem, its name without the extension. URLs in them are never fetched, and
whatever they contain, the model is pushed. The page has the same rules, in ``web/src/features/upload/sidecars``.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from modelyard.comfyui.folder_links import FolderLinks
from modelyard.wire.formats import MAX_PICTURE_BYTES
from modelyard.wire.model_details import MAX_SIDECAR_TEXT_LENGTH, MAX_SIDECAR_WORDS, Sidecar

# In the order in which they are looked for: a name that says that it is a preview comes first.
PICTURE_SUFFIXES = tuple(
    f"{middle}.{extension}" for middle in (".preview", "") for extension in ("png", "jpg", "jpeg", "webp")
)
CIVITAI_INFO, LORA_MANAGER = ".civitai.info", ".metadata.json"
DETAILS_SUFFIXES = (CIVITAI_INFO, LORA_MANAGER)
# Such a file has some kilobytes; with the descriptions of many pictures, some hundreds.
MAX_JSON_BYTES = 4 * 1024 * 1024
# How deep a JSON reader gets differs between programs: this is far below all of them, and far above what is written.
MAX_JSON_DEPTH = 100
# What Civitai and LoRA Manager write in lower case if they do not know the base model.
NO_BASE_MODEL = ("unknown", "other")
_surrogate = re.compile("[\ud800-\udfff]")


class PictureUnusable(ValueError):
    """A picture beside a model file cannot be sent."""


@dataclass(frozen=True)
class SidecarDetails:
    """What a file beside a model declares of it."""

    file: Path
    base_model: str | None
    trigger_words: list[str]
    license: str | None = None
    author: str | None = None

    def build_sidecar(self) -> Sidecar:
        """Return it as a registration has it."""
        return Sidecar(
            base_model=self.base_model, trigger_words=self.trigger_words, license=self.license, author=self.author
        )


def find_sidecar_picture(file: Path) -> Path | None:
    """Return the picture beside a model file, or None. Blocking: looks for eight names, and lists no folder."""
    candidates = (file.with_name(file.stem + suffix) for suffix in PICTURE_SUFFIXES)
    return next(filter(_is_file, candidates), None)


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


def find_sidecar_problem(sidecar: Path, file: Path, links: FolderLinks | None) -> str | None:
    """Return why a file beside a model file is not read, as what it is; None if it may be. Blocking.

    A link is followed only if it ends in the pushed folder, whose ``links`` are None if the model file was named
    itself, or in the folder of the model file, or of the file to which that is a link.
    """
    beside = FolderLinks(Path(os.path.realpath(file)).parent)
    problem = (links or FolderLinks(file.parent)).find_problem(sidecar)
    return None if problem is None or beside.find_problem(sidecar) is None else problem


def read_sidecar_details(file: Path, file_hash: str | None, links: FolderLinks | None = None) -> SidecarDetails | None:
    """Return what ``.civitai.info``, or else LoRA Manager's ``.metadata.json``, declares of a model file. Blocking.

    None if there is neither, if it cannot be read or is not followed (see ``find_sidecar_problem``), or if the hash in
    it is that of another file than ``file_hash`` (``sha256:<hex>``, None if the file was not hashed). Halves of
    surrogate pairs are removed from the texts.
    """
    for suffix in DETAILS_SUFFIXES:
        sidecar = file.with_name(file.stem + suffix)
        document = _read_json(sidecar) if find_sidecar_problem(sidecar, file, links) is None else None
        if document is None or not _agrees(document, file_hash):
            continue
        details = _parse_details(sidecar, document)
        if details.base_model or details.trigger_words or details.license or details.author:
            return details
    return None


def _parse_details(sidecar: Path, document: dict[str, Any]) -> SidecarDetails:
    """Return what a document declares."""
    return SidecarDetails(
        sidecar,
        base_model=_get_base_model(document),
        trigger_words=_get_trigger_words(document),
        license=_clean_text(document.get("license")) or None,
        author=_get_author(document),
    )


def _read_json(file: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file (RFC 8259); None if there is none, or if it is too large or too deep."""
    try:
        # A pipe or device would block, or never end.
        if not _is_file(file) or file.stat().st_size > MAX_JSON_BYTES:
            return None
        text = file.read_bytes().decode("utf-8-sig")
        # Numbers are not used, and Python refuses to read long integers as such.
        document = json.loads(text, parse_int=float, parse_constant=_refuse_constant)
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and not _is_too_deep(document) else None


def _is_file(file: Path) -> bool:
    """Return whether a file is there, and is no folder, pipe or device; False for a name that is too long."""
    return os.path.isfile(file)  # noqa: PTH113 - pathlib raises for such a name


def _refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which JSON does not have.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{name} is not JSON.")


def _is_too_deep(document: dict[str, Any]) -> bool:
    """Return whether objects and lists are nested in more than ``MAX_JSON_DEPTH`` levels."""
    level: list[Any] = [document]
    for _ in range(MAX_JSON_DEPTH):
        entries = (value.values() if isinstance(value, dict) else value for value in level)
        level = [entry for several in entries for entry in several if isinstance(entry, dict | list)]
    return bool(level)


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
        if isinstance(hashes, dict) and isinstance(hashes.get("SHA256"), str) and hashes["SHA256"]:
            yield hashes["SHA256"]


def _get_base_model(document: dict[str, Any]) -> str | None:
    """Return the base model: ``baseModel`` of Civitai, ``base_model`` of LoRA Manager."""
    for name in ("baseModel", "base_model"):
        value = _clean_text(document.get(name))
        if value and value.lower() not in NO_BASE_MODEL:
            return value
    return None


def _get_author(document: dict[str, Any]) -> str | None:
    """Return the author: ``author``, or else Civitai's ``creator``, which LoRA Manager has in ``civitai``."""
    civitai = document.get("civitai")
    creators = [each.get("creator") for each in (document, civitai) if isinstance(each, dict)]
    names = [each.get("username") for each in creators if isinstance(each, dict)]
    return next(filter(None, map(_clean_text, [document.get("author"), *names])), None)


def _get_trigger_words(document: dict[str, Any]) -> list[str]:
    """Return the trigger words: those of the document, or else those that LoRA Manager got from Civitai.

    At most ``MAX_SIDECAR_WORDS``, each cleaned and truncated; entries that are no text, or blank, are left out.
    """
    civitai = document.get("civitai")
    for source in (document, civitai if isinstance(civitai, dict) else {}):
        words = source.get("trainedWords")
        found = map(_clean_text, words) if isinstance(words, list) else ()
        if kept := [word for word in found if word][:MAX_SIDECAR_WORDS]:
            return kept
    return []


def _clean_text(value: object) -> str:
    """Return a text as a registration may have it, or '' for a value that is none."""
    # JSON can escape one half of a surrogate pair, which UTF-8 cannot encode.
    return _surrogate.sub("", value).strip()[:MAX_SIDECAR_TEXT_LENGTH] if isinstance(value, str) else ""
