"""The formats of model files by extension: what the registry accepts, machines place and the page offers.

The page's lists (``web/src/generated/formats.ts``) are written from here.
"""

from pathlib import PurePath
from typing import Literal

FormatName = Literal["safetensors", "gguf", "onnx", "pickle"]

# By extension in lower case, in the order in which people see them. Pickle files can run code when they are loaded.
FORMAT_BY_EXTENSION: dict[str, FormatName] = {
    ".safetensors": "safetensors",
    ".sft": "safetensors",
    ".gguf": "gguf",
    ".onnx": "onnx",
    ".ckpt": "pickle",
    ".pt": "pickle",
    ".pt2": "pickle",
    ".pth": "pickle",
    ".bin": "pickle",
    ".pkl": "pickle",
}
EXTENSIONS = tuple(FORMAT_BY_EXTENSION)
SAFETENSORS_EXTENSIONS = tuple(name for name, kind in FORMAT_BY_EXTENSION.items() if kind == "safetensors")
PICKLE_EXTENSIONS = tuple(name for name, kind in FORMAT_BY_EXTENSION.items() if kind == "pickle")


def find_format(file_name: str) -> FormatName | None:
    """Return the format for a file name's or path's extension in any letter case; None for other files."""
    return FORMAT_BY_EXTENSION.get(PurePath(file_name).suffix.lower())
