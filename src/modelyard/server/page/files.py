"""The page's built files, read into memory once: a few hundred kilobytes, with the build's compressed variants."""

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from modelyard.server.http.compression import accepts_encoding

BUILT = Path(__file__).with_name("built")
# The build writes these beside each file that compresses well; the first one that a browser accepts is sent.
ENCODINGS = {"br": ".br", "gzip": ".gz"}
# The list of types of some systems lacks these.
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".wasm": "application/wasm"}


@dataclass(frozen=True)
class PageFile:
    """A file of the page; ``bodies`` maps each content encoding to a body, "" to the uncompressed one."""

    media_type: str
    etag: str
    bodies: Mapping[str, bytes]

    def choose_body(self, accepted: str) -> tuple[str, bytes]:
        """Return the encoding and the body for an ``Accept-Encoding`` header."""
        encoding = next((name for name in ENCODINGS if name in self.bodies and accepts_encoding(name, accepted)), "")
        return encoding, self.bodies[encoding]


@cache
def read_page(folder: Path = BUILT) -> Mapping[str, PageFile]:
    """Return the page's files by URL path, such as ``/assets/main-3f2a.js``; empty if the page was not built.

    They are read once in a process. Compressed variants belong to their file and have no path of their own. The build's
    hidden file is no part of the page.
    """
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in ENCODINGS.values() and not path.name.startswith(".")
    ]
    return {f"/{path.relative_to(folder).as_posix()}": _read_file(path) for path in files}


def _read_file(path: Path) -> PageFile:
    """Read a file of the page, with its compressed variants if there are any."""
    plain = path.read_bytes()
    bodies = {"": plain}
    for encoding, suffix in ENCODINGS.items():
        packed = path.with_name(path.name + suffix)
        if packed.is_file():
            bodies[encoding] = packed.read_bytes()
    kind = MEDIA_TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    # A weak ETag, since it is the same for each encoding of the file.
    return PageFile(kind, f'W/"{hashlib.sha256(plain).hexdigest()[:32]}"', bodies)
