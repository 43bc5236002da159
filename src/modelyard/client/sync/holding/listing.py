"""What lies in one root, by name: everything that can be in a model's way, links not followed."""

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from modelyard.client.sync.holding.patience import NotAnswering, Patience
from modelyard.client.sync.holding.roots import WORK_FOLDER
from modelyard.transfer.source import Identity
from modelyard.wire.paths import path_key

# "link" leads to a file, "dangling" to nothing; "other": a pipe, a socket, a device, or a link to a folder. "barred": a
# file is where the name needs a folder.
Kind = Literal["file", "link", "dangling", "folder", "other", "barred", "unreadable"]
# ComfyUI does not list it; and our own.
_UNLISTED = frozenset({".git", WORK_FOLDER})


@dataclass(frozen=True)
class Held:
    """Something that has a name in a models folder."""

    path: Path  # absolute; spelled as on the disk, which may differ from how it was asked for
    kind: Kind
    size: int = 0
    device: int = 0
    inode: int = 0
    mtime_ns: int = 0
    sha256: str | None = None  # None: not asked, or not readable
    link: Path | None = None  # the first link on the way from the root, itself included
    reason: str | None = None  # why it is unreadable or has no hash, as the end of a sentence

    @property
    def identity(self) -> Identity:
        """What changes when its bytes do."""
        return Identity(self.size, self.mtime_ns, self.inode)

    @property
    def is_plain(self) -> bool:
        """Whether it is a file itself, with no link on the way: only such a file may be the agent's own."""
        return self.kind == "file" and self.link is None


class Listing:
    """The names below a root and what they are. Blocking; ``moved`` is called while it goes on.

    Raises:
        OSError: the root itself cannot be listed.
    """

    def __init__(self, root: Path, moved: Callable[[], None]) -> None:
        self.root = root
        self.names: dict[str, Held] = {}
        self._spellings: dict[str, str] | None = None
        folders = [""]
        while folders:
            folder = folders.pop()
            try:
                for name, held in _entries(root, folder):
                    moved()
                    self.names[name] = held
                    if held.kind == "folder" and held.path.name not in _UNLISTED:
                        folders.append(name)
            except OSError as failure:
                if not folder:
                    raise
                self.names[folder] = Held(root / folder, "unreadable", reason=f"it cannot be read ({failure.strerror})")

    def at(self, name: str, patience: Patience) -> Held | None:
        """What is found when ``name`` is opened; None for nothing. Blocking, where there is a link on the way."""
        if (held := self.names.get(name)) is not None:
            return _followed(held, held.path, patience) if held.kind == "link" else held
        end = name.rfind("/")
        while end > 0:
            above = self.names.get(name[:end])
            if above is not None:
                if above.kind == "folder":
                    break
                if above.kind == "link":
                    return _followed(above, self.root / name, patience)
                return above if above.kind == "unreadable" else replace(above, kind="barred")
            end = name.rfind("/", 0, end)
        return self._other_spelling(name, patience)

    def _other_spelling(self, name: str, patience: Patience) -> Held | None:
        """What the file system itself takes for the same name, as Windows and macOS do with other case."""
        if self._spellings is None:
            self._spellings = {path_key("", known): known for known in self.names}
        known = self._spellings.get(path_key("", name))
        if known is None:
            return None
        try:
            same = os.path.samestat((self.root / name).lstat(), (self.root / known).lstat())
        except OSError:
            return None
        return self.at(known, patience) if same else None


def _entries(root: Path, folder: str) -> Iterator[tuple[str, Held]]:
    with os.scandir(root / folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") and entry.name.endswith(".part"):
                continue  # on its way to a name, ours or another agent's; no model may be called so
            name = f"{folder}/{entry.name}" if folder else entry.name
            try:
                yield name, _held(root / name, entry.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue
            except OSError as failure:
                yield name, Held(root / name, "unreadable", reason=f"it cannot be read ({failure.strerror})")


def _held(path: Path, status: os.stat_result, link: Path | None = None) -> Held:
    kind: Kind = "other"
    if stat.S_ISREG(status.st_mode):
        kind = "file" if link is None else "link"
    elif stat.S_ISDIR(status.st_mode) and link is None:
        kind = "folder"
    elif stat.S_ISLNK(status.st_mode):
        kind, link = "link", path
    return Held(path, kind, status.st_size, status.st_dev, status.st_ino, status.st_mtime_ns, link=link)


def _followed(link: Held, path: Path, patience: Patience) -> Held:
    """What a path with a link on its way leads to. A link to a folder that lacks the name is in the way itself."""
    try:
        return patience.run(link.path, lambda _: _led_to(link, path))
    except NotAnswering:
        return Held(path, "unreadable", link=link.path, reason="its file system does not answer")


def _led_to(link: Held, path: Path) -> Held:
    try:
        return _held(path, path.stat(), link.path)
    except (FileNotFoundError, NotADirectoryError):
        is_folder = path != link.path and link.path.is_dir()
        return Held(link.path, "other" if is_folder else "dangling", link=link.path)
    except OSError as failure:
        return Held(path, "unreadable", link=link.path, reason=f"it cannot be read ({failure.strerror})")
