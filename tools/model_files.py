"""Writers of valid model files of any size with random weights, for the demo, the benchmarks and tests."""

import json
import os
import struct
from pathlib import Path

CHUNK_BYTES = 16 * 1024 * 1024
# A GGUF file aligns its tensors to this many bytes unless it says otherwise.
GGUF_ALIGNMENT = 32
GGUF_STRING, GGUF_F16 = 8, 1


def write_safetensors(path: Path, size: int, tensors: int = 4) -> None:
    """Write a valid safetensors file of exactly ``size`` bytes (at least 4 KiB), with F16 tensors and metadata."""
    weights = (size - 2048) // 2 * 2
    tensor_size = weights // tensors // 2 * 2
    entries: dict[str, object] = {"__metadata__": {"modelspec.title": path.stem, "modelspec.author": "modelyard demo"}}
    start = 0
    for number in range(tensors):
        end = weights if number == tensors - 1 else start + tensor_size
        entries[f"blocks.{number}.weight"] = {
            "dtype": "F16",
            "shape": [(end - start) // 2],
            "data_offsets": [start, end],
        }
        start = end
    # The format allows trailing spaces in the header; they fill the file up to its exact size.
    header = json.dumps(entries).encode().ljust(size - 8 - weights)
    _write(path, struct.pack("<Q", len(header)) + header, size)


def write_gguf(path: Path, size: int) -> None:
    """Write a valid GGUF file (version 3) of about ``size`` bytes, with one F16 tensor."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, 1, 1)
    head += _build_gguf_string("general.architecture") + struct.pack("<I", GGUF_STRING) + _build_gguf_string("flux")
    name = _build_gguf_string("blocks.0.weight")
    header_size = len(head) + len(name) + 4 + 8 + 4 + 8
    data_offset = -(-header_size // GGUF_ALIGNMENT) * GGUF_ALIGNMENT
    elements = (size - data_offset) // 2
    head += name + struct.pack("<IQIQ", 1, elements, GGUF_F16, 0)
    _write(path, head.ljust(data_offset, b"\0"), data_offset + elements * 2)


def _build_gguf_string(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _write(path: Path, head: bytes, size: int) -> None:
    """Write the header, then random bytes up to ``size``; creates the parent folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(head)
        remaining = size - len(head)
        while remaining:
            remaining -= file.write(os.urandom(min(CHUNK_BYTES, remaining)))
