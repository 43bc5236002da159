"""Parts of a draft from what a source says: file names, model types, texts. Pure."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from modelyard.wire.formats import find_format
from modelyard.wire.model_details import MAX_TRIGGER_WORDS
from modelyard.wire.model_folders import CORE_FOLDERS
from modelyard.wire.paths import MAX_SEGMENT_BYTES, is_device_name
from modelyard.wire.texts.rules import clean_name

_unsafe = re.compile(r"[^\w. -]|\.(?=\.)")
_MAX_WORD, _MAX_LINE = 500, 200
# Parts of names and tags, and the folder of such models; the first that occurs decides.
_TYPE_WORDS = (
    ("controlnet", "controlnet"),
    ("ipadapter", "ipadapter"),
    ("ip-adapter", "ipadapter"),
    ("clip_vision", "clip_vision"),
    ("clip-vision", "clip_vision"),
    ("text_encoder", "text_encoders"),
    ("text-encoder", "text_encoders"),
    ("t5xxl", "text_encoders"),
    ("umt5", "text_encoders"),
    ("clip_l", "text_encoders"),
    ("clip_g", "text_encoders"),
    ("lora", "loras"),
    ("lycoris", "loras"),
    ("upscale", "upscale_models"),
    ("esrgan", "upscale_models"),
    ("vae", "vae"),
    ("textual-inversion", "embeddings"),
    ("embedding", "embeddings"),
    ("diffusion_pytorch_model", "diffusion_models"),
    ("diffusion_model", "diffusion_models"),
    ("unet", "diffusion_models"),
    ("transformer", "diffusion_models"),
)
_FOLDERS = {folder.casefold(): folder for folder in CORE_FOLDERS}


def clean_file_name(name: str) -> str:
    """Return a file name that every machine can have, from the last segment of a name or path."""
    base = unicodedata.normalize("NFC", name.replace("\\", "/").rpartition("/")[2])
    stem, dot, extension = _unsafe.sub("_", base.strip(". ")).strip(". ").rpartition(".")
    stem, extension = (stem.rstrip(". "), dot + extension) if dot else (extension, "")
    while len((stem + extension).encode()) > MAX_SEGMENT_BYTES and stem:
        stem = stem[:-1].rstrip(". ")
    whole = f"{stem or 'model'}{extension}"
    return f"_{whole}" if is_device_name(whole) else whole


def choose_file_name(disposition: str | None, url_path: str) -> str:
    """Return the name of a download: ``filename*`` (RFC 8187) over ``filename``, else the address's last segment."""
    return clean_file_name(_parse_disposition(disposition or "") or unquote(url_path.rstrip("/").rpartition("/")[2]))


def _parse_disposition(text: str) -> str | None:
    """Return the file name of a ``Content-Disposition`` header, or None."""
    extended = re.search(r"filename\*\s*=\s*(utf-8|iso-8859-1)'[^']*'([^;\s]+)", text, re.IGNORECASE)
    if extended:
        return unquote_to_bytes(extended[2]).decode(extended[1], "replace")
    quoted = re.search(r'filename\s*=\s*"((?:[^"\\]|\\.)*)"', text, re.IGNORECASE)
    if quoted:
        return re.sub(r"\\(.)", r"\1", quoted[1])
    plain = re.search(r"filename\s*=\s*([^;\s\"]+)", text, re.IGNORECASE)
    return plain[1] if plain else None


def guess_model_type(path: str, hints: Iterable[str] = ()) -> str:
    """Return the type folder that probably fits a file: one that its path names, or by words of names and tags."""
    folders = [_FOLDERS[part.casefold()] for part in path.split("/")[:-1] if part.casefold() in _FOLDERS]
    if folders:
        return folders[-1]
    for text in (path.casefold(), *(hint.casefold() for hint in hints)):
        for word, folder in _TYPE_WORDS:
            if word in text:
                return folder
    return "diffusion_models" if find_format(path) == "gguf" else "checkpoints"


def clean_words(words: Any) -> list[str]:
    """Return trigger words of a source as the registry takes them: single lines, each once, at most 50."""
    texts = [clean_line(word, _MAX_WORD) for word in words if isinstance(word, str)] if isinstance(words, list) else []
    return list(dict.fromkeys(text for text in texts if text))[:MAX_TRIGGER_WORDS]


def clean_line(text: Any, length: int = _MAX_LINE) -> str | None:
    """Return a text of a source as one line; None if it is none, or has nothing visible."""
    if not isinstance(text, str) or not text.strip():
        return None
    name = clean_name(" ".join(text.split())).strip(" ,")[:length].strip()
    return None if name in ("", "_") else name


def choose_file(paths: Sequence[str], sizes: Sequence[int | None]) -> int | None:
    """Return the index of the file that a draft is about: safetensors first, then the least deep, then the largest."""
    ranked = [
        (find_format(path) != "safetensors", path.count("/"), -(size or 0), index)
        for index, (path, size) in enumerate(zip(paths, sizes, strict=True))
        if find_format(path) is not None
    ]
    return min(ranked)[-1] if ranked else None
