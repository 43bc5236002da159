"""Finding the references of a workflow file; also the program that does it in a sandbox.

Imports only what the sandbox has: the standard library.
"""

import codecs
from dataclasses import astuple
from typing import Any

from modelyard.comfyui.workflows.embedded.extract import extract_workflow
from modelyard.comfyui.workflows.loaders import get_default_loaders
from modelyard.comfyui.workflows.reading import MAX_EXPANDED_BYTES, read_workflow
from modelyard.comfyui.workflows.references import ModelReference, WorkflowUnreadable
from modelyard.server.inspection.pickle_scanner import program
from modelyard.server.inspection.pickle_scanner.ranges import Ranges

# Places in a workflow that name a model, and different models; a lookup takes as many.
MAX_REFERENCES, MAX_MODELS = 2_000, 1_000
_CODECS = ("idna", "utf-8-sig", "utf-16-be", "utf-16-le", "utf-32-be", "utf-32-le")


def read_references(content: bytes, max_expanded_bytes: int = MAX_EXPANDED_BYTES) -> list[ModelReference]:
    """Return the references of a workflow file.

    Raises:
        ExpansionTooLarge: see ``read_workflow``.
        WorkflowUnreadable: it has no workflow, or too many references.
    """
    references = read_workflow(
        extract_workflow(content), max_expanded_bytes=max_expanded_bytes, max_references=MAX_REFERENCES
    )
    models = {(reference.folder, reference.name, reference.hash) for reference in references}
    if len(models) > MAX_MODELS:
        raise WorkflowUnreadable(f"The workflow names more than {MAX_MODELS:,} models.")
    return references


def main(arguments: list[str]) -> None:
    """Read the workflow and print the verdict; ``arguments``: memory in bytes, seconds of processor time."""
    get_default_loaders()
    load_codecs()
    program.main(arguments, _inspect)


def load_codecs() -> None:
    """Load the codecs of host names and texts: they are files, and the program opens none once its limits are set."""
    for codec in _CODECS:
        codecs.lookup(codec)


def _inspect(ranges: Ranges) -> dict[str, Any]:
    """Return ``references`` as lists of their fields, or ``unreadable`` with the reason."""
    try:
        references = read_references(ranges.read(0, ranges.size))
    except WorkflowUnreadable as unreadable:
        return {"unreadable": str(unreadable)}
    return {"references": [astuple(reference) for reference in references]}
