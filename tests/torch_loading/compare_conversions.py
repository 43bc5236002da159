"""Compare converted files with what torch loads: ``python compare_conversions.py``, pairs of paths on standard input.

Each line has a pickle file and its conversion, separated by a tab. Prints "equal" and the number of tensors, or what
differs, for each pair.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from load_checkpoints import (  # type: ignore[import-not-found]  # it runs by its path, beside that program
    allow_globals_of_comfyui,
)

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
    "U16": torch.uint16,
    "U32": torch.uint32,
    "U64": torch.uint64,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}
# Names of tensors of an optimizer and of a training's random numbers, which a conversion leaves out.
_OF_TRAININGS = {"step", "exp_avg", "exp_avg_sq", "rng_state"}


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file, read without the library."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        first, end = entry["data_offsets"]
        raw = torch.frombuffer(bytearray(content[start + first : start + end] or b"\0"), dtype=torch.uint8)
        dtype = DTYPES.get(entry["dtype"]) or torch.float8_e8m0fnu
        found[name] = (raw.view(dtype) if end > first else torch.empty(0, dtype=dtype)).reshape(entry["shape"])
    return found


def collect_tensors(value: object, found: dict[str, list[torch.Tensor]]) -> None:
    """Add the tensors of all dictionaries in a loaded value by their keys."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(item, torch.Tensor):
                found.setdefault("emb_params" if key == "*" else str(key), []).append(item)
            collect_tensors(item, found)
    elif isinstance(value, list | tuple):
        for item in value:
            collect_tensors(item, found)


def to_bytes(tensor: torch.Tensor) -> bytes:
    """Return the bytes of a tensor's values in order."""
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return bytes(plain.view(torch.uint8).tolist()) if plain.numel() else b""


def compare(source: str, converted: str) -> str:
    """Return "equal" and the number of tensors, or what differs."""
    loaded: dict[str, list[torch.Tensor]] = {}
    collect_tensors(torch.load(source, map_location="cpu", weights_only=True), loaded)
    tensors = read_safetensors(Path(converted))
    left_out = loaded.keys() - tensors.keys() - _OF_TRAININGS
    if left_out:
        return f"{sorted(left_out)} left out"
    for name, tensor in tensors.items():
        matches = [
            each
            for each in loaded.get(name, [])
            if each.dtype == tensor.dtype and each.shape == tensor.shape and to_bytes(each) == to_bytes(tensor)
        ]
        if not matches:
            return f"{name} differs"
    return f"equal {len(tensors)}"


def main() -> None:
    allow_globals_of_comfyui()
    for line in sys.stdin.read().splitlines():
        try:
            result = compare(*line.split("\t"))
        except Exception as error:  # noqa: BLE001 - any error is the result
            result = f"{type(error).__name__}: {error}".replace("\n", " ")[:500]
        sys.stdout.write(f"{result}\n")


if __name__ == "__main__":
    main()
