"""Model files of real formats and any size, for the demo, benches and journeys: valid headers, random weights."""

import json
import os
import struct
from pathlib import Path

PIECE = 16 * 1024 * 1024
# A GGUF file aligns its tensors to this many bytes unless it says otherwise.
GGUF_ALIGNMENT = 32
GGUF_STRING, GGUF_F16 = 8, 1


def write_safetensors(path: Path, size: int, tensors: int = 4) -> None:
    """A valid safetensors file of exactly ``size`` bytes (4 KiB at least), with F16 tensors and trainer's words."""
    weights = (size - 2048) // 2 * 2
    each = weights // tensors // 2 * 2
    entries: dict[str, object] = {"__metadata__": {"modelspec.title": path.stem, "modelspec.author": "modelyard demo"}}
    start = 0
    for number in range(tensors):
        end = weights if number == tensors - 1 else start + each
        entries[f"blocks.{number}.weight"] = {
            "dtype": "F16",
            "shape": [(end - start) // 2],
            "data_offsets": [start, end],
        }
        start = end
    # Spaces may follow the header: they make the file as long as it was asked for.
    header = json.dumps(entries).encode().ljust(size - 8 - weights)
    _write(path, struct.pack("<Q", len(header)) + header, size)


def write_gguf(path: Path, size: int) -> None:
    """A valid GGUF file (version 3) of about ``size`` bytes, with one F16 tensor."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, 1, 1)
    head += _gguf_text("general.architecture") + struct.pack("<I", GGUF_STRING) + _gguf_text("flux")
    name = _gguf_text("blocks.0.weight")
    room = len(head) + len(name) + 4 + 8 + 4 + 8
    begin = -(-room // GGUF_ALIGNMENT) * GGUF_ALIGNMENT
    elements = (size - begin) // 2
    head += name + struct.pack("<IQIQ", 1, elements, GGUF_F16, 0)
    _write(path, head.ljust(begin, b"\0"), begin + elements * 2)


def _gguf_text(text: str) -> bytes:
    return struct.pack("<Q", len(text)) + text.encode()


def _write(path: Path, head: bytes, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(head)
        remaining = size - len(head)
        while remaining:
            remaining -= file.write(os.urandom(min(PIECE, remaining)))
