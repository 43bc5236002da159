"""Load files as ComfyUI does: ``python load_checkpoints.py``, in an environment with torch; one path per line on stdin.

Prints torch's version, then ``ok`` or the error, one line per file. If a file crashes the process, no line for it or
later ones follows. A zip is loaded twice, the second time as ComfyUI does with ``--mmap-torch-files``.
"""

import resource
import sys
import warnings
from _codecs import encode
from pathlib import Path

import numpy as np
import torch
from numpy.dtypes import Float64DType

MEMORY = 8 * 2**30


class ModelCheckpoint:
    pass


def allow_globals_of_comfyui() -> None:
    """Add the safe globals of ``comfy/utils.py``; the scalar's function by both names, one of which each NumPy has."""
    ModelCheckpoint.__module__ = "pytorch_lightning.callbacks.model_checkpoint"
    scalar = type(np.float64(0)).__reduce__(np.float64(0))[0]
    names = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    torch.serialization.add_safe_globals([ModelCheckpoint, *names, np.dtype, Float64DType, encode])


def copy_tensors(value: object) -> None:
    """Copy every tensor in the value, as a program does that moves the weights into its model."""
    if isinstance(value, torch.Tensor):
        value.detach().clone()
    elif isinstance(value, dict):
        for item in value.values():
            copy_tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            copy_tensors(item)


def load(path: str) -> None:
    """Load a file and copy its tensors; if it is a zip, do the same once more with the file mapped to memory."""
    with Path(path).open("rb") as file:
        is_zip = file.read(2) == b"PK"
    for mmap in (False, True) if is_zip else (False,):
        copy_tensors(torch.load(path, map_location="cpu", weights_only=True, mmap=mmap))


def print_result(text: str) -> None:
    """Print one line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    allow_globals_of_comfyui()
    print_result(torch.__version__)
    for line in sys.stdin:
        try:
            load(line.rstrip("\n"))
        except Exception as error:  # noqa: BLE001 - any error is the result
            print_result(f"{type(error).__name__}: {error}".replace("\n", " ")[:500])
        else:
            print_result("ok")


if __name__ == "__main__":
    main()
