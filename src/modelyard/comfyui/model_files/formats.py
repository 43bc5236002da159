"""The format of a model file by its first bytes, and whether it is the one that its extension stands for."""

from pathlib import PurePosixPath

from modelyard.comfyui.model_files.readers import Reader
from modelyard.comfyui.model_files.refusals import build_refusal
from modelyard.comfyui.model_files.safetensors import looks_like_safetensors
from modelyard.comfyui.model_files.unexpected_files import HEAD, find_unexpected_file
from modelyard.wire.formats import EXTENSIONS, FORMAT_BY_EXTENSION
from modelyard.wire.problems import NotAModelFile

_EXTENSIONS_BY_FORMAT = {
    "safetensors": ".safetensors",
    "gguf": ".gguf",
    "onnx": ".onnx",
    "pickle": ".ckpt, .pt or .pth",
}


def detect_format(reader: Reader, file_name: str) -> str:
    """Return the format by the first bytes, if it is the one that the extension (in any case) stands for.

    Raises:
        NotAModelFile: the content has no known format, or another than the extension stands for.
    """
    extension = PurePosixPath(file_name).suffix.lower()
    expected = FORMAT_BY_EXTENSION.get(extension)
    if expected is None or reader.size == 0:
        raise _build_unknown_refusal(reader, extension)
    format_name = _detect_format_by_magic(reader, expected)
    if format_name is None:
        raise _build_unknown_refusal(reader, extension)
    if format_name != expected:
        raise build_refusal(
            f"The content is {format_name}, but the extension '{extension}' stands for {expected}: programs choose "
            f"how to load a file by its extension. Rename it to {_EXTENSIONS_BY_FORMAT[format_name]}.",
            f"{format_name} file",
            extension=extension,
        )
    return format_name


def _detect_format_by_magic(reader: Reader, expected: str) -> str | None:
    """Return the format by the first bytes, or None for any other content.

    Safetensors and ONNX have no magic number. The header length of safetensors may spell any two-byte magic, so its
    test comes first. A zip or tar is a pickle if ``expected`` is one. Content that no test recognises is left to the
    validator of ONNX or safetensors if ``expected``, the format of the extension, is one of them.
    """
    head = reader.read(0, HEAD)
    if looks_like_safetensors(head):
        return "safetensors"
    if head.startswith((b"GGUF", b"FUGG")):
        return "gguf"
    if head[:1] == b"\x80" and head[1:2] in (b"\0", b"\1", b"\2", b"\3", b"\4", b"\5"):
        return "pickle"
    if expected == "pickle" and (head.startswith(b"PK") or head[257:262] == b"ustar"):
        return "pickle"
    if find_unexpected_file(reader) is not None:
        return None
    if expected == "onnx" or (expected == "safetensors" and reader.size > 8):
        return expected
    return None


def _build_unknown_refusal(reader: Reader, extension: str) -> NotAModelFile:
    """Build the refusal of a file of no known format: by its recognised content, its extension, or neither."""
    unexpected = find_unexpected_file(reader)
    if unexpected is not None:
        return build_refusal(unexpected.explanation, unexpected.name, extension=extension)
    extensions = " ".join(EXTENSIONS)
    if extension not in EXTENSIONS:
        return build_refusal(
            f"A model is one file with one of these extensions: {extensions}. Several files that are one model, such "
            "as a pipeline of Diffusers, are pushed as one folder.",
            "unknown extension",
            extension=extension[:20],
        )
    return build_refusal(
        f"The content is not of a format that '{extension}' stands for: it may be damaged, encrypted or of another "
        "kind. Check where it came from and upload the model file itself.",
        "unknown content",
        extension=extension,
    )
