"""The page's built files, read once: a few hundred kilobytes, each also as the build compressed it."""

import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelyard.server.packing import takes

BUILT = Path(__file__).with_name("built")
# The build writes these beside each file that they make smaller; the first that a browser takes is sent.
ENCODINGS = {"br": ".br", "gzip": ".gz"}
# Not every machine's list of types has them.
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".wasm": "application/wasm"}


@dataclass(frozen=True)
class PageFile:
    """One file as it is sent; ``bodies`` has it by its encoding, plain under the empty one."""

    media_type: str
    etag: str
    bodies: Mapping[str, bytes]

    def best(self, accepted: str) -> tuple[str, bytes]:
        """The encoding and the body for a browser that sent this ``Accept-Encoding``."""
        encoding = next((name for name in ENCODINGS if name in self.bodies and takes(name, accepted)), "")
        return encoding, self.bodies[encoding]


def read_page(folder: Path = BUILT) -> dict[str, PageFile]:
    """The files by their address, such as ``/assets/main-3f2a.js``; empty if the page was not built."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in ENCODINGS.values()]
    return {f"/{path.relative_to(folder).as_posix()}": _read(path) for path in files}


def _read(path: Path) -> PageFile:
    plain = path.read_bytes()
    bodies = {"": plain}
    for encoding, suffix in ENCODINGS.items():
        packed = path.with_name(path.name + suffix)
        if packed.is_file():
            bodies[encoding] = packed.read_bytes()
    kind = MEDIA_TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    # Weak: it is the same for each coding of the file.
    return PageFile(kind, f'W/"{hashlib.sha256(plain).hexdigest()[:32]}"', bodies)
