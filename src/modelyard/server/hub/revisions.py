"""Repository revisions and Git's object ids, from the content of files. Pure."""

import hashlib
import json
from collections.abc import Iterable
from typing import Protocol


class ContentOfFile(Protocol):
    """The path and content of a file in a repository; ``sha256`` is hex."""

    @property
    def path(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    @property
    def size(self) -> int: ...


def build_revision(files: Iterable[ContentOfFile]) -> str:
    """Return the repository revision of files: 40 hex digits that depend on their paths and content only.

    They are the first of the SHA-256 of a list of the files as canonical JSON (RFC 8785).
    """
    ordered = sorted(files, key=lambda file: file.path.encode())
    entries = [{"path": file.path, "sha256": file.sha256, "size": file.size} for file in ordered]
    text = json.dumps({"v": 1, "files": entries}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def get_folder_revision(file_hash: str) -> str:
    """Return the repository revision of a folder from the hash of its manifest, which is that list of its files."""
    return file_hash.removeprefix("sha256:")[:40]


def build_pointer(file: ContentOfFile) -> bytes:
    """Return the pointer file that Git LFS stores in place of a file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{file.sha256}\nsize {file.size}\n".encode()


def build_object_id(content: bytes) -> str:
    """Return Git's id of a blob with this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
