"""The formats of model files by extension, and those of preview pictures with their limits.

The page's lists (``web/src/generated/formats.ts``) are written from here.
"""

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
    # TorchScript, which nodes load: ComfyUI itself lists no such files.
    ".jit": "pickle",
}
EXTENSIONS = tuple(FORMAT_BY_EXTENSION)
SAFETENSORS_EXTENSIONS = tuple(name for name, kind in FORMAT_BY_EXTENSION.items() if kind == "safetensors")
PICKLE_EXTENSIONS = tuple(name for name, kind in FORMAT_BY_EXTENSION.items() if kind == "pickle")


def find_format(file_name: str) -> FormatName | None:
    """Return the format for a file name's or path's extension in any letter case; None for other files."""
    stem, _, extension = file_name.rpartition("/")[2].rpartition(".")
    return FORMAT_BY_EXTENSION.get(f".{extension.lower()}") if stem else None


# Limits of preview pictures: of one that is sent, and of one in a model file.
MAX_PICTURE_BYTES = 10 * 1024 * 1024
MAX_EMBEDDED_BYTES = 4 * 1024 * 1024
MAX_PIXELS, MAX_SIDE = 24_000_000, 8192
PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
# Width and height within which the two stored sizes fit, in pixels.
SMALL_BOX, LARGE_BOX = (256, 512), (512, 1024)
