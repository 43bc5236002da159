"""Parsing of workflow documents: JSON of untrusted origin, in UI or API format."""

import json
from typing import TypeGuard

from modelyard.comfyui.workflows.references import WorkflowUnreadable

# Bytes of a JSON text, also of one that is unpacked from a picture.
MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
# Objects and lists within each other. ComfyUI's own documents have fewer than 20.
MAX_DEPTH = 100

JsonObject = dict[str, object]


def parse_document(document: bytes) -> object:
    """Parse a JSON text in UTF-8, UTF-16 or UTF-32; NaN and Infinity are accepted, as ComfyUI writes them.

    Raises:
        WorkflowUnreadable: it is no JSON, or is too large or nested too deeply.
    """
    if len(document) > MAX_DOCUMENT_BYTES:
        raise WorkflowUnreadable(f"The workflow is larger than {MAX_DOCUMENT_BYTES // 1024**2} MiB.")
    try:
        content: object = json.loads(document)
    except RecursionError:
        raise WorkflowUnreadable("The workflow's JSON is nested too deeply.") from None
    except ValueError:
        raise WorkflowUnreadable("The document is not valid JSON.") from None
    if _is_deeper(content, MAX_DEPTH):
        raise WorkflowUnreadable("The workflow's JSON is nested too deeply.")
    return content


def _is_deeper(content: object, limit: int) -> bool:
    """Return whether more than ``limit`` objects and lists contain each other."""
    level = [content]
    for _ in range(limit):
        level = [child for value in level for child in get_children(value) if isinstance(child, (dict, list))]
        if not level:
            return False
    return True


def get_children(value: object) -> list[object]:
    """Return the members of a JSON list or object; none of another value."""
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def find_graph(content: object) -> JsonObject:
    """Return the workflow of a parsed document: a graph in UI format, or nodes in API format.

    A document may wrap it under ``workflow`` or ``prompt``, as requests to ComfyUI and SVG pictures do. ``workflow`` is
    taken if both are there, see ``embedded``.

    Raises:
        WorkflowUnreadable: it contains no workflow.
    """
    if is_graph(content) or is_api_format(content):
        return content
    if isinstance(content, dict):
        for key in ("workflow", "prompt"):
            if is_graph(content.get(key)) or is_api_format(content.get(key)):
                return as_object(content[key])
    raise WorkflowUnreadable("The JSON is not a ComfyUI workflow: it has neither nodes nor class types.")


def is_graph(content: object) -> TypeGuard[JsonObject]:
    """Return whether a JSON value is a workflow in UI format."""
    return isinstance(content, dict) and isinstance(content.get("nodes"), list)


def is_api_format(content: object) -> TypeGuard[JsonObject]:
    """Return whether a JSON value is a workflow in API format, also with members that are no nodes."""
    return isinstance(content, dict) and any(
        isinstance(node, dict) and "class_type" in node for node in content.values()
    )


def as_object(value: object) -> JsonObject:
    """Return a JSON object; an empty one for another value."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[object]:
    """Return a JSON list; an empty one for another value."""
    return value if isinstance(value, list) else []


def list_objects(value: object) -> list[JsonObject]:
    """Return the objects of a JSON list; those of other types are left out."""
    return [item for item in as_list(value) if isinstance(item, dict)]


def as_text(value: object) -> str:
    """Return a JSON string or whole number as text; "" for another value."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**18 else ""
    return value if isinstance(value, str) else ""
