"""Small valid model files for tests."""

import json
import random
import struct
from pathlib import Path


def write_model_file(
    path: Path, size: int = 1000, seed: int = 1, tensor: str = "lora_down.weight", dtype: str = "U8"
) -> Path:
    """Write a valid safetensors file with one tensor of ``size`` random bytes, and return its path.

    The same seed gives the same bytes.
    """
    header = json.dumps({tensor: {"dtype": dtype, "shape": [size], "data_offsets": [0, size]}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + random.Random(seed).randbytes(size))
    return path


def write_refused_file(path: Path, size: int = 1000) -> Path:
    """Write a safetensors file that only the registry refuses: clients leave an unknown dtype to it."""
    return write_model_file(path, size, dtype="F128")
