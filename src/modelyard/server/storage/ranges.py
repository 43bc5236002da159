"""Conditional and ranged reads of a file that never changes (RFC 9110, sections 13 and 14). Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_RANGE = re.compile("bytes=([0-9]{0,19})-([0-9]{0,19})", re.IGNORECASE)


class Unsatisfiable(Exception):
    """The range begins after the last byte, or asks for the last 0 bytes."""


@dataclass(frozen=True)
class Extent:
    """``length`` bytes from ``start`` on; ``is_partial`` if the client asked for a range and gets it."""

    start: int
    length: int
    is_partial: bool

    def content_range(self, size: int) -> str:
        """The value of ``Content-Range``."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{size}"


def extent(headers: Mapping[str, str], size: int, etag: str) -> Extent:
    """What a GET with these headers gets of a file of ``size`` bytes with this strong etag (quoted).

    Whole is the answer to no range, several ranges, a unit or syntax we do not know, an ``If-Range`` that names
    anything but this etag (we send no dates), and to any range of an empty file.

    Raises:
        Unsatisfiable: the range is well formed and lies outside.
    """
    whole = Extent(0, size, is_partial=False)
    match = _RANGE.fullmatch(headers.get("range", "").strip())
    if match is None or match.group(1) == match.group(2) == "" or size == 0:
        return whole
    if headers.get("if-range", etag).strip() != etag:
        return whole
    if match.group(1) == "":
        start, end = max(0, size - int(match.group(2))), size - 1
    else:
        start, end = int(match.group(1)), min(int(match.group(2) or size - 1), size - 1)
        if match.group(2) and int(match.group(2)) < start:
            return whole
    if start >= size:
        raise Unsatisfiable
    return Extent(start, end - start + 1, is_partial=True)


def names_etag(header: str, etag: str) -> bool:
    """Whether an ``If-Match`` or ``If-None-Match`` list holds this etag, or is ``*``."""
    names = [name.strip().removeprefix("W/") for name in header.split(",")]
    return "*" in names or etag in names
