"""Gzip compression of responses, for lists whose rows are similar."""

import gzip
import struct
import zlib
from dataclasses import dataclass

from fastapi import Response

# Below this, the head of gzip and its time are not won back.
SMALLEST = 1_000
# The quickest level makes a list of models a fifth of what it was; the best one hardly less, in ten times the time.
LEVEL = 1
# zlib's window bits for the format gzip, and for compressed data without head and checksum.
_GZIP, _RAW = zlib.MAX_WBITS | 16, -zlib.MAX_WBITS


@dataclass(frozen=True)
class GzippedText:
    """A text in gzip whose end can be replaced without compressing its beginning again.

    ``start_length`` is the length of the compressed beginning; ``crc`` and ``size`` are of the beginning itself.
    """

    compressed: bytes
    start_length: int
    crc: int
    size: int

    def replace_end(self, end: bytes) -> bytes:
        """Return the beginning of the text with another end, in gzip."""
        return self.compressed[: self.start_length] + _compress_end(end, self.crc, self.size)


def gzip_with_end(start: bytes, end: bytes) -> GzippedText:
    """Compress a text that is given as its beginning and its end."""
    compressor = zlib.compressobj(LEVEL, wbits=_GZIP)
    # After a full flush, data refers to nothing before it, so that other data can follow.
    compressed = compressor.compress(start) + compressor.flush(zlib.Z_FULL_FLUSH)
    crc = zlib.crc32(start)
    return GzippedText(compressed + _compress_end(end, crc, len(start)), len(compressed), crc, len(start))


def _compress_end(end: bytes, crc: int, size: int) -> bytes:
    """Return the end of a gzip file after a beginning of this checksum and size, see RFC 1952 section 2.3.1."""
    compressor = zlib.compressobj(LEVEL, wbits=_RAW)
    data = compressor.compress(end) + compressor.flush()
    return data + struct.pack("<LL", zlib.crc32(end, crc), (size + len(end)) & 0xFFFFFFFF)


def accepts_encoding(coding: str, accepted: str) -> bool:
    """Return whether an ``Accept-Encoding`` header names a coding, with a weight other than 0; ``*`` does not count.

    ``coding`` is in lower case; the header may have any.
    """
    for one in accepted.lower().split(","):
        name, _, weight = one.replace(" ", "").partition(";q=")
        if name == coding:
            return weight.strip("0.") != "" or weight == ""
    return False


def build_compressed_response(body: bytes, accepted: str) -> Response:
    """Build a JSON response; gzip it from 1,000 bytes on if ``accepted``, the ``Accept-Encoding`` header, has gzip."""
    headers = {"Vary": "Accept-Encoding"}
    if accepts_encoding("gzip", accepted) and len(body) >= SMALLEST:
        body = gzip.compress(body, LEVEL, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Response(body, media_type="application/json", headers=headers)
