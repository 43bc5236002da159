"""Conditional and range requests of an immutable file (RFC 9110, sections 13 and 14). Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_RANGE = re.compile("bytes=([0-9]{0,19})-([0-9]{0,19})", re.IGNORECASE)


class UnsatisfiableRange(Exception):
    """The range begins after the last byte, or requests the last 0 bytes."""


@dataclass(frozen=True)
class ByteRange:
    """``length`` bytes from ``start``; ``is_partial`` if they answer a valid range request."""

    start: int
    length: int
    is_partial: bool

    def content_range(self, size: int) -> str:
        """Return the value of the ``Content-Range`` header for a file of ``size`` bytes."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{size}"


def resolve_range(headers: Mapping[str, str], size: int, etag: str) -> ByteRange:
    """Return the byte range that a GET with these headers gets of a file with this size and strong etag (quoted).

    The whole file is returned without a range, for several ranges, an unknown unit or syntax, an ``If-Range`` other
    than this etag (no dates are sent), and for any range of an empty file.

    Raises:
        UnsatisfiableRange: the range is well formed and lies outside the file.
    """
    whole = ByteRange(0, size, is_partial=False)
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
        raise UnsatisfiableRange
    return ByteRange(start, end - start + 1, is_partial=True)


def matches_etag(header: str, etag: str) -> bool:
    """Return whether an ``If-Match`` or ``If-None-Match`` list contains this quoted etag, also as weak, or ``*``."""
    etags = [name.strip().removeprefix("W/") for name in header.split(",")]
    return "*" in etags or etag in etags
