"""Model files made on the spot."""

import json
import random
import struct
from pathlib import Path


def model_file(path: Path, size: int = 1000, seed: int = 1, tensor: str = "lora_down.weight") -> Path:
    """A valid safetensors file with one tensor of ``size`` bytes; another seed gives other bytes of the same size."""
    header = json.dumps({tensor: {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + random.Random(seed).randbytes(size))
    return path
