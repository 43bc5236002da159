"""The canonical manifest of a folder model: JSON by RFC 8785, whose SHA-256 is the content hash of the folder.

    {"files":[{"path":"unet/config.json","sha256":"<64 hex digits>","size":1830}],"v":1}

The files are sorted by the UTF-8 bytes of their paths. Modes, times and links are not part of it, so two machines with
equal files have the same manifest.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from modelyard.wire.folders.names import MAX_FILES, FolderInvalid, check_file_name, check_file_path, check_folder_name

VERSION = 1
# 20,000 files with paths of 400 bytes are 10 MB.
MAX_MANIFEST_BYTES = 12 * 1024 * 1024
# RFC 8785 numbers are those of JavaScript.
MAX_SIZE = 2**53 - 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FIELDS = {"path", "sha256", "size"}


@dataclass(frozen=True)
class FolderFile:
    """A file of a folder: its path within it, the hex digest of its SHA-256, and its size in bytes."""

    path: str
    sha256: str
    size: int


def build_manifest(files: Iterable[FolderFile]) -> bytes:
    """Return the canonical manifest of these files, which the caller has checked, in any order."""
    entries = [{"path": file.path, "sha256": file.sha256, "size": file.size} for file in sort_files(files)]
    # Keys are in RFC 8785's order, and paths contain nothing that it would escape.
    return json.dumps({"files": entries, "v": VERSION}, ensure_ascii=False, separators=(",", ":")).encode()


def sort_files(files: Iterable[FolderFile]) -> list[FolderFile]:
    """Return the files in the order of the manifest."""
    return sorted(files, key=lambda file: file.path.encode())


def get_file_hash(manifest: bytes) -> str:
    """Return the content hash of the folder: ``sha256:`` and the hex digest of its manifest."""
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def parse_manifest(content: bytes) -> list[FolderFile]:
    """Return the files that a manifest lists, in its order.

    Raises:
        FolderInvalid: it is not a canonical manifest, or too large.
    """
    if len(content) > MAX_MANIFEST_BYTES:
        raise FolderInvalid(f"The manifest of a folder may have at most {MAX_MANIFEST_BYTES} bytes.")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise FolderInvalid("The manifest of a folder must be JSON.") from None
    if not isinstance(document, dict) or document.keys() != {"files", "v"} or document["v"] != VERSION:
        raise FolderInvalid(f"The manifest of a folder must have 'files' and 'v', which is {VERSION}.")
    if not isinstance(document["files"], list):
        raise FolderInvalid("'files' of the manifest must be a list.")
    if not 1 <= len(document["files"]) <= MAX_FILES:
        raise FolderInvalid(f"A folder model has 1 to {MAX_FILES} files; this one has {len(document['files'])}.")
    files = [_parse_file(entry) for entry in document["files"]]
    if not is_encodable(files) or build_manifest(files) != content:
        raise FolderInvalid(
            "The manifest is not canonical: by RFC 8785, with the files sorted by the UTF-8 bytes of their paths."
        )
    return files


def is_encodable(files: Sequence[FolderFile]) -> bool:
    """Return whether all paths are text that UTF-8 can encode: JSON can write half of a surrogate pair."""
    try:
        "".join(file.path for file in files).encode()
    except UnicodeEncodeError:
        return False
    return True


def check_files(model_type: str, folder: str, files: Sequence[FolderFile]) -> None:
    """Check that the files may be a model at the path ``folder``, which is a valid model path.

    Raises:
        FolderInvalid: a name is not allowed, two paths are one file on some machine, or one is a folder of another.
    """
    check_folder_name(folder)
    if not 1 <= len(files) <= MAX_FILES:
        raise FolderInvalid(f"A folder model has 1 to {MAX_FILES} files; this one has {len(files)}.")
    paths_by_key: dict[str, str] = {}
    folders_by_key: dict[str, str] = {}
    for file in files:
        check_file_name(file.path)
        key = check_file_path(model_type, folder, file.path)
        if key in paths_by_key:
            raise FolderInvalid(
                f"'{paths_by_key[key]}' and '{file.path}' are one file on some machines. Rename one of them.", file.path
            )
        paths_by_key[key] = file.path
        _check_spelling(folders_by_key, file.path)
    both = paths_by_key.keys() & set(_list_folder_keys(paths_by_key))
    if both:
        path = paths_by_key[min(both)]
        raise FolderInvalid(f"'{path}' is both a file and a folder. Rename one of them.", path)


def _check_spelling(spelled: dict[str, str], path: str) -> None:
    """Check that each folder of a path is written as before: on some machines another spelling is another folder.

    Raises:
        FolderInvalid: it is not.
    """
    parents = path.split("/")[:-1]
    for count in range(1, len(parents) + 1):
        name = "/".join(parents[:count])
        other = spelled.setdefault(name.casefold(), name)
        if other != name:
            raise FolderInvalid(f"'{other}/' and '{name}/' are one folder on some machines. Rename one of them.", path)


def _list_folder_keys(keys: Iterable[str]) -> Iterable[str]:
    """Yield the keys of all folders above these paths."""
    for key in keys:
        segments = key.split("/")
        for count in range(1, len(segments)):
            yield "/".join(segments[:count])


def _parse_file(entry: object) -> FolderFile:
    """Return one entry of a manifest.

    Raises:
        FolderInvalid: a field is missing, unknown or invalid.
    """
    if not isinstance(entry, dict) or entry.keys() != _FIELDS:
        raise FolderInvalid("Each file of the manifest must have 'path', 'sha256' and 'size'.")
    path, sha256, size = entry["path"], entry["sha256"], entry["size"]
    if not isinstance(path, str) or not path:
        raise FolderInvalid("'path' of a file in the manifest must be text.")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise FolderInvalid("'sha256' of a file in the manifest must have 64 lower-case hex digits.", path)
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= MAX_SIZE:
        raise FolderInvalid("'size' of a file in the manifest must be a number of bytes from 1.", path)
    return FolderFile(path, sha256, size)
