"""Files that are small to send and expensive to inspect."""

import random

from tests.server.inspection import builders


def build_expensive_pickle(number: int) -> bytes:
    """Build a file of 120 KB whose pickle has nearly the maximum number of opcodes: a list of strings and numbers."""
    noise = random.Random(number).randbytes(100_000).hex()  # noqa: S311 - no secret
    texts = b"".join(builders.text(noise[start : start + 400]) for start in range(0, len(noise), 400))
    value = b"](" + texts + b"K\x01" * 1_900_000 + b"e"
    return builders.build_zip(
        builders.ZipEntry("a/data.pkl", builders.build_pickle(value), method=8), builders.ZipEntry("a/version", b"3\n")
    )


def build_large_header(number: int) -> bytes:
    """Build a safetensors file of 14 MB that is nearly all header, with the maximum number of entries."""
    entry = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}
    return builders.safetensors({f"{number:04}.{name:0180}": entry for name in range(58_000)})
