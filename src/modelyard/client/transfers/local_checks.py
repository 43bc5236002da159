"""What the registry would refuse a file for, as far as this machine can tell without sending it.

It is not all: the registry reads the whole file, and knows its quotas and rules.
"""

import json
from pathlib import Path
from typing import BinaryIO

from modelyard.comfyui.model_files.formats import detect_format
from modelyard.comfyui.model_files.readers import Reader, read_exactly
from modelyard.comfyui.model_files.refusals import build_pickle_refusal
from modelyard.comfyui.model_files.safetensors import check_declared_bytes, read_header_length
from modelyard.wire.formats import find_format
from modelyard.wire.problems import NotAModelFile
from modelyard.wire.teams import PicklePolicy


class _FileReader:
    """A ``Reader`` of an open file of this machine."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self.size = size

    def read(self, start: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``start``; fewer only at the end of the file."""
        self._stream.seek(start)
        return self._stream.read(length)


def find_refusal(file: Path, model_path: str, pickle_policy: PicklePolicy | None) -> NotAModelFile | None:
    """Return why the registry would refuse a file at a model path; None if its first bytes tell no reason. Blocking.

    Reads the first bytes and the header of safetensors. ``pickle_policy`` is None if it is not known.

    Raises:
        OSError: the file cannot be read.
    """
    with file.open("rb") as stream:
        reader = _FileReader(stream, file.stat().st_size)
        try:
            kind = detect_format(reader, model_path)
            if kind == "pickle" and pickle_policy == "block":
                return build_pickle_refusal()
            if kind == "safetensors":
                _check_is_whole(reader)
        except NotAModelFile as refusal:
            return refusal
    return None


def is_pickle(model_path: str) -> bool:
    """Return whether the name of a file is that of a pickle."""
    return find_format(model_path) == "pickle"


def _check_is_whole(reader: Reader) -> None:
    """Check that a safetensors file has its header and all bytes of the tensors; a header that is no JSON passes.

    Raises:
        NotAModelFile: it is truncated, or its header is too large.
    """
    length = read_header_length(reader)
    try:
        entries = json.loads(read_exactly(reader, 8, length))
        ends = [int(entry["data_offsets"][1]) for name, entry in entries.items() if name != "__metadata__"]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return
    check_declared_bytes(max(ends, default=0), reader.size - 8 - length)
