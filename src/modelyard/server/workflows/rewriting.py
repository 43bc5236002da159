"""Rewriting of a workflow file with other names of models; also the program that does it in a sandbox.

Imports only what the sandbox has: the standard library.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from modelyard.comfyui.workflows.embedded.extract import extract_workflow
from modelyard.comfyui.workflows.references import WorkflowUnreadable
from modelyard.comfyui.workflows.rewriting import replace_names
from modelyard.server.inspection.pickle_scanner import program
from modelyard.server.inspection.pickle_scanner.ranges import Ranges
from modelyard.server.workflows.reading import load_codecs

# Of the copy: a verdict of the sandbox has to hold it.
MAX_REWRITTEN_BYTES = 2 * 1024 * 1024
_LENGTH_BYTES = 8


def rewrite_workflow(content: bytes, names: Mapping[str, str]) -> bytes:
    """Return the workflow in a file, as JSON text, with other names.

    Raises:
        WorkflowUnreadable: it has no workflow, or the copy would be larger than ``MAX_REWRITTEN_BYTES``.
    """
    copy = replace_names(extract_workflow(content), names)
    if len(copy) > MAX_REWRITTEN_BYTES:
        raise WorkflowUnreadable(
            f"The workflow is larger than {MAX_REWRITTEN_BYTES // 1024**2} MiB. Use: modelyard check FILE --rewrite NEW"
        )
    return copy


def pack_request(content: bytes, names: Mapping[str, str]) -> bytes:
    """Return what the program reads: the length of the names, the names as JSON, and the file."""
    packed = json.dumps(names).encode()
    return len(packed).to_bytes(_LENGTH_BYTES, "little") + packed + content


def parse_verdict(verdict: Mapping[str, Any]) -> bytes:
    """Return the copy of an untrusted verdict of the program.

    Raises:
        WorkflowUnreadable: the program refused the file, or the verdict is wrong.
    """
    if "unreadable" in verdict:
        raise WorkflowUnreadable(str(verdict["unreadable"])[:200])
    try:
        return base64.b64decode(verdict["copy"], validate=True)
    except (KeyError, TypeError, ValueError):
        raise WorkflowUnreadable("The file cannot be read.") from None


def main(arguments: list[str]) -> None:
    """Rewrite the workflow and print the verdict; ``arguments``: memory in bytes, seconds of processor time."""
    load_codecs()
    program.main(arguments, _rewrite)


def _rewrite(ranges: Ranges) -> dict[str, Any]:
    """Return the ``copy`` in base64, or ``unreadable`` with the reason."""
    packed = ranges.read(0, ranges.size)
    start = _LENGTH_BYTES + int.from_bytes(packed[:_LENGTH_BYTES], "little")
    try:
        copy = rewrite_workflow(packed[start:], json.loads(packed[_LENGTH_BYTES:start]))
    except WorkflowUnreadable as unreadable:
        return {"unreadable": str(unreadable)}
    return {"copy": base64.b64encode(copy).decode()}
