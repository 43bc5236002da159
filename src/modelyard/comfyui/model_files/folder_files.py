"""Checks of files inside a folder model that are no weights: JSON for requests to run code, and plain data."""

import json
import re
from typing import Any

from modelyard.comfyui.model_files.pipeline_index import find_own_module, is_pipeline_index
from modelyard.comfyui.model_files.readers import Reader
from modelyard.comfyui.model_files.refusals import build_refusal
from modelyard.comfyui.model_files.unexpected_files import find_unexpected_file
from modelyard.wire.folders.names import MAX_JSON_BYTES
from modelyard.wire.problems import NotAModelFile
from modelyard.wire.texts.strict_json import JsonLimits, JsonRejected, build_unique_object, check_size

# A JSON file of up to this size is read and parsed within a request.
REQUEST_JSON_BYTES = 256 * 1024
# Transformers imports the classes that these keys of a configuration name from the folder or from another repository.
_CODE_KEYS = ("auto_map", "custom_pipelines")
# JSON can also write the letters of a key as escapes.
_ASCII_ESCAPE = re.compile(rb"\\u00[4-7]")
# Those of the largest tokenizers: 260,000 words, and 520,000 pairs of them. A list or an object takes up to 240 bytes
# of memory, many times its two brackets.
_LIMITS = JsonLimits(depth=32, brackets=2_000_000, separators=3_000_000)
_PROGRAMS = {"linux program", "windows program", "script"}
_NEVER_DATA = {"git lfs pointer", "html page"}


def name_file(detail: str, path: str) -> str:
    """Return the detail of a problem of a file in a folder, beginning with the path of the file."""
    return detail if detail.startswith(f"'{path}'") else f"'{path}': {detail}"


def check_data(reader: Reader, path: str) -> None:
    """Check that a file of data is none that was uploaded by mistake, and no program.

    Raises:
        NotAModelFile: it is.
    """
    unexpected = find_unexpected_file(reader)
    if unexpected is not None and unexpected.name in _PROGRAMS and _is_program(reader):
        raise build_refusal(
            f"'{path}' begins like a {unexpected.name}, and a folder model may not contain programs. Leave the file "
            "out.",
            unexpected.name,
            path=path,
        )
    if unexpected is not None and unexpected.name in _NEVER_DATA:
        raise build_refusal(f"'{path}': {unexpected.explanation}", unexpected.name, path=path)


def _is_program(reader: Reader) -> bool:
    """Return whether a file with the first bytes of a program or script is one, and no text that begins with MZ."""
    head = reader.read(0, 64)
    return head.startswith(b"#!") or b"\0" in head


def check_json(reader: Reader, path: str) -> None:
    """Check that a file is JSON, and that no program is asked to run code of its own for it.

    Of a large one that cannot have a key that names code, the syntax is not checked. The index of a pipeline is always
    checked, and must be small.

    Raises:
        NotAModelFile: it is not so.
    """
    check_data(reader, path)
    is_pipeline = is_pipeline_index(path)
    max_bytes = REQUEST_JSON_BYTES if is_pipeline else MAX_JSON_BYTES
    if reader.size > max_bytes:
        raise build_refusal(f"'{path}' has more than {max_bytes} bytes.", "oversized JSON", path=path)
    content = reader.read(0, reader.size)
    if len(content) > REQUEST_JSON_BYTES and not _may_have_code_key(content):
        return
    try:
        check_size(content, _LIMITS)
        document = json.loads(content, object_pairs_hook=build_unique_object)
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, JsonRejected) else "it is not valid JSON"
        raise build_refusal(f"'{path}' is no JSON that the registry reads: {why}.", "invalid JSON", path=path) from None
    if (key := _find_code_key(document)) is not None:
        raise _build_code_refusal(f"has '{key}'", path)
    if is_pipeline and (key := find_own_module(document)) is not None:
        raise _build_code_refusal(f"takes '{key}' from a module that is not part of Diffusers or Transformers", path)


def _build_code_refusal(what: str, path: str) -> NotAModelFile:
    """Build the refusal of a file that asks programs to run code of the model's own."""
    return build_refusal(
        f"'{path}' {what}: the model needs code of its own, which programs would download and run. "
        "Use a version of the model that needs none.",
        "request for code",
        path=path,
    )


def _may_have_code_key(content: bytes) -> bool:
    """Return whether a key that names code may be in this JSON text, also with letters as escapes."""
    return any(key.encode() in content for key in _CODE_KEYS) or _ASCII_ESCAPE.search(content) is not None


def _find_code_key(document: Any) -> str | None:
    """Return the key that names code for which an object at any depth has a value; None if there is none."""
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if found := next(filter(value.get, _CODE_KEYS), None):
                return found
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return None
