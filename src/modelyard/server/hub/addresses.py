"""The addresses of the Hugging Face endpoint. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from urllib.parse import unquote

MAIN = "main"


class AddressKind(StrEnum):
    """What an address is about."""

    INFO = auto()
    TREE = auto()
    PATHS_INFO = auto()
    FILE = auto()


@dataclass(frozen=True)
class HubAddress:
    """A repository at a revision; ``path`` is the folder of a tree, or the file."""

    kind: AddressKind
    repository: str
    revision: str = MAIN
    path: str = ""


_VIEWS = {"revision": AddressKind.INFO, "tree": AddressKind.TREE, "paths-info": AddressKind.PATHS_INFO}


def parse_address(path: str) -> HubAddress | None:
    """Return what a path below the endpoint asks for, None for any other path.

    ``path`` is still percent-encoded, so that an encoded slash is part of a revision. A repository has one or two
    segments:

        api/models/{repository}[/revision/{revision}]
        api/models/{repository}/tree/{revision}[/{folder}]
        api/models/{repository}/paths-info/{revision}
        {repository}/resolve/{revision}/{file}
    """
    segments = [unquote(segment) for segment in path.strip("/").split("/")]
    if segments[:2] == ["api", "models"]:
        return _parse_api(segments[2:])
    length = _find_length(segments, ("resolve",), 3)
    if length is None:
        return None
    revision, file = segments[length + 1], "/".join(segments[length + 2 :])
    return HubAddress(AddressKind.FILE, "/".join(segments[:length]), revision, file)


def _parse_api(segments: Sequence[str]) -> HubAddress | None:
    """Return what the segments below ``api/models`` ask for."""
    length = _find_length(segments, tuple(_VIEWS), 2)
    if length is None:
        return HubAddress(AddressKind.INFO, "/".join(segments)) if len(segments) in (1, 2) else None
    kind, below = _VIEWS[segments[length]], "/".join(segments[length + 2 :])
    if below and kind is not AddressKind.TREE:
        return None
    return HubAddress(kind, "/".join(segments[:length]), segments[length + 1], below)


def _find_length(segments: Sequence[str], views: tuple[str, ...], rest: int) -> int | None:
    """Return how many segments the repository has that one of the views follows, with ``rest`` segments from there."""
    return next(
        (length for length in (2, 1) if len(segments) >= length + rest and segments[length] in views),
        None,
    )
