"""Inspection of a file inside a folder model: weights as model files, JSON for requests to run code."""

import json
import re
from collections.abc import Callable
from typing import Any

from modelyard.comfyui.model_files.readers import Reader
from modelyard.comfyui.model_files.refusals import build_refusal
from modelyard.comfyui.model_files.unexpected_files import find_unexpected_file
from modelyard.server.inspection.inspector import inspect_file, inspect_within_request
from modelyard.server.inspection.metadata import ModelMetadata
from modelyard.server.inspection.pickles import PickleRule
from modelyard.server.inspection.sandbox import never_stop
from modelyard.server.strict_json import JsonLimits, JsonRejected, build_unique_object, check_size
from modelyard.wire.folders.names import MAX_JSON_BYTES, find_file_kind

# A JSON file of up to this size is read and parsed within a request.
REQUEST_JSON_BYTES = 256 * 1024
# Transformers imports the class that this key of a configuration names from the folder or from another repository.
_CODE_KEY = "auto_map"
# JSON can also write the letters of a key as escapes.
_ASCII_ESCAPE = re.compile(rb"\\u00[4-7]")
# Those of the largest tokenizers: 260,000 words, and 520,000 pairs of them. A list or an object takes up to 240 bytes
# of memory, many times its two brackets.
_LIMITS = JsonLimits(depth=32, brackets=2_000_000, separators=3_000_000)
_NEVER_DATA = {"Linux program", "Windows program", "script", "git lfs pointer", "html page"}


def inspect_folder_file(
    reader: Reader, path: str, rule: PickleRule, raise_if_stopped: Callable[[], None] = never_stop
) -> ModelMetadata | None:
    """Check a file of a folder as what its name stands for; return the metadata of a model file, None for others.

    Raises:
        NotAModelFile: it is not what its name stands for, asks for code, or is a pickle that the rule refuses.
        SandboxFailed, and errors of the store: see ``inspect_file``.
    """
    kind = find_file_kind(path)
    if kind == "json":
        _check_json(reader, path)
        return None
    if kind == "data":
        _check_data(reader, path)
        return None
    return inspect_file(reader, path, rule, raise_if_stopped)


def inspect_folder_file_within_request(
    reader: Reader, path: str, rule: PickleRule
) -> tuple[bool, ModelMetadata | None]:
    """Check a file of a folder if that is cheap; return whether it was checked, and the metadata of a model file.

    Raises:
        NotAModelFile: see ``inspect_folder_file``.
    """
    kind = find_file_kind(path)
    if kind == "data":
        _check_data(reader, path)
        return True, None
    if kind == "json":
        if reader.size > REQUEST_JSON_BYTES:
            return False, None
        _check_json(reader, path)
        return True, None
    metadata = inspect_within_request(reader, path, rule)
    return metadata is not None, metadata


def _check_data(reader: Reader, path: str) -> None:
    """Check that a file of data is none that was uploaded by mistake, and no program.

    Raises:
        NotAModelFile: it is.
    """
    unexpected = find_unexpected_file(reader)
    if unexpected is not None and unexpected.name in _NEVER_DATA:
        raise build_refusal(f"'{path}': {unexpected.explanation}", unexpected.name, path=path)


def _check_json(reader: Reader, path: str) -> None:
    """Check that a file is JSON, and that no program is asked to run code of its own for it.

    Of a large one that cannot have the key that names code, the syntax is not checked.

    Raises:
        NotAModelFile: it is not so.
    """
    _check_data(reader, path)
    if reader.size > MAX_JSON_BYTES:
        raise build_refusal(f"'{path}' has more than {MAX_JSON_BYTES} bytes.", "oversized JSON", path=path)
    content = reader.read(0, reader.size)
    if len(content) > REQUEST_JSON_BYTES and _CODE_KEY.encode() not in content and not _ASCII_ESCAPE.search(content):
        return
    try:
        check_size(content, _LIMITS)
        document = json.loads(content, object_pairs_hook=build_unique_object)
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, JsonRejected) else "it is not valid JSON"
        raise build_refusal(f"'{path}' is no JSON that the registry reads: {why}.", "invalid JSON", path=path) from None
    if _has_code_key(document):
        raise build_refusal(
            f"'{path}' has '{_CODE_KEY}': the model needs code of its own, which programs would download and run. "
            "Use a version of the model that needs none.",
            "request for code",
            path=path,
        )


def _has_code_key(document: Any) -> bool:
    """Return whether an object at any depth has a value for the key that names code."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if value.get(_CODE_KEY):
                return True
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return False
