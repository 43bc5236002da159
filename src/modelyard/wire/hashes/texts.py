"""Hashes of content as people and tools write them: their kinds, and the parsing of a text.

The names are those that model sites and web UIs show:

sha256  SHA-256 of the file; AutoV2 is its first 10 digits
blake3  BLAKE3 of the file
autov1  the first 8 digits of the SHA-256 of 64 KiB at the offset of 1 MiB (the oldest hash of stable-diffusion-webui)
autov3  SHA-256 of what follows the header of a safetensors file, usually cut to 12 digits: equal for files that differ
        in metadata only (``addnet_hash_safetensors`` of stable-diffusion-webui)
crc32   CRC-32 of the file, as in ZIP

Uses only the standard library: sandboxes have nothing else.
"""

import re
from functools import cache
from typing import Literal

HashName = Literal["sha256", "blake3", "autov1", "autov2", "autov3", "crc32"]
# Shorter texts match too many files, and are words of names.
MIN_DIGITS = 8
AUTOV2_DIGITS = 10
# Of a SHA-256 or BLAKE3.
DIGITS_IN_FULL = 64

_DIGIT = "[0-9a-fA-F]"
# Written out without flags, because the pattern is published in OpenAPI.
HASH_PATTERN = (
    rf"^((([sS][hH][aA]256|[bB][lL][aA][kK][eE]3|[aA][uU][tT][oO][vV]3):)?(0[xX])?"
    rf"{_DIGIT}{{{MIN_DIGITS},{DIGITS_IN_FULL}}}"
    rf"|([aA][uU][tT][oO][vV]1|[cC][rR][cC]32):(0[xX])?{_DIGIT}{{8}}"
    rf"|[aA][uU][tT][oO][vV]2:(0[xX])?{_DIGIT}{{{AUTOV2_DIGITS}}})$"
)
HASH_HELP = (
    "SHA-256, BLAKE3 or AutoV3 in full or from 8 digits on, AutoV1, AutoV2 or CRC32, in any case, with or without a "
    "prefix such as `sha256:` that names its kind"
)
_hash = re.compile(HASH_PATTERN)
_sha256 = re.compile("[0-9a-f]{64}")


def is_sha256(text: str | None) -> bool:
    """Return whether a text is the SHA-256 of a picture as the API writes it: 64 lower-case hex digits."""
    return text is not None and _sha256.fullmatch(text) is not None


def is_hash(text: str) -> bool:
    """Return whether a text is a hash of any kind, or the first digits of one."""
    return _hash.fullmatch(text) is not None


def split_hash(text: str) -> tuple[tuple[HashName, ...], str]:
    """Return the kinds of hash that a text may be, the most reliable first, and its digits in lower case.

    No kind if it is not a hash. A prefix (``autov1:``) names the kind. Without one, the number of digits decides: 10
    are an AutoV2, 8 may also be an AutoV1 or a CRC32. ``0x`` before the digits, as in ``modelspec.hash_sha256``, is
    ignored.
    """
    if not is_hash(text):
        return (), ""
    prefix, _, digits = text.lower().rpartition(":")
    digits = digits.removeprefix("0x")
    return _list_names(prefix, len(digits)), digits


@cache
def _list_names(prefix: str, count: int) -> tuple[HashName, ...]:
    """Return the kinds of hash that so many digits after this prefix, or after none, may be."""
    names: list[HashName] = ["autov2" if count == AUTOV2_DIGITS else "sha256", "blake3", "autov3"]
    if count == MIN_DIGITS:
        names += ["autov1", "crc32"]
    if prefix == "sha256":
        names[0] = "sha256"
    return tuple(name for name in names if prefix in ("", name))
