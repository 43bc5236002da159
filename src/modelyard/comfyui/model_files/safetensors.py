"""The outline of a safetensors file: the length of its header, and the bytes that this declares."""

import struct

from modelyard.comfyui.model_files.readers import Reader, read_exactly
from modelyard.comfyui.model_files.refusals import build_refusal
from modelyard.wire.problems import NotAModelFile

# The registry's limit, and that of the reference reader.
MAX_HEADER = 16 * 1024 * 1024
REFERENCE_MAX_HEADER = 100_000_000


def looks_like_safetensors(head: bytes) -> bool:
    """Return whether ``head`` starts with a plausible header length, followed by a brace."""
    return len(head) > 8 and 2 <= struct.unpack_from("<Q", head)[0] <= REFERENCE_MAX_HEADER and head[8:9] == b"{"


def check_declared_bytes(declared: int, available: int) -> None:
    """Check that a safetensors file has the bytes of all tensors that its header declares.

    Raises:
        NotAModelFile: it has not; the fact ``missing`` is the number of missing bytes.
    """
    if declared > available:
        raise build_refusal(
            f"This safetensors file is truncated: its header declares {declared} bytes of tensors and the file has "
            f"{available}. Download the complete file again, then upload it.",
            "truncated file",
            missing=declared - available,
        )


def read_header_length(reader: Reader) -> int:
    """Read the header length and check the byte after it.

    Raises:
        NotAModelFile: it is above ``MAX_HEADER``, exceeds the file, or no JSON object follows.
    """
    if reader.size < 8:
        raise build_broken_refusal("it is shorter than the 8 bytes with which one begins")
    head = read_exactly(reader, 0, min(9, reader.size))
    length: int = struct.unpack_from("<Q", head)[0]
    if length > REFERENCE_MAX_HEADER:
        raise build_broken_refusal("its first 8 bytes are not the length of a header")
    if length > reader.size - 8:
        raise build_broken_refusal("its header reaches past the end of the file, so it is truncated")
    if length > MAX_HEADER:
        raise build_refusal(
            f"The header of this safetensors file has {length} bytes; this registry reads at most {MAX_HEADER} "
            f"({MAX_HEADER >> 20} MiB). Remove pictures and other large metadata from it.",
            "oversized header",
            header_size=length,
        )
    if length == 0 or head[8:] != b"{":
        raise build_broken_refusal("its header does not start with '{'")
    return length


def build_broken_refusal(reason: str) -> NotAModelFile:
    """Build the refusal of a file that breaks a rule; ``reason`` completes "not a valid safetensors file: ..."."""
    return build_refusal(
        f"This is not a valid safetensors file: {reason}. Download it again from its source, or save it again.",
        "broken safetensors file",
    )
